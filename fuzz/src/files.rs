//! A directory in memory for those that read files.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static DIRECTORY: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Puts a file there that its owner alone may read.
///
/// # Panics
/// When it cannot be written.
pub fn put(name: &str, text: &[u8]) -> PathBuf {
    let path = place(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("closed");
    path
}

/// The same, unless it is there.
pub fn put_once(name: &str, text: &str) {
    if !place(name).exists() {
        put(name, text.as_bytes());
    }
}

fn place(name: &str) -> PathBuf {
    DIRECTORY.with_borrow_mut(|directory| {
        let directory = directory.get_or_insert_with(|| {
            let memory = Path::new("/dev/shm");
            let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
            made.expect("a directory")
        });
        directory.path().join(name)
    })
}

/// Whether a text may name a device, or what else it is better not to open.
#[must_use]
pub fn is_daring(text: &[u8]) -> bool {
    [&b"/dev"[..], b"/proc", b"/sys", b"/run"]
        .iter()
        .any(|name| text.windows(name.len()).any(|at| at == *name))
        || text.windows(2).any(|at| at == b"\\u" || at == b"\\U" || at == b"\\x")
}
