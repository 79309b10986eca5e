//! Content in files of its own.

use nix::libc::EIO;

use super::*;
use crate::disk::sim::{Loss, OpKind};

fn names(sim: &SimDisk, dir: &str) -> Vec<String> {
    let all = sim.files();
    all.iter()
        .filter(|path| path.starts_with(data_dir().join(dir)))
        .map(|path| path.display().to_string())
        .collect()
}

#[test]
fn large_content_gets_a_file_and_loses_it_when_it_is_done() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let large = octets(1, 700_000);
    let place = log.append(1, 1, &large);
    assert_eq!((names(&sim, "large").len(), names(&sim, "incoming").len()), (1, 0));
    let mut log = log.restart();
    assert_eq!(log.read(place).unwrap().size, 700_000);
    assert_eq!(log.content(place).unwrap(), large);
    log.append(2, 1, b"small");
    log.mark_all(place, 1, StateByte::PURGED);
    assert_eq!(log.content(place).unwrap(), large, "there until it is forgotten");
    log.forget([place]);
    assert_eq!(names(&sim, "large").len(), 0);
    assert!(matches!(log.read(place), Err(StoreError::NotFound)));
    assert!(matches!(log.content(place), Err(StoreError::NotFound)));
}

#[test]
fn a_reader_hands_out_pieces_and_the_last_one_only_if_all_was_right() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let large = octets(1, 700_000);
    let place = log.append(1, 1, &large);
    let small_place = log.append(2, 1, &octets(2, 900));
    let read = |log: &Bench, place| {
        let mut reader = log.shared.content(place).unwrap();
        log.runtime.block_on(async move {
            let mut all = Vec::new();
            loop {
                let before = reader.remaining();
                match reader.next().await {
                    Ok(Some(piece)) => {
                        assert!(piece.len() <= 64 << 10);
                        assert_eq!(reader.remaining(), before - piece.len() as u64);
                        all.extend_from_slice(&piece);
                    }
                    Ok(None) => return (all, Ok(())),
                    Err(error) => {
                        assert!(reader.next().await.is_err(), "a failure never looks like the end");
                        return (all, Err(error));
                    }
                }
            }
        })
    };
    let (all, end) = read(&log, place);
    assert_eq!((all, end.is_ok()), (large, true));
    let path = sim.files().into_iter().find(|path| path.starts_with("/data/large")).unwrap();
    sim.flip(&path, 8 * 5);
    let (some, end) = read(&log, place);
    assert!(matches!(end, Err(StoreError::Damaged(_))));
    assert!(some.len() < 700_000);
    let segment = log.shared.segment(small_place.segment).unwrap();
    sim.flip(&segment.path, u64::from(small_place.offset) * 8 + 8 * 600);
    let (some, end) = read(&log, small_place);
    assert!(matches!(end, Err(StoreError::Damaged(_))));
    assert!(some.is_empty());
}

/// Content with a head: the head in the record, the rest in a file.
fn headed(log: &mut Bench, number: u64, head: &[u8], content: &[u8]) -> Place {
    let sealed = log.try_seal(content).unwrap().with_head(head.to_vec().into());
    log.try_append(vec![message(number, 1, sealed)]).remove(0).unwrap()
}

#[test]
fn a_head_lies_in_the_record_and_is_read_before_the_file() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let (head, content) = (octets(7, 3000), octets(1, 700_000));
    let place = headed(&mut log, 1, &head, &content);
    let all = [&head[..], &content].concat();
    for restarted in [false, true] {
        if restarted {
            log = log.kill();
            assert_eq!(log.report.left_over_files, 0);
        }
        assert_eq!(log.read(place).unwrap().size, all.len() as u64);
        let reader = log.shared.content(place).unwrap();
        assert_eq!(reader.remaining(), all.len() as u64);
        assert!(reader.read_all().unwrap() == all);
    }
    let segment = log.shared.segment(place.segment).unwrap();
    let at = sim.octets(&segment.path).windows(64).position(|window| window == &head[..64]).unwrap();
    sim.flip(&segment.path, 8 * (at as u64 + 2000));
    assert!(matches!(log.content(place), Err(StoreError::Damaged(_))), "the check is over both");
    // A copy of the log has it too.
    sim.flip(&segment.path, 8 * (at as u64 + 2000));
    log.shared.copy_to(Path::new("/copy")).unwrap();
    let copy = Bench::open_in(Arc::new(sim), Path::new("/copy"), small(), Arc::new(runtime())).unwrap();
    assert!(copy.content(place).unwrap() == all);
}

#[test]
fn a_torn_head_is_a_torn_group() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = headed(&mut log, 1, &octets(7, 3000), &octets(1, 5000));
    let path = log.shared.segment(place.segment).unwrap().path.clone();
    let whole = sim.octets(&path);
    sim.plant(&path, &whole[..place.offset as usize + 1500]);
    let log = log.kill();
    assert_eq!((log.scan().0.len(), names(&sim, "large").len()), (0, 0));
    assert_eq!(log.report.damaged, []);
}

#[test]
fn a_lost_or_cut_file_is_damage_of_that_message_alone() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let (one, two) = (log.append(1, 1, &octets(1, 5000)), log.append(2, 1, &octets(2, 5000)));
    let log = log.restart();
    let path =
        sim.files().into_iter().find(|path| path.display().to_string().contains(&id(1).to_string())).unwrap();
    sim.remove(&path).unwrap();
    assert!(matches!(log.content(one), Err(StoreError::Damaged(_))));
    sim.plant(&path, &octets(1, 4000));
    assert!(matches!(log.content(one), Err(StoreError::Damaged(_))));
    assert_eq!(log.content(two).unwrap(), octets(2, 5000));
}

#[test]
fn files_without_a_record_are_removed_at_the_start_and_no_others() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, &octets(1, 5000));
    let segment = place.segment;
    sim.plant(&data_dir().join("incoming/00000000000000aa.tmp"), b"left over");
    sim.plant(&data_dir().join(format!("large/{segment:016x}-{}-{:016x}", id(7), 7)), b"no record");
    sim.plant(&data_dir().join(format!("large/{:016x}-{}-{:016x}", segment + 9, id(8), 7)), b"no segment");
    let log = log.kill();
    assert_eq!(log.report.left_over_files, 3);
    assert_eq!((names(&sim, "large").len(), names(&sim, "incoming").len()), (1, 0));
    assert_eq!(log.content(place).unwrap(), octets(1, 5000));
    assert_eq!(log.restart().report.left_over_files, 0);
}

#[test]
fn a_buffer_that_is_dropped_leaves_nothing() {
    let sim = SimDisk::default();
    let log = Bench::open(&sim, small()).unwrap();
    let sealed = log.try_seal(&octets(1, 5000)).unwrap();
    assert_eq!(names(&sim, "incoming").len(), 1);
    assert_eq!(sealed.reader().read_all().unwrap(), octets(1, 5000));
    assert_eq!(sealed.reader().read_all().unwrap(), octets(1, 5000), "more than once");
    drop(sealed);
    assert_eq!(names(&sim, "incoming").len(), 0);
}

#[test]
fn small_content_goes_to_files_too_once_the_memory_for_all_is_spent() {
    let sim = SimDisk::default();
    let options = LogOptions { inline_max: 256 << 10, memory_budget: 100_000, ..small() };
    let mut log = Bench::open(&sim, options).unwrap();
    let first = log.try_seal(&octets(1, 90_000)).unwrap();
    let second = log.try_seal(&octets(2, 40_000)).unwrap();
    assert_eq!(names(&sim, "incoming").len(), 1, "the second one spent the budget");
    let third = log.try_seal(&octets(3, 10_000)).unwrap();
    assert_eq!(names(&sim, "incoming").len(), 1, "little is kept in memory even so");
    assert!(log.shared.spool.used() <= 100_000 + 16_384);
    let group = vec![message(1, 1, first), message(2, 1, second), message(3, 1, third)];
    let places: Vec<_> = log.try_append(group).into_iter().map(Result::unwrap).collect();
    assert_eq!(log.shared.spool.used(), 0, "what is written is given back");
    for (n, len, place) in [(1, 90_000, places[0]), (2, 40_000, places[1]), (3, 10_000, places[2])] {
        assert_eq!(log.content(place).unwrap(), octets(n, len));
    }
}

#[test]
fn trouble_with_one_large_file_refuses_that_message_alone() {
    for kind in [OpKind::Rename, OpKind::SyncDir] {
        let sim = SimDisk::default();
        let mut log = Bench::open(&sim, small()).unwrap();
        log.append(1, 1, b"the segment is made");
        let (large, little) = (log.try_seal(&octets(2, 5000)).unwrap(), log.try_seal(b"little").unwrap());
        sim.fail(kind, 0, 1, EIO);
        let answers = log.try_append(vec![message(2, 1, large), message(3, 1, little)]);
        assert!(matches!(answers[0], Err(StoreError::Unavailable(_))));
        assert_eq!(log.content(*answers[1].as_ref().unwrap()).unwrap(), b"little");
        assert_eq!((names(&sim, "large").len(), names(&sim, "incoming").len()), (0, 0));
        let after = Bench::open(&sim.after_power_loss(Loss::All, 0), small()).unwrap();
        assert_eq!(after.scan().0.len(), 2);
    }
}

#[test]
fn a_file_does_not_go_before_the_mark_that_says_so_is_on_the_disk() {
    for sync_fails in [false, true] {
        let sim = SimDisk::default();
        let mut log = Bench::open(&sim, small()).unwrap();
        let place = log.append(1, 1, &octets(1, 5000));
        let segment = log.shared.segment(place.segment).unwrap();
        while log.append(2, 1, &octets(2, 900)).segment == place.segment {}
        // Another thread has written a mark and is about to sync it.
        let file = log.shared.markers.get(&segment).unwrap();
        let mark = Mark { place, recipient: 0, state: StateByte::PURGED };
        crate::log::recover::write_mark(&*file, &segment, &mark).unwrap();
        if sync_fails {
            sim.fail(OpKind::Sync, 0, 1, EIO);
        }
        log.forget([place]);
        assert_eq!(names(&sim, "large").len(), usize::from(sync_fails));
        for loss in Loss::EVERY {
            let after = Bench::open(&sim.after_power_loss(loss, 1), small()).unwrap();
            let found = after.read(place).ok().filter(|message| !message.states[0].is_done());
            assert!(found.is_none() || after.content(place).is_ok(), "{loss:?}");
        }
    }
}
