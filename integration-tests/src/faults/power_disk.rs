//! A disk whose power can fail: one file in a file system of our own (FUSE), for a loop device to stand on.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, FileAttr, FileType, Filesystem, KernelConfig, MountOption, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
};
use tempfile::TempDir;

use super::volatile::{Volatile, copy_data};
use super::{Chance, Loss, Snapshot};

const ROOT: u64 = 1;
const DISK: u64 = 2;
const NAME: &str = "disk.img";
const ALWAYS: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    disk: Volatile,
    /// Writes until the disk stands still; at 0 it does.
    still_in: Option<u64>,
    /// Writes count from so many unflushed ones on.
    unflushed: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the disk")
    }

    /// Counts a write, and waits where it was the one to stop at.
    fn written(&self, mut state: MutexGuard<'_, State>) {
        let Some(left @ 1..) = state.still_in else { return };
        if state.disk.unflushed() < state.unflushed {
            return;
        }
        state.still_in = Some(left - 1);
        self.moved.notify_all();
        while state.still_in == Some(0) {
            state = self.moved.wait(state).expect("nobody panics with the disk");
        }
    }
}

/// The disk; gone when dropped. Whatever is mounted on it has to go first.
#[derive(Debug)]
pub struct PowerDisk {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
    dir: TempDir,
}

impl PowerDisk {
    /// A disk of so many octets; `format` writes a file system into the file that it is given.
    ///
    /// # Errors
    /// When FUSE or the temporary directory do not work.
    pub fn new(octets: u64, format: impl FnOnce(&Path)) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("restante-power-").tempdir()?;
        let open = |name: &str| {
            File::options().create(true).truncate(false).read(true).write(true).open(dir.path().join(name))
        };
        open("current")?.set_len(octets)?;
        format(&dir.path().join("current"));
        let (current, durable) = (open("current")?, open("durable")?);
        durable.set_len(octets)?;
        copy_data(&current, &durable)?;
        let disk = Volatile::new(current, durable)?;
        let state = Mutex::new(State { disk, still_in: None, unflushed: 0 });
        let shared = Arc::new(Shared { state, moved: Condvar::new() });
        let mount = dir.path().join("fuse");
        std::fs::create_dir(&mount)?;
        let options = [MountOption::FSName("restante-power".into()), MountOption::DefaultPermissions];
        let session = fuser::spawn_mount2(OneFile(Arc::clone(&shared)), &mount, &options)?;
        Ok(Self { shared, session: Some(session), dir })
    }

    /// The file that is the disk.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.dir.path().join("fuse").join(NAME)
    }

    /// A place for files beside the disk.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// From now on flushes are confirmed and nothing is kept: what a test must find out.
    pub fn lie(&self) {
        self.shared.lock().disk.lie();
    }

    /// Writes and flushes so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let state = self.shared.lock();
        (state.disk.writes(), state.disk.flushes())
    }

    /// The disk as it would be found after a loss of power so many writes from now on, and with so many unflushed ones
    /// (two seconds from now at the latest); `at` runs at that moment, while the disk stands still.
    ///
    /// # Errors
    /// When the image cannot be written.
    pub fn snapshot<T>(
        &self,
        to: &Path,
        (writes, unflushed): (u64, usize),
        loss: Loss,
        chance: &mut Chance,
        at: impl FnOnce() -> T,
    ) -> io::Result<(Snapshot, T)> {
        let mut state = self.shared.lock();
        (state.still_in, state.unflushed) = (Some(writes.max(1)), unflushed);
        let still = |state: &mut State| state.still_in != Some(0);
        let patience = Duration::from_secs(2);
        let waited = self.shared.moved.wait_timeout_while(state, patience, still);
        let (mut state, _) = waited.expect("nobody panics with the disk");
        let known = at();
        let seen = state.disk.snapshot(to, loss, chance);
        state.still_in = None;
        self.shared.moved.notify_all();
        Ok((seen?, known))
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.join();
        }
    }
}

/// The file system: a directory with one file.
struct OneFile(Arc<Shared>);

impl OneFile {
    fn attributes(&self, ino: u64) -> FileAttr {
        let (kind, perm, size) = match ino {
            DISK => (FileType::RegularFile, 0o600, self.0.lock().disk.size()),
            _ => (FileType::Directory, 0o700, 0),
        };
        FileAttr {
            ino,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(nix::libc::EIO)
}

impl Filesystem for OneFile {
    fn init(&mut self, _: &Request<'_>, config: &mut KernelConfig) -> Result<(), i32> {
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        if parent == ROOT && name == NAME {
            reply.entry(&ALWAYS, &self.attributes(DISK), 0);
        } else {
            reply.error(nix::libc::ENOENT);
        }
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _: Option<u64>, reply: ReplyAttr) {
        reply.attr(&ALWAYS, &self.attributes(ino));
    }

    fn open(&mut self, _: &Request<'_>, _: u64, _: i32, reply: ReplyOpen) {
        reply.opened(0, 0);
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        match self.0.lock().disk.read(offset.unsigned_abs(), size.into()) {
            Ok(octets) => reply.data(&octets),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        octets: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        let mut state = self.0.lock();
        let result = state.disk.write(offset.unsigned_abs(), octets);
        self.0.written(state);
        match result {
            Ok(()) => reply.written(u32::try_from(octets.len()).unwrap_or(0)),
            Err(error) => reply.error(errno(&error)),
        }
    }

    /// A file that is closed is not flushed by it.
    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, _: u64, _: u64, _: bool, reply: ReplyEmpty) {
        match self.0.lock().disk.flush() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readdir(&mut self, _: &Request<'_>, _: u64, _: u64, offset: i64, mut reply: ReplyDirectory) {
        if offset == 0 {
            let _ = reply.add(DISK, 1, FileType::RegularFile, NAME);
        }
        reply.ok();
    }
}
