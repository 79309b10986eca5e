//! Where the running server is.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use restante_api::Client;
use serde::Deserialize;

use super::Options;
use super::failure::Failure;
use super::limits::MAX_CONFIG;

/// Where a site keeps its configuration.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/restante/restante.toml";
/// Where the server listens unless its configuration says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/restante/admin.sock";

/// The part of a configuration file that matters here. The rest may be wrong: a server that runs on an older version of
/// the file must stay within reach.
#[derive(Debug, Default, Deserialize)]
struct Fragment {
    #[serde(default)]
    admin: Admin,
}

#[derive(Debug, Default, Deserialize)]
struct Admin {
    socket: Option<PathBuf>,
}

/// A client of the server that the options name.
pub(crate) fn client(options: &Options) -> Result<Client, Failure> {
    Ok(Client::new(&socket(options)?)?)
}

/// The socket: as said, as the named configuration file says, as the site's configuration file says, or where it is by
/// default.
pub(crate) fn socket(options: &Options) -> Result<PathBuf, Failure> {
    if let Some(socket) = &options.socket {
        return Ok(socket.clone());
    }
    if let Some(config) = &options.config {
        return Ok(socket_of(config)?.unwrap_or_else(|| DEFAULT_SOCKET.into()));
    }
    // Without having been named it may be missing, or be none of this user's business.
    let found = socket_of(Path::new(DEFAULT_CONFIG)).ok().flatten();
    Ok(found.unwrap_or_else(|| DEFAULT_SOCKET.into()))
}

fn socket_of(config: &Path) -> Result<Option<PathBuf>, Failure> {
    let wrong = |message: String| Failure::Configuration { path: config.to_owned(), message };
    let text = read(config).map_err(|error| wrong(error.to_string()))?;
    let file: Fragment = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(file.admin.socket)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_CONFIG).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_as_said_or_as_configured() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("try.toml");
        std::fs::write(&config, "unknown = 1\n[admin]\nsocket = \"./data/admin.sock\"\n[[domain]]\n")
            .unwrap();
        let options = |config: Option<&Path>, socket: Option<&str>| Options {
            json: false,
            config: config.map(Path::to_owned),
            socket: socket.map(PathBuf::from),
        };
        let found = |options: Options| socket(&options).unwrap();
        assert_eq!(found(options(Some(&config), None)), Path::new("./data/admin.sock"));
        assert_eq!(found(options(Some(&config), Some("/x"))), Path::new("/x"));
        std::fs::write(&config, "").unwrap();
        assert_eq!(found(options(Some(&config), None)), Path::new(DEFAULT_SOCKET));
    }

    #[test]
    fn a_named_file_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bad.toml");
        let ends_with = |config: &Path| {
            let options = Options { config: Some(config.to_owned()), ..Options::default() };
            socket(&options).unwrap_err().exit()
        };
        assert_eq!(ends_with(&config), super::super::Exit::Configuration);
        std::fs::write(&config, "[admin\n").unwrap();
        assert_eq!(ends_with(&config), super::super::Exit::Configuration);
    }
}
