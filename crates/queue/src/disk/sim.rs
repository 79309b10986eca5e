//! A disk in memory that forgets what was not synced, fails when told to, and has as much room as it is given.

mod loss;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Access, Disk, DiskFile, FileSystemRoom};

use loss::FileChange;
pub(crate) use loss::Loss;

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OpKind {
    Create,
    Write,
    Sync,
    SyncDir,
    Rename,
    Remove,
    SetLen,
    Punch,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(u64, FileChange)>,
}

#[derive(Debug, Clone)]
enum NameOp {
    Link(PathBuf, u64),
    Unlink(PathBuf),
}

impl NameOp {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Link(path, _) | Self::Unlink(path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link(path, inode) => names.insert(path.clone(), *inode),
            Self::Unlink(path) => names.remove(path),
        };
    }
}

#[derive(Debug, Clone)]
struct Fault {
    kind: OpKind,
    skip: u64,
    times: u64,
    errno: i32,
}

#[derive(Debug, Default)]
struct State {
    inodes: HashMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<(u64, NameOp)>,
    dirs: BTreeSet<PathBuf>,
    next_inode: u64,
    ops: u64,
    off_at: Option<u64>,
    faults: Vec<Fault>,
    /// This kind of sync is confirmed and does nothing.
    lies: Option<OpKind>,
    /// Octets that cannot be read any more.
    spoilt: Option<(PathBuf, std::ops::Range<u64>)>,
    capacity: Option<u64>,
    punched: u64,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    /// Counts an operation: true if the power goes off with it.
    fn begin(&mut self, kind: OpKind) -> io::Result<bool> {
        if self.is_off() {
            return Err(off());
        }
        self.ops += 1;
        for fault in &mut self.faults {
            if fault.kind != kind {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                return Err(io::Error::from_raw_os_error(fault.errno));
            }
        }
        Ok(self.is_off())
    }

    fn is_off(&self) -> bool {
        self.off_at.is_some_and(|at| self.ops >= at)
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].current.len() as u64).sum()
    }

    fn change(&mut self, inode: u64, kind: OpKind, op: FileChange) -> io::Result<()> {
        let last = self.begin(kind)?;
        let len = self.inodes[&inode].current.len() as u64;
        let grows = match &op {
            FileChange::Write(offset, data) => (offset + data.len() as u64).saturating_sub(len),
            FileChange::SetLen(to) => to.saturating_sub(len),
            FileChange::Punch(_, octets) => {
                self.punched += octets;
                0
            }
        };
        if grows > 0 && self.capacity.is_some_and(|capacity| self.used() + grows > capacity) {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        }
        let sequence = self.ops;
        let inode = self.inodes.get_mut(&inode).expect("it has a handle");
        op.apply(&mut inode.current);
        inode.pending.push((sequence, op));
        if last { Err(off()) } else { Ok(()) }
    }

    fn change_names(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.pending_names.push((self.ops, op));
    }
}

impl SimDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }

    /// Operations so far that change something.
    pub(crate) fn ops(&self) -> u64 {
        self.lock().ops
    }

    /// Octets punched so far.
    pub(crate) fn punched(&self) -> u64 {
        self.lock().punched
    }

    /// Lets the power go off with this operation, counted from the beginning.
    pub(crate) fn power_off_at(&self, op: u64) {
        self.lock().off_at = Some(op);
    }

    /// Makes operations fail: after `skip` of them, so many times.
    pub(crate) fn fail(&self, kind: OpKind, skip: u64, times: u64, errno: i32) {
        self.lock().faults.push(Fault { kind, skip, times, errno });
    }

    /// From now on, after losses of power too, this kind of sync is confirmed and does nothing: what a test of the loss
    /// of power must find out.
    pub(crate) fn lie(&self, kind: OpKind) {
        self.lock().lies = Some(kind);
    }

    /// These octets of a file cannot be read any more.
    pub(crate) fn spoil(&self, path: &Path, octets: std::ops::Range<u64>) {
        self.lock().spoilt = Some((path.into(), octets));
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.spoilt = None;
    }

    /// Sets how much it holds.
    pub(crate) fn set_capacity(&self, octets: Option<u64>) {
        self.lock().capacity = octets;
    }

    /// A file's octets as a reader sees them now.
    pub(crate) fn octets(&self, path: &Path) -> Vec<u8> {
        let state = self.lock();
        state.inodes[&state.names[path]].current.clone()
    }

    /// Flips one bit of a file, on the disk and in memory.
    pub(crate) fn flip(&self, path: &Path, bit: u64) {
        let mut state = self.lock();
        let inode = state.names[path];
        let inode = state.inodes.get_mut(&inode).expect("it has a name");
        inode.current[(bit / 8) as usize] ^= 1 << (bit % 8);
        inode.durable = inode.current.clone();
    }

    /// Puts a file there, durably.
    pub(crate) fn plant(&self, path: &Path, octets: &[u8]) {
        let mut state = self.lock();
        state.next_inode += 1;
        let number = state.next_inode;
        let inode = Inode { current: octets.to_vec(), durable: octets.to_vec(), pending: Vec::new() };
        state.inodes.insert(number, inode);
        state.names.insert(path.into(), number);
        state.durable_names.insert(path.into(), number);
    }

    /// The names of all files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// The disk as it is found after a loss of power now; this one is left as it is.
    pub(crate) fn after_power_loss(&self, loss: Loss, seed: u64) -> Self {
        let state = self.lock();
        let mut rng = StdRng::seed_from_u64(seed);
        let cut = rng.random_range(0..=state.ops);
        let chance = rng.random_range(0.1..0.9);
        let mut keep = |sequence: u64| loss.keeps(sequence, cut, chance, &mut rng);
        let mut names = state.durable_names.clone();
        for (sequence, op) in &state.pending_names {
            if keep(*sequence) {
                op.apply(&mut names);
            }
        }
        let mut inodes = HashMap::new();
        for number in names.values() {
            let inode = &state.inodes[number];
            let octets = loss::found(&inode.durable, &inode.pending, &mut keep);
            let found = Inode { current: octets.clone(), durable: octets, pending: Vec::new() };
            inodes.insert(*number, found);
        }
        let found = State {
            inodes,
            durable_names: names.clone(),
            names,
            dirs: state.dirs.clone(),
            next_inode: state.next_inode,
            lies: state.lies,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(found)) }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    writable: bool,
}

impl SimFile {
    fn change(&self, kind: OpKind, op: FileChange) -> io::Result<()> {
        assert!(self.writable, "a file opened for reading is written");
        self.disk.lock().change(self.inode, kind, op)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        if state.is_off() {
            return Err(off());
        }
        if let Some((path, bad)) = &state.spoilt
            && state.names.get(path) == Some(&self.inode)
            && offset < bad.end
            && offset + buffer.len() as u64 > bad.start
        {
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        let octets = &state.inodes[&self.inode].current;
        let from = (offset as usize).min(octets.len());
        let got = buffer.len().min(octets.len() - from);
        buffer[..got].copy_from_slice(&octets[from..from + got]);
        Ok(got)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.change(OpKind::Write, FileChange::Write(offset, octets.to_vec()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let begun = state.begin(OpKind::Sync);
        if begun.is_ok() && state.lies == Some(OpKind::Sync) {
            return Ok(());
        }
        let inode = state.inodes.get_mut(&self.inode).expect("it has a handle");
        match begun {
            Ok(false) => {
                for (_, op) in std::mem::take(&mut inode.pending) {
                    op.apply(&mut inode.durable);
                }
                Ok(())
            }
            Ok(true) => Err(off()),
            Err(error) => {
                // As Linux does it: what could not be written counts as clean from here on, so that the next sync
                // succeeds without having written it.
                inode.pending.clear();
                Err(error)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes[&self.inode].current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(OpKind::SetLen, FileChange::SetLen(len))
    }

    fn preallocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn punch(&self, from: u64, len: u64) -> io::Result<()> {
        self.change(OpKind::Punch, FileChange::Punch(from, len))
    }
}

impl SimDisk {
    fn handle(&self, inode: u64, writable: bool) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), inode, writable })
    }
}

impl Disk for SimDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.lock().dirs.insert(path.into());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let last = state.begin(OpKind::Create)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.next_inode += 1;
        let inode = state.next_inode;
        state.inodes.insert(inode, Inode::default());
        state.change_names(NameOp::Link(path.into(), inode));
        drop(state);
        if last { Err(off()) } else { Ok(self.handle(inode, true)) }
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        if state.is_off() {
            return Err(off());
        }
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.handle(inode, access == Access::Write))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let last = state.begin(OpKind::Rename)?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(NameOp::Link(to.into(), inode));
        state.change_names(NameOp::Unlink(from.into()));
        if last { Err(off()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let last = state.begin(OpKind::Remove)?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(NameOp::Unlink(path.into()));
        if last { Err(off()) } else { Ok(()) }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        Ok(names.map(|path| name(path).expect("names are text")).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.begin(OpKind::SyncDir)? {
            return Err(off());
        }
        if state.lies == Some(OpKind::SyncDir) {
            return Ok(());
        }
        let (done, left) = std::mem::take(&mut state.pending_names)
            .into_iter()
            .partition(|(_, op): &(u64, NameOp)| op.dir() == Some(dir));
        state.pending_names = left;
        for (_, op) in Vec::<(u64, NameOp)>::into_iter(done) {
            op.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn room(&self, _: &Path) -> io::Result<FileSystemRoom> {
        let state = self.lock();
        let total = state.capacity.unwrap_or(1 << 40);
        let free = total.saturating_sub(state.used());
        Ok(FileSystemRoom { total, free, total_inodes: 0, free_inodes: 0 })
    }
}
