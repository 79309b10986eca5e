//! What this installation alone knows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use restante_turn::Install;

/// Reads the installation's secret from the data directory; makes it the first time.
///
/// # Errors
/// What the system says; a file of another length is not taken.
pub(crate) fn install(data_dir: &Path) -> io::Result<Install> {
    let path = data_dir.join("auth-secret");
    match File::open(&path) {
        Ok(file) => {
            let mut octets = Vec::new();
            file.take(33).read_to_end(&mut octets)?;
            let octets = <[u8; 32]>::try_from(octets).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} has not 32 octets; remove it", path.display()),
                )
            })?;
            Ok(Install::new(octets))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Install> {
    let octets: [u8; 32] = rand::random();
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(&octets)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    Ok(Install::new(octets))
}
