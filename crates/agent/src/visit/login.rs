//! Proving who we are.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use restante_smtp::{ClientEvent, Credentials, NoMechanism, Secret};

use super::{Connection, ended, next_event, out_of_place};
use crate::events;
use crate::failure::Failure;
use crate::limits::SECRET_FILE;
use crate::settings::{Protocol, ServerSettings};

/// Authenticates where there is anything to do it with; ETRN needs none where the server goes by addresses.
pub(super) async fn prove(connection: &mut Connection, server: &ServerSettings) -> Result<(), Failure> {
    let Some(credentials) = credentials(server)? else { return Ok(()) };
    let Some(mut channel) = connection.stream().channel() else {
        return Err(Failure::NoLogin("this system has no randomness to give".to_owned()));
    };
    let now = Instant::now();
    match connection.session_mut().authenticate(now, &credentials, &mut channel) {
        Ok(_) => {}
        // A certificate alone may be all that a server wants; if not, it will say so.
        Err(NoMechanism::NoneInCommon)
            if credentials.password.is_none() && server.protocol != Protocol::Atrn =>
        {
            return Ok(());
        }
        Err(error) => return Err(Failure::NoLogin(error.to_string())),
    }
    match next_event(connection).await {
        ClientEvent::Authenticated => Ok(()),
        ClientEvent::AuthRefused(reply) => {
            connection.session_mut().quit(Instant::now());
            while !matches!(next_event(connection).await, ClientEvent::Ended(_)) {}
            Err(Failure::LoginRefused(reply))
        }
        ClientEvent::Ended(end) => Err(ended(end)),
        other => Err(out_of_place(&other)),
    }
}

fn credentials(server: &ServerSettings) -> Result<Option<Credentials>, Failure> {
    let login = &server.login;
    let trial = server.address.is_loopback();
    let password = login.secret_file.as_deref().map(|file| secret(file, trial)).transpose()?;
    let external = login.certificate.is_some();
    if password.is_none() && !external {
        return Ok(None);
    }
    let name = login.account.clone().unwrap_or_default();
    // [4954-4-agent] A password is shown only to whom we know, and never in clear.
    Ok(Some(Credentials { name, password, external, plain: server.trust.is_verified() }))
}

/// The first line of a file that nobody else may read. Where the server is on this machine (`trial`), to be tried out, one
/// that others can read is told of, and read all the same.
fn secret(path: &Path, trial: bool) -> Result<Secret, Failure> {
    let wrong = |what: String| Failure::Secret(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mode = file.metadata().map_err(|error| wrong(error.to_string()))?.mode();
    if mode & 0o077 != 0 && trial {
        events::secret_open(path);
    } else if mode & 0o077 != 0 {
        return Err(wrong(format!(
            "others may read it (mode {:04o}): chmod 600 {}",
            mode & 0o7777,
            path.display()
        )));
    }
    let mut text = String::new();
    file.take(SECRET_FILE).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        Err(wrong("no password on its first line".to_owned()))
    } else {
        Ok(Secret::new(line.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_that_others_may_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "try out only\r\nsecond line\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(secret(&path, true).unwrap().expose(), "try out only");
            match secret(&path, false) {
                Ok(read) => assert!(good && read.expose() == "try out only", "{mode:o}"),
                Err(failure) => {
                    assert!(!good && failure.to_string().contains("chmod 600"), "{mode:o}: {failure}")
                }
            }
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(&path, true).is_err() && secret(&dir.path().join("none"), true).is_err());
    }
}
