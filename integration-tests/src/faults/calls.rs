//! Calls of the daemon that fail when told to: a library of ours, loaded before the system's own.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Daemon;

/// A kind of call to the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Opening and creating files and directories.
    Open = 1,
    /// Every way of reading a file.
    Read,
    /// Every way of writing one.
    Write,
    /// fsync, fdatasync, `sync_file_range`.
    Sync,
    /// rename.
    Rename,
    /// unlink.
    Unlink,
    /// ftruncate.
    Truncate,
    /// fallocate: room ahead, and holes.
    Allocate,
    /// mkdir.
    Mkdir,
    /// statvfs: how much room is left.
    Statvfs,
}

impl Call {
    /// Each of them.
    pub const EVERY: [Self; 10] = [
        Self::Open,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Rename,
        Self::Unlink,
        Self::Truncate,
        Self::Allocate,
        Self::Mkdir,
        Self::Statvfs,
    ];
}

/// The switch for one daemon's calls below one directory.
#[derive(Debug)]
pub struct FailingCalls {
    control: File,
    path: PathBuf,
    library: PathBuf,
}

impl FailingCalls {
    /// Builds the library with the system's C compiler; its files are put into `dir`.
    ///
    /// # Panics
    /// When it does not compile.
    #[must_use]
    pub fn build(dir: &Path) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/checks/failing_calls.c");
        let (path, library) = (dir.join("control"), dir.join("failing_calls.so"));
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        let built = compiler.output().expect("there is a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        std::fs::write(&path, [0; 40]).expect("the control file can be written");
        let control = File::options().read(true).write(true).open(&path).expect("the control file opens");
        Self { control, path, library }
    }

    /// From its next start on, this daemon's calls below `files` can fail.
    pub fn preload(&self, daemon: &mut Daemon, files: &Path) {
        daemon.set_environment("LD_PRELOAD", &self.library.display().to_string());
        daemon.set_environment("RESTANTE_FAULT_CONTROL", &self.path.display().to_string());
        daemon.set_environment("RESTANTE_FAULT_DIR", &files.display().to_string());
    }

    /// After `skip` calls of this kind, so many fail with this error; a write has written its first half then, if
    /// `half`.
    ///
    /// # Panics
    /// When the control file is gone.
    pub fn arm(&self, call: Call, skip: u32, times: u32, errno: i32, half: bool) {
        self.heal();
        let numbers = [call as u32, skip, times, errno.unsigned_abs(), u32::from(half), 0, 0, 0, 0, 0];
        self.set(&numbers);
    }

    /// These sectors (of 512 octets) of a file cannot be read any more.
    ///
    /// # Panics
    /// When the file or the control file is gone.
    pub fn spoil(&self, file: &Path, sectors: std::ops::Range<u32>) {
        self.heal();
        let inode = file.metadata().expect("the file is there").ino();
        let inode = u32::try_from(inode & u64::from(u32::MAX)).expect("32 bits");
        let errno = nix::libc::EIO.unsigned_abs();
        self.set(&[Call::Read as u32, 0, u32::MAX, errno, 0, 0, 0, inode, sectors.start, sectors.end]);
    }

    fn set(&self, numbers: &[u32; 10]) {
        // The call last: from then on it is meant.
        for (number, value) in numbers.iter().enumerate().rev() {
            self.control.write_all_at(&value.to_ne_bytes(), number as u64 * 4).expect("a control file");
        }
    }

    /// Nothing fails any more; so many calls failed.
    ///
    /// # Panics
    /// When the control file is gone.
    pub fn heal(&self) -> u32 {
        for number in [0, 2] {
            self.control.write_all_at(&[0; 4], number * 4).expect("a control file");
        }
        self.failed()
    }

    /// Calls that failed since it was armed.
    ///
    /// # Panics
    /// When the control file is gone.
    #[must_use]
    pub fn failed(&self) -> u32 {
        let mut numbers = Vec::new();
        let mut file = File::open(&self.path).expect("the control file opens");
        file.read_to_end(&mut numbers).expect("the control file can be read");
        u32::from_ne_bytes(numbers[20..24].try_into().expect("four octets"))
    }
}
