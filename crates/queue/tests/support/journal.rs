//! What a program did to its files, as `recorder.c` wrote it down, and what a loss of power would have left of it.

#[path = "../../src/disk/sim/loss.rs"]
mod loss;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use loss::FileChange;
pub(crate) use loss::Loss;

#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf, u64),
    Dir(PathBuf),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    /// In this directory it is written down.
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Link(path, _) | Self::Dir(path) | Self::Unlink(path) | Self::Rename(_, path) => {
                path.parent()
            }
        }
    }
}

/// One record of the journal.
#[derive(Debug)]
enum Record {
    Create(PathBuf, u64),
    Change(u64, FileChange),
    Name(NameChange),
    SyncBegin(u64),
    SyncEnd { path: PathBuf, inode: u64, number: u64 },
    SyncFailed { inode: u64, number: u64 },
    Said(Vec<u8>),
    Failed,
}

/// Everything that was written down, in its order.
#[derive(Debug, Default)]
pub(crate) struct Journal(Vec<Record>);

impl Journal {
    /// Reads it, up to a torn end.
    pub(crate) fn read(path: &Path) -> Self {
        let octets = std::fs::read(path).unwrap();
        let (mut rest, mut records) = (&octets[..], Vec::new());
        while let Some((head, after)) = rest.split_at_checked(48) {
            let number = |at: usize| u64::from_ne_bytes(head[at * 8..at * 8 + 8].try_into().unwrap());
            let Some((path, after)) = after.split_at_checked(number(1) as usize) else { break };
            let Some((data, after)) = after.split_at_checked(number(5) as usize) else { break };
            let path = std::str::from_utf8(path).unwrap();
            records.push(record(number(0), path, [number(2), number(3), number(4)], data));
            rest = after;
        }
        Self(records)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls of a kind, as the recorder numbers them.
    pub(crate) fn count(&self, kind: u64) -> u64 {
        let of_kind = |record: &&Record| match record {
            Record::Create(..) => kind == 1,
            Record::Change(_, FileChange::Write(..)) => kind == 2,
            // An empty file is made by opening it.
            Record::Change(_, FileChange::SetLen(len)) => kind == 3 && *len > 0,
            Record::Name(NameChange::Rename(..)) => kind == 5,
            Record::Name(NameChange::Unlink(_)) => kind == 6,
            Record::Name(NameChange::Dir(_)) => kind == 7,
            Record::SyncBegin(_) => kind == 8,
            _ => false,
        };
        self.0.iter().filter(of_kind).count() as u64
    }

    /// Where the call was that was made to fail.
    pub(crate) fn failed(&self) -> Option<usize> {
        self.0.iter().position(|record| matches!(record, Record::Failed))
    }

    /// Where a sync was confirmed, and just before each of these.
    pub(crate) fn sync_points(&self) -> Vec<usize> {
        let ends = self.0.iter().enumerate().filter(|(_, record)| matches!(record, Record::SyncEnd { .. }));
        ends.flat_map(|(at, _)| [at, at + 1]).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn record(kind: u64, path: &str, [inode, a, b]: [u64; 3], data: &[u8]) -> Record {
    match kind {
        1 => Record::Create(path.into(), inode),
        2 => Record::Change(inode, FileChange::Write(a, data.to_vec())),
        3 => Record::Change(inode, FileChange::SetLen(a)),
        4 => Record::Change(inode, FileChange::Punch(a, b)),
        5 => {
            let (from, to) = path.split_once('\n').unwrap();
            Record::Name(NameChange::Rename(from.into(), to.into()))
        }
        6 => Record::Name(NameChange::Unlink(path.into())),
        7 => Record::Name(NameChange::Dir(path.into())),
        8 => Record::SyncBegin(a),
        9 => Record::SyncEnd { path: path.into(), inode, number: a },
        10 => Record::Said(data.to_vec()),
        12 => Record::Failed,
        13 => Record::SyncFailed { inode, number: a },
        _ => panic!("the recorder does not know what {path} does"),
    }
}

/// A file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

type Names = BTreeMap<PathBuf, Node>;

/// Whether what lies there can be found depends on its directories, which may be lost or come later: see `after`.
fn apply_name(change: &NameChange, names: &mut Names) {
    match change {
        NameChange::Link(path, inode) => drop(names.insert(path.clone(), Node::File(*inode))),
        NameChange::Dir(path) => drop(names.insert(path.clone(), Node::Dir)),
        NameChange::Unlink(path) => names.retain(|name, _| !name.starts_with(path)),
        NameChange::Rename(from, to) => {
            let moved: Vec<_> = names.keys().filter(|name| name.starts_with(from)).cloned().collect();
            for name in moved {
                let Some(node) = names.remove(&name) else { continue };
                let below = name.strip_prefix(from).unwrap();
                let new = if below.as_os_str().is_empty() { to.clone() } else { to.join(below) };
                names.insert(new, node);
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<(usize, FileChange)>,
}

/// A planted fault: these syncs are confirmed and not done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deaf {
    /// Of the files in this directory.
    FilesIn(&'static str),
    /// Of this file or directory.
    Path(&'static str),
}

impl Deaf {
    fn matches(self, path: &Path) -> bool {
        match self {
            Self::FilesIn(dir) => path.parent().is_some_and(|parent| parent.ends_with(dir)),
            Self::Path(end) => path.ends_with(end),
        }
    }
}

/// What the disk holds for certain at one point of a journal, and what else it may hold.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The file systems below this only.
    root: PathBuf,
    inodes: HashMap<u64, Inode>,
    names: Names,
    durable_names: Names,
    pending_names: Vec<(usize, NameChange)>,
    begun: HashMap<u64, usize>,
    deaf: Option<Deaf>,
    unheard: usize,
    at: usize,
}

/// A state of the disk: each file with its octets, each directory with none.
pub(crate) type Found = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Replay {
    /// Begins with what was there.
    pub(crate) fn new(root: &Path, deaf: Option<Deaf>) -> Self {
        let mut replay = Self { root: root.into(), deaf, ..Self::default() };
        replay.names.insert(root.into(), Node::Dir);
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for file in std::fs::read_dir(dir).unwrap().flatten() {
                let path = file.path();
                if file.file_type().unwrap().is_dir() {
                    replay.names.insert(path.clone(), Node::Dir);
                    dirs.push(path);
                } else {
                    let inode = std::os::unix::fs::DirEntryExt::ino(&file);
                    let durable = std::fs::read(&path).unwrap();
                    replay.inodes.insert(inode, Inode { durable, pending: Vec::new() });
                    replay.names.insert(path, Node::File(inode));
                }
            }
        }
        replay.durable_names = replay.names.clone();
        replay
    }

    /// Goes on to this place in the journal; `hear` gets what is said on the way.
    pub(crate) fn go_to(&mut self, journal: &Journal, place: usize, mut hear: impl FnMut(&[u8])) {
        while self.at < place {
            match &journal.0[self.at] {
                Record::Create(path, inode) => {
                    if self.names.get(path) != Some(&Node::File(*inode)) {
                        self.inodes.insert(*inode, Inode::default());
                        self.name(NameChange::Link(path.clone(), *inode));
                    }
                }
                Record::Change(inode, change) => {
                    self.inodes.get_mut(inode).unwrap().pending.push((self.at, change.clone()));
                }
                Record::Name(change) => self.name(change.clone()),
                Record::SyncBegin(number) => drop(self.begun.insert(*number, self.at)),
                Record::SyncEnd { path, inode, number } => self.synced(path, *inode, *number),
                Record::SyncFailed { inode, number } => self.forget(*inode, *number),
                Record::Said(octets) => hear(octets),
                Record::Failed => {}
            }
            self.at += 1;
        }
    }

    fn name(&mut self, change: NameChange) {
        apply_name(&change, &mut self.names);
        // A change that concerns two directories may be found in the one and not in the other.
        match change {
            NameChange::Rename(from, to) if from.parent() != to.parent() => {
                let Some(Node::File(inode)) = self.names.get(&to) else { panic!("a directory moves far") };
                self.pending_names.push((self.at, NameChange::Link(to, *inode)));
                self.pending_names.push((self.at, NameChange::Unlink(from)));
            }
            other => self.pending_names.push((self.at, other)),
        }
    }

    /// As Linux does it: what could not be written counts as clean from here on, so that the next sync succeeds without
    /// having written it.
    fn forget(&mut self, inode: u64, number: u64) {
        let begun = self.begun[&number];
        if let Some(file) = self.inodes.get_mut(&inode) {
            file.pending.retain(|(at, _)| *at >= begun);
        }
    }

    fn synced(&mut self, path: &Path, inode: u64, number: u64) {
        let begun = self.begun[&number];
        if self.deaf.is_some_and(|deaf| deaf.matches(path)) {
            self.unheard += 1;
            return;
        }
        if let Some(file) = self.inodes.get_mut(&inode) {
            let (done, left) = std::mem::take(&mut file.pending).into_iter().partition(|(at, _)| *at < begun);
            file.pending = left;
            Vec::<(usize, FileChange)>::into_iter(done)
                .for_each(|(_, change)| change.apply(&mut file.durable));
            return;
        }
        let (done, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending_names)
            .into_iter()
            .partition(|(at, change)| *at < begun && change.dir() == Some(path));
        self.pending_names = left;
        done.into_iter().for_each(|(_, change)| apply_name(&change, &mut self.durable_names));
    }

    /// Syncs that were left out on purpose.
    pub(crate) fn unheard(&self) -> usize {
        self.unheard
    }

    /// Changes that a loss of power may undo here.
    pub(crate) fn unsynced(&self) -> usize {
        self.pending_names.len() + self.inodes.values().map(|inode| inode.pending.len()).sum::<usize>()
    }

    /// What would be found after a loss of power here, and how many changes are not in it.
    pub(crate) fn after(&self, loss: Loss, seed: u64) -> (Found, usize) {
        let mut rng = StdRng::seed_from_u64(seed);
        let chance = rng.random_range(0.1..0.9);
        // The older a change, the less is to be gained from losing it alone.
        let all = self.pending_names.iter().map(|(at, _)| *at);
        let all = all.chain(self.inodes.values().flat_map(|inode| inode.pending.iter().map(|(at, _)| *at)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        let cut = if all.is_empty() { 0 } else { all[rng.random_range(0..all.len())] };
        let mut dropped = 0;
        let mut keep = |at: usize| {
            let kept = loss.keeps(at, cut, chance, &mut rng);
            dropped += usize::from(!kept);
            kept
        };
        let mut names = self.durable_names.clone();
        for (_, change) in self.pending_names.iter().filter(|(at, _)| keep(*at)) {
            apply_name(change, &mut names);
        }
        let mut found = Found::new();
        for (path, node) in names {
            // A directory comes before what is in it.
            let dir = path.parent().map(|dir| dir.strip_prefix(&self.root));
            if let Some(Ok(dir)) = dir
                && found.get(dir) != Some(&None)
            {
                continue;
            }
            let octets = match node {
                Node::Dir => None,
                Node::File(inode) => Some(self.octets(inode, &mut keep)),
            };
            let below = path.strip_prefix(&self.root).unwrap().to_owned();
            found.insert(below, octets);
        }
        (found, dropped)
    }

    fn octets(&self, inode: u64, keep: &mut impl FnMut(usize) -> bool) -> Vec<u8> {
        let file = &self.inodes[&inode];
        loss::found(&file.durable, &file.pending, keep)
    }
}

/// Puts a state of the disk below this directory.
pub(crate) fn put(found: &Found, root: &Path) {
    for (path, octets) in found {
        let path = root.join(path);
        match octets {
            None => std::fs::create_dir_all(path).unwrap(),
            Some(octets) => std::fs::write(path, octets).unwrap(),
        }
    }
}
