//! The socket in the file system: its directory, its permissions, and the one a dead server left behind.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use tokio::net::UnixListener;

use crate::events;
use crate::server::StartError;

/// Mode of the socket: the owner and the group.
const SOCKET_MODE: u32 = 0o660;
/// Mode of its directory, where we create it.
const DIRECTORY_MODE: u32 = 0o750;

/// A socket that is bound, and the name it was given. Dropping it takes the name away again; drop it before the
/// listener, which keeps the inode's number from being given to another server's socket.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    identity: (u64, u64),
    /// The group that may use it.
    pub(crate) group: u32,
}

/// Binds under a name of its own, sets the permissions and only then moves the socket to where it is looked for:
/// nobody meets it half done, and what a dead server left there is replaced in one step.
pub(crate) fn bind(path: &Path, group: &str) -> Result<(UnixListener, Place), StartError> {
    let failed = |error| StartError::Io { path: path.to_owned(), error };
    let gid = Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    prepare(directory, gid).map_err(failed)?;
    check_free(path)?;
    let name = directory.join(format!(".{}.sock", std::process::id()));
    let _ = fs::remove_file(&name);
    let listener = UnixListener::bind(&name).map_err(failed)?;
    let place = settle(&name, path, gid).inspect_err(|_| drop(fs::remove_file(&name))).map_err(failed)?;
    Ok((listener, place))
}

fn prepare(directory: &Path, gid: Option<u32>) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    // Without the right to give it away the directory stays in our own group, as the socket does.
    if let Some(error) = gid.and_then(|gid| chown(directory, None, Some(gid)).err()) {
        events::group_not_given(directory, &error);
    }
    Ok(())
}

/// Whether the place is free, or holds a socket on which nobody answers.
fn check_free(path: &Path) -> Result<(), StartError> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StartError::Io { path: path.to_owned(), error }),
    };
    if !there.file_type().is_socket() {
        return Err(StartError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(StartError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            events::stale_socket(path);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog is a living server.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StartError::InUse(path.to_owned())),
        Err(error) => Err(StartError::Io { path: path.to_owned(), error }),
    }
}

fn settle(name: &Path, path: &Path, gid: Option<u32>) -> io::Result<Place> {
    if let Some(error) = gid.and_then(|gid| chown(name, None, Some(gid)).err()) {
        events::group_not_given(path, &error);
    }
    fs::set_permissions(name, Permissions::from_mode(SOCKET_MODE))?;
    let there = fs::symlink_metadata(name)?;
    fs::rename(name, path)?;
    Ok(Place { path: path.to_owned(), identity: (there.dev(), there.ino()), group: there.gid() })
}

impl Place {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Only our own: another server may have taken the place since.
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_GROUP: &str = "no-such-group-here";

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_in_a_directory_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/admin.sock");
        let (listener, place) = bind(&path, NO_GROUP).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().unwrap()), 0o750);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no other name is left");
        assert!(UnixStream::connect(&path).is_ok());
        drop((place, listener));
        assert!(!path.exists(), "the name goes with the server");
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a socket outlives its process");
        let (_listener, _place) = bind(&path, NO_GROUP).unwrap();
        assert!(matches!(bind(&path, NO_GROUP), Err(StartError::InUse(_))));
        assert!(UnixStream::connect(&path).is_ok(), "the living one is still there");
    }

    #[tokio::test]
    async fn a_file_in_the_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path, NO_GROUP), Err(StartError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn another_servers_name_is_not_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let (_listener, place) = bind(&path, NO_GROUP).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(place);
        assert!(path.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(bind(&dir.path().join("file/admin.sock"), NO_GROUP), Err(StartError::Io { .. })));
    }
}
