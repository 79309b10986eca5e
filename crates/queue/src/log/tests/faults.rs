//! Writes and syncs that fail, and disks that are full.

use std::io;
use std::sync::Weak;

use nix::libc::{EIO, ENOSPC};
use restante_types::DeliveryState;

use super::*;
use crate::disk::sim::OpKind;
use crate::disk::{Access, DiskFile, FileSystemRoom};
use crate::stats::IntakeHealth;

fn try_one(log: &mut Bench, number: u64) -> Result<Place, StoreError> {
    let content = log.try_seal(&octets(number, 300))?;
    log.try_append(vec![message(number, 1, content)]).remove(0)
}

/// The segment that failed is never written or synced again, and nothing is acknowledged before a new one works.
#[test]
fn a_failed_write_or_sync_costs_no_acknowledged_message_and_gives_no_receipt() {
    for (kind, errno) in
        [(OpKind::Write, EIO), (OpKind::Sync, EIO), (OpKind::Write, ENOSPC), (OpKind::Sync, ENOSPC)]
    {
        for nth in 0..12 {
            let sim = SimDisk::default();
            let mut log = Bench::open(&sim, small()).unwrap();
            sim.fail(kind, nth, 1, errno);
            let (mut kept, mut refused) = (Vec::new(), Vec::new());
            for number in 1..15 {
                match try_one(&mut log, number) {
                    Ok(place) => kept.push((number, place)),
                    Err(error) => {
                        assert_eq!(matches!(error, StoreError::Full), errno == ENOSPC, "{error}");
                        refused.push(number);
                        assert!(try_one(&mut log, 100 + number).is_err(), "closed until a new segment works");
                        assert_ne!(log.shared.intake(), IntakeHealth::Open);
                        log.now += Duration::from_secs(5);
                    }
                }
            }
            assert_eq!(refused.len(), 1, "{kind:?} {nth}: {refused:?}");
            assert_eq!(log.shared.intake(), IntakeHealth::Open);
            // What the kernel called clean and never wrote must not have been acknowledged.
            let found = sim.after_power_loss(crate::disk::sim::Loss::All, 0);
            let after = Bench::open(&found, small()).unwrap();
            let (live, damaged) = after.scan();
            assert_eq!(damaged, []);
            for (number, place) in &kept {
                assert_eq!(live[&id(*number)].0, *place);
                assert_eq!(after.content(*place).unwrap(), octets(*number, 300));
            }
            // The refused one is not there after a mere restart either.
            assert_eq!(log.kill().scan().0.len(), kept.len());
        }
    }
}

#[test]
fn intake_stays_closed_with_growing_pauses_until_a_segment_can_be_made() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let first = log.append(1, 1, b"before");
    sim.fail(OpKind::Sync, 0, 1, EIO);
    sim.fail(OpKind::SyncDir, 0, 3, EIO);
    assert!(try_one(&mut log, 2).is_err());
    let start = log.now;
    let mut opened = None;
    for millis in (0..20_000).step_by(100) {
        log.now = start + Duration::from_millis(millis);
        if try_one(&mut log, 3 + millis).is_ok() {
            opened = Some(millis);
            break;
        }
        assert!(matches!(log.shared.intake(), IntakeHealth::Failing(_)));
    }
    // Tried after 1, then 2, then 4 (the most allowed), then 4 seconds more.
    assert_eq!(opened, Some(11_000));
    assert_eq!(log.content(first).unwrap(), b"before");
}

#[test]
fn marks_on_a_failed_segment_go_beside_it_and_into_it_at_the_next_start() {
    for (kind, errno) in [(OpKind::Write, EIO), (OpKind::Sync, EIO)] {
        let sim = SimDisk::default();
        let mut log = Bench::open(&sim, small()).unwrap();
        let places: Vec<_> = (1..4).map(|n| log.append(n, 2, b"x")).collect();
        log.mark(vec![Mark {
            place: places[0],
            recipient: 0,
            state: StateByte::new(DeliveryState::Delivered),
        }])
        .unwrap();
        sim.fail(kind, 0, 1, errno);
        let delivered = StateByte::new(DeliveryState::Delivered);
        let both =
            places.iter().map(|place| Mark { place: *place, recipient: 1, state: delivered }).collect();
        log.mark(both).unwrap();
        let held = StateByte::QUEUED.with_held(true);
        log.mark(vec![Mark { place: places[2], recipient: 0, state: held }]).unwrap();
        let expected = [[delivered, delivered], [StateByte::QUEUED, delivered], [held, delivered]];
        let check = |log: &Bench| {
            for (place, states) in places.iter().zip(expected) {
                assert_eq!(log.read(*place).unwrap().states, states);
            }
        };
        check(&log);
        assert_eq!(log.scan().0.len(), 2, "the first is done, as the scan sees");
        let next = log.append(9, 1, b"y");
        assert!(next.segment > places[0].segment, "no message goes into a segment whose mark failed");
        let found = sim.after_power_loss(crate::disk::sim::Loss::All, 0);
        let after = Bench::open(&found, small()).unwrap();
        check(&after);
        assert!(!found.files().iter().any(|path| path.extension().is_some_and(|end| end == "marks")));
        check(&after.kill());
    }
}

#[test]
fn marks_that_cannot_be_kept_anywhere_are_not_acknowledged() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, b"x");
    sim.fail(OpKind::Sync, 0, 100, EIO);
    let mark = Mark { place, recipient: 0, state: StateByte::PURGED };
    assert!(matches!(log.mark(vec![mark]), Err(StoreError::Unavailable(_))));
    sim.heal();
    log.mark(vec![mark]).unwrap();
    assert!(log.read(place).unwrap().states[0].is_purged());
}

#[test]
fn a_full_disk_refuses_and_takes_mail_again_once_there_is_room() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let mut places: Vec<_> = (1..60).map(|n| log.append(n, 1, &octets(n, 300))).collect();
    let used: u64 = sim.files().iter().map(|path| sim.octets(path).len() as u64).sum();
    sim.set_capacity(Some(used));
    let mut number = 60;
    while let Ok(place) = try_one(&mut log, number) {
        places.push(place);
        number += 1;
        assert!(number < 100, "the disk is full");
    }
    assert!(matches!(try_one(&mut log, 200), Err(StoreError::Full)));
    assert_eq!(log.shared.intake(), IntakeHealth::LowDisk);
    // A start on the full disk: mail must still go out.
    let mut log = log.kill();
    assert_eq!(log.scan().0.len(), places.len());
    assert!(try_one(&mut log, 201).is_err());
    for place in &places[..40] {
        log.mark_all(*place, 1, StateByte::PURGED);
    }
    log.forget(places[..40].to_vec());
    log.now += Duration::from_secs(5);
    try_one(&mut log, 300).unwrap();
    assert_eq!(log.scan().0.len(), places.len() - 40 + 1);
}

#[test]
fn a_full_disk_while_content_comes_in_is_said_and_leaves_no_file() {
    let sim = SimDisk::default();
    let log = Bench::open(&sim, small()).unwrap();
    let files = sim.files().len();
    for kind in [OpKind::Create, OpKind::Write, OpKind::Sync] {
        sim.fail(kind, 0, 1, ENOSPC);
        assert!(matches!(log.try_seal(&octets(1, 5000)), Err(StoreError::Full)));
        sim.fail(kind, 0, 1, EIO);
        assert!(matches!(log.try_seal(&octets(1, 5000)), Err(StoreError::Unavailable(_))));
        assert_eq!((sim.files().len(), log.shared.spool.used()), (files, 0));
    }
    assert!(log.shared.refusal().is_none(), "one message's trouble does not close intake");
}

/// A disk that does something at the next sync of a segment.
#[derive(Debug)]
struct Meddling {
    inner: SimDisk,
    at_sync: Arc<Mutex<Option<Weak<Shared>>>>,
}

#[derive(Debug)]
struct MeddlingFile {
    inner: Arc<dyn DiskFile>,
    at_sync: Arc<Mutex<Option<Weak<Shared>>>>,
}

impl DiskFile for MeddlingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(octets, offset)
    }
    fn sync(&self) -> io::Result<()> {
        if let Some(shared) = self.at_sync.lock().unwrap().take().and_then(|weak| weak.upgrade()) {
            // A mark on the same segment sees the failure of a sync that was this group's, too.
            shared.fail_segment(shared.position().segment, &"a mark failed");
        }
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.inner.preallocate(len)
    }
    fn punch(&self, from: u64, len: u64) -> io::Result<()> {
        self.inner.punch(from, len)
    }
}

impl Disk for Meddling {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.make_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let at_sync = Arc::clone(&self.at_sync);
        self.inner.create(path).map(|inner| Arc::new(MeddlingFile { inner, at_sync }) as Arc<dyn DiskFile>)
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.open(path, access)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn room(&self, path: &Path) -> io::Result<FileSystemRoom> {
        self.inner.room(path)
    }
}

#[test]
fn a_group_whose_segment_failed_during_its_sync_is_not_acknowledged() {
    let at_sync = Arc::new(Mutex::new(None));
    let disk = Arc::new(Meddling { inner: SimDisk::default(), at_sync: Arc::clone(&at_sync) });
    let mut log = Bench::open_in(disk, &data_dir(), small(), Arc::new(runtime())).unwrap();
    let first = log.append(1, 1, b"first");
    *at_sync.lock().unwrap() = Some(Arc::downgrade(&log.shared));
    assert!(try_one(&mut log, 2).is_err());
    log.now += Duration::from_secs(5);
    assert!(log.append(3, 1, b"third").segment > first.segment);
    assert_eq!(log.scan().0.len(), 2);
}
