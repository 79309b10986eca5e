//! The same on the real disk, with the threads.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::disk::RealDisk;
use crate::log::{ContentLog, Durable};

fn blocks(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

fn real(dir: &Path, options: LogOptions) -> Bench {
    Bench::open_in(Arc::new(RealDisk), dir, options, Arc::new(runtime())).unwrap()
}

#[test]
fn holes_give_blocks_back_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = real(dir.path(), LogOptions { segment_size: 1 << 20, inline_max: 64 << 10, ..small() });
    let places: Vec<_> = (1..200).map(|n| log.append(n, 1, &octets(n, 4000))).collect();
    let mut log = log.restart();
    let path = log.shared.segment(1).unwrap().path.clone();
    let before = blocks(&path);
    assert!(before >= 199 * 4000);
    for place in &places[10..190] {
        log.mark_all(*place, 1, StateByte::PURGED);
    }
    log.forget(places[10..190].to_vec());
    let after = blocks(&path);
    assert!(after + 170 * 4000 < before, "{before} {after}");
    let log = log.kill();
    assert_eq!(blocks(&path), after);
    assert_eq!(log.scan().0.len(), 19);
    for at in (0..10).chain(190..199) {
        assert_eq!(log.content(places[at]).unwrap(), octets(at as u64 + 1, 4000));
    }
}

#[test]
fn only_the_owner_may_look() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = real(dir.path(), small());
    log.append(1, 1, &octets(1, 5000));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["log", "large", "incoming"] {
        assert_eq!(mode(&dir.path().join(name)), 0o700, "{name}");
        for file in std::fs::read_dir(dir.path().join(name)).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
    }
}

#[test]
fn many_sessions_at_once_get_their_receipts_and_see_their_messages() {
    let dir = tempfile::tempdir().unwrap();
    let seen: Arc<Mutex<BTreeMap<QueueId, Place>>> = Arc::default();
    let visible = Arc::clone(&seen);
    let on_durable = Box::new(move |group: Vec<Durable>| {
        visible.lock().unwrap().extend(group.into_iter().map(|one| (one.message.id, one.place)));
    });
    let options = LogOptions { segment_size: 256 << 10, inline_max: 4 << 10, ..small() };
    let (log, _) = ContentLog::open(dir.path(), options.clone(), on_durable).unwrap();
    let log = Arc::new(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for session in 0..20_u64 {
            let (log, seen) = (Arc::clone(&log), Arc::clone(&seen));
            tasks.push(tokio::spawn(async move {
                for n in 0..25 {
                    let number = session * 100 + n + 1;
                    let mut buffer = log.begin_content();
                    buffer.append(&octets(number, (number as usize * 37) % 6000));
                    let sealed = buffer.seal().await.unwrap();
                    let (done, answer) = oneshot::channel();
                    log.append(message(number, 1, sealed), done);
                    assert_eq!(answer.await.unwrap().unwrap().id(), id(number));
                    let place = *seen.lock().unwrap().get(&id(number)).expect("visible before its receipt");
                    if n % 2 == 0 {
                        let (done, answer) = oneshot::channel();
                        log.mark(vec![Mark { place, recipient: 0, state: StateByte::PURGED }], done);
                        answer.await.unwrap().unwrap();
                        log.forget(place);
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    log.close();
    let (done, mut answer) = oneshot::channel();
    log.append(message(9999, 1, runtime.block_on(log.begin_content().seal()).unwrap()), done);
    assert!(matches!(answer.try_recv().unwrap(), Err(StoreError::Unavailable(_))));
    let bench = real(dir.path(), options);
    assert_eq!(bench.report.unclean, 0, "closed in order");
    let (live, damaged) = bench.scan();
    assert_eq!((live.len(), damaged.len()), (20 * 12, 0));
    for (id, (place, _)) in live {
        assert_eq!(seen.lock().unwrap()[&id], place);
        let number = (u128::from_be_bytes(id.to_bytes()) >> 80) as u64;
        assert_eq!(bench.content(place).unwrap(), octets(number, (number as usize * 37) % 6000));
    }
}

#[test]
fn a_copy_is_a_log_of_its_own_while_the_first_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = real(dir.path(), small());
    let places: Vec<_> = (1..40).map(|n| log.append(n, 1, &octets(n, n as usize * 60))).collect();
    log.mark_all(places[3], 1, StateByte::PURGED);
    log.mark_all(places[4], 1, StateByte::QUEUED.with_held(true));
    let to = dir.path().join("copy");
    assert_eq!(log.shared.copy_to(&to).unwrap(), 38);
    assert!(log.shared.copy_to(&to).is_err(), "never over another log");
    log.append(50, 1, b"later");
    let copy = real(&to, small());
    assert_eq!((copy.report.unclean, copy.report.newest), (0, Some(id(39))));
    let (live, damaged) = copy.scan();
    assert_eq!((live.len(), damaged.len()), (38, 0));
    assert!(live[&id(5)].1.states[0].is_held());
    for (n, place) in (1..40).zip(places) {
        assert_eq!(copy.content(place).unwrap(), octets(n, n as usize * 60));
    }
    assert_eq!(log.scan().0.len(), 39);
}
