//! Damage stays with the message it hit, and nothing in a mail is ever taken for a record.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::disk::sim::Loss;
use crate::log::record::{HEADER, Header, RECORD_VERSION};
use crate::log::segment;

fn segment_path(log: &Bench, place: Place) -> PathBuf {
    log.shared.segment(place.segment).unwrap().path.clone()
}

/// Flips one bit after an orderly or a disorderly end and says which messages are not what they were.
fn flip_and_count(seed: u64, orderly: bool) {
    let mut rng = StdRng::seed_from_u64(seed);
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, LogOptions { segment_size: 32 << 10, ..small() }).unwrap();
    let mut places = BTreeMap::new();
    for group in 0..6 {
        let numbers: Vec<_> = (1..5).map(|n| group * 4 + n).collect();
        let messages = numbers
            .iter()
            .map(|n| message(*n, 2, log.try_seal(&octets(*n, 100 + *n as usize * 20)).unwrap()));
        let messages = messages.collect();
        let answers = log.try_append(messages);
        places.extend(numbers.into_iter().zip(answers.into_iter().map(Result::unwrap)));
    }
    assert_eq!(log.shared.segments().len(), 1);
    let path = segment_path(&log, places[&1]);
    let end = u64::from(log.shared.position().offset);
    let mut log = if orderly { log.restart() } else { log };
    let bit = rng.random_range(0..end * 8);
    sim.flip(&path, bit);
    log = log.kill();
    let (live, damaged) = log.scan();
    assert!(damaged.len() + log.report.damaged.len() <= 2, "{damaged:?}");
    let hit = places.iter().rev().find(|(_, place)| u64::from(place.offset) <= bit / 8).map(|(n, _)| *n);
    for (n, place) in &places {
        let whole =
            live.get(&id(*n)).is_some_and(|(found, message)| {
                found == place && message.states == [StateByte::QUEUED; 2] && message.envelope == envelope(2)
            }) && log.content(*place).is_ok_and(|content| content == octets(*n, 100 + *n as usize * 20));
        assert!(whole || Some(*n) == hit, "bit {bit} of message {hit:?} damaged message {n} (seed {seed})");
    }
    // What is not whole is said to be damaged, unless it stood in the last group of a log that was killed, which
    // cannot be told from a torn one.
    if let Some(n) = hit {
        let whole = live.contains_key(&id(n)) && log.content(places[&n]).is_ok();
        let reported = !damaged.is_empty()
            || log.content(places[&n]).is_err_and(|error| matches!(error, StoreError::Damaged(_)));
        let torn = !orderly && n > 20;
        assert!(whole || reported || torn, "bit {bit} of message {n} went unnoticed (seed {seed})");
    }
    // It stays so, and mail is taken as before.
    let mut log = log.restart();
    assert_eq!(log.scan().0.len(), live.len());
    log.append(99, 1, b"next");
}

#[test]
fn a_flipped_bit_hits_one_message_at_most() {
    for seed in 0..400 {
        flip_and_count(seed, seed % 2 == 0);
    }
}

#[test]
fn a_record_like_text_in_a_mail_is_content_even_behind_damage() {
    let sim = SimDisk::default();
    let options = LogOptions { segment_size: 1 << 20, inline_max: 64 << 10, ..small() };
    let mut log = Bench::open(&sim, options).unwrap();
    let first = log.append(1, 1, &octets(1, 9000));
    let path = segment_path(&log, first);
    // The whole segment as it is, its real header and a real record in it, at every possible alignment …
    let copy = sim.octets(&path)[..8192].to_vec();
    let second = log.append(2, 1, &[vec![b'x'; 13], copy.clone()].concat());
    let shifts: Vec<_> = (0..64).map(|shift| [vec![b'x'; shift], copy[..4096].to_vec()].concat()).collect();
    let more: Vec<_> = (3..).zip(&shifts).map(|(n, shift)| (log.append(n, 1, &shift[..]), shift)).collect();
    // … and headers forged for the very places where they will stand, as only someone who reads our disk could.
    let segment = log.shared.segment(first.segment).unwrap();
    let probe = log.append(89, 1, &[b'y'; 2000]);
    let header = sim.octets(&path)[probe.offset as usize..][..HEADER].try_into().unwrap();
    let content_at = Header::decode(&header, &segment.magic, probe.offset).unwrap().content_at() as u32;
    let base = log.shared.position().offset + content_at;
    let mut forged = vec![b'y'; 2000];
    for at in (0..1900).filter(|at| (base + at).is_multiple_of(64)) {
        let header = Header::skip(base + at, 64, 64).encode(&segment.magic);
        forged[at as usize..at as usize + 64].copy_from_slice(&header);
    }
    let last = log.append(90, 1, &forged);
    let check = |log: &Bench, skip: usize| {
        let (live, damaged) = log.scan();
        assert_eq!((live.len(), damaged.len()), (68 - skip, skip));
        assert_eq!(log.content(second).ok(), (skip < 2).then(|| [vec![b'x'; 13], copy.clone()].concat()));
        for (place, content) in &more {
            assert_eq!(&log.content(*place).unwrap(), *content);
        }
        assert_eq!(log.content(last).unwrap(), forged);
    };
    check(&log, 0);
    let mut log = log.kill();
    check(&log, 0);
    // Behind a damaged header the log is searched for records: still none of the copies counts.
    log = log.restart();
    sim.flip(&path, u64::from(first.offset) * 8 + 8 * 30);
    check(&log, 1);
    sim.flip(&path, u64::from(second.offset) * 8 + 8 * 30);
    let (live, damaged) = log.scan();
    assert_eq!((live.len(), damaged.len()), (66, 1), "two adjacent damaged records are one stretch");
    assert_eq!(damaged[0].place, first);
    assert_eq!(log.kill().scan().0.len(), 66);
}

#[test]
fn a_damaged_first_sector_costs_nothing() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, b"content");
    let path = segment_path(&log, place);
    let log = log.restart();
    for bit in 0..HEADER as u64 * 8 {
        sim.flip(&path, bit);
    }
    assert_eq!(log.kill().content(place).unwrap(), b"content");
}

#[test]
fn a_damaged_stretch_is_given_up_when_somebody_says_so() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, LogOptions { segment_size: 64 << 10, ..small() }).unwrap();
    let places: Vec<_> = (1..20).map(|n| log.append(n, 1, &octets(n, 900))).collect();
    let mut log = log.restart();
    sim.flip(&segment_path(&log, places[4]), u64::from(places[4].offset) * 8);
    assert!(matches!(log.read(places[4]), Err(StoreError::Damaged(_))));
    let (_, damaged) = log.scan();
    assert_eq!(damaged.iter().map(|one| (one.place, one.id)).collect::<Vec<_>>(), [(places[4], None)]);
    log.append(50, 1, b"a newer segment");
    for (at, place) in places.iter().enumerate() {
        if at != 4 {
            log.mark_all(*place, 1, StateByte::PURGED);
        }
    }
    log.forget(places.iter().copied().filter(|place| *place != places[4]));
    assert!(log.shared.segment(places[0].segment).is_some(), "damage is kept until somebody gives it up");
    log.forget([places[4]]);
    assert!(log.shared.segment(places[0].segment).is_none());
}

#[test]
fn a_version_of_the_future_refuses_to_start_and_says_so() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, b"content");
    let path = segment_path(&log, place);
    let magic = log.shared.segment(place.segment).unwrap().magic;
    let mut octets = sim.octets(&path);
    let at = place.offset as usize;
    octets[at + 16] = RECORD_VERSION + 1;
    let crc = crc32c::crc32c(&octets[at..at + 60]);
    octets[at + 60..at + 64].copy_from_slice(&crc.to_le_bytes());
    sim.plant(&path, &octets);
    let refused = Bench::open(&sim, small()).err().unwrap().to_string();
    assert!(refused.contains("record version 3 is not known"), "{refused}");
    assert!(matches!(log.read(place), Err(StoreError::Unavailable(_))));

    let (sim, number) = (SimDisk::default(), 7);
    let mut head = segment::Segment::new(number, magic, Path::new("/"), 64).head();
    head[8] = 9;
    let crc = crc32c::crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    sim.plant(&data_dir().join("log").join(segment::file_name(number, &magic)), &head);
    let refused = Bench::open(&sim, small()).err().unwrap().to_string();
    assert!(refused.contains("segment version 9 is not known"), "{refused}");
}

/// Makes a record one of version 1: without its last octet of envelope, and with nothing in it beside a file.
fn as_version_1(sim: &SimDisk, log: &Bench, place: Place) {
    use crate::log::record::{HEADER, Header};
    let segment = log.shared.segment(place.segment).unwrap();
    let mut octets = sim.octets(&segment.path);
    let record = &mut octets[place.offset as usize..];
    let header = Header::decode(record[..HEADER].try_into().unwrap(), &segment.magic, place.offset).unwrap();
    let (begin, end) = (header.envelope_at() as usize, header.content_at() as usize);
    let envelope = record[begin..end - 1].to_vec();
    let before = Header {
        version: 1,
        envelope: header.envelope - 1,
        envelope_crc: crc32c::crc32c(&envelope),
        ..header
    };
    assert_eq!(before.record_len(), header.record_len(), "the next record stays where it is");
    record[..HEADER].copy_from_slice(&before.encode(&segment.magic));
    let behind = header.record_len() as usize;
    record.copy_within(end..behind, end - 1);
    record[behind - 1] = 0;
    sim.plant(&segment.path, &octets);
}

#[test]
fn records_of_version_1_are_read() {
    use restante_types::Vouched;
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let contents = [octets(1, 500), octets(2, 5000), octets(3, 500)];
    let mut places = Vec::new();
    for (number, content) in (1..).zip(&contents) {
        let content = log.try_seal(content).unwrap();
        let message = NewMessage { vouched: Vouched::Spf, ..message(number, 2, content) };
        places.push(log.try_append(vec![message]).remove(0).unwrap());
    }
    as_version_1(&sim, &log, places[0]);
    as_version_1(&sim, &log, places[1]);
    let mut log = log.kill();
    let (live, damaged) = log.scan();
    assert_eq!((live.len(), damaged.len()), (3, 0));
    let vouched = [Vouched::Unchecked, Vouched::Unchecked, Vouched::Spf];
    for ((place, content), vouched) in places.iter().zip(&contents).zip(vouched) {
        let message = log.read(*place).unwrap();
        assert_eq!((message.vouched, message.size), (vouched, content.len() as u64));
        assert_eq!(log.content(*place).unwrap(), *content);
    }
    log.mark_all(places[0], 2, StateByte::PURGED);
    log.forget([places[0]]);
    assert_eq!(log.restart().scan().0.len(), 2);
}

#[test]
fn foreign_files_in_the_directory_are_left_alone() {
    let sim = SimDisk::default();
    for name in ["log/README", "log/x.seg", "log/0-0.seg", "large/notes"] {
        sim.plant(&data_dir().join(name), b"mine");
    }
    let mut log = Bench::open(&sim, small()).unwrap();
    log.append(1, 1, b"x");
    let log = log.kill();
    assert_eq!((log.scan().0.len(), log.report.segments), (1, 1));
    assert_eq!(sim.octets(&data_dir().join("large/notes")), b"mine");
}

#[test]
fn a_torn_tail_is_cut_once_and_reported() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, b"content");
    let path = segment_path(&log, place);
    let whole = sim.octets(&path);
    // The next group: its first sector never came, its second did.
    let torn = [whole.clone(), vec![0; 512], vec![0x55; 512]].concat();
    sim.plant(&path, &torn);
    let log = log.kill();
    assert_eq!((log.report.unclean, log.report.torn_octets, log.report.damaged.len()), (1, 1024, 0));
    assert_eq!(sim.octets(&path).len(), whole.len() + HEADER, "cut, and ended in order");
    let log = log.kill();
    assert_eq!((log.report.unclean, log.report.torn_octets), (0, 0));
    assert_eq!(log.content(place).unwrap(), b"content");
}

/// A block that the medium does not give back costs what lies in it, and only as long as it is so.
#[test]
fn a_block_that_cannot_be_read_is_damage_of_what_lies_in_it() {
    for orderly in [false, true] {
        let sim = SimDisk::default();
        let mut log = Bench::open(&sim, small()).unwrap();
        let places: Vec<_> = (1..9).map(|n| log.append(n, 1, &octets(n, 500))).collect();
        let path = segment_path(&log, places[0]);
        log = if orderly { log.restart() } else { log };
        sim.spoil(&path, places[2].offset.into()..u64::from(places[2].offset) + 64);
        assert!(matches!(log.read(places[2]), Err(StoreError::Damaged(_))));
        assert!(matches!(log.content(places[2]), Err(StoreError::Damaged(_))));
        assert_eq!(log.content(places[3]).unwrap(), octets(4, 500));
        let (live, damaged) = log.scan();
        assert_eq!((live.len(), damaged.len()), (7, 1));
        sim.heal();
        assert_eq!(log.content(places[2]).unwrap(), octets(3, 500));
    }
}

/// The end of a segment tells whether it was ended in order. Where it cannot be read, nothing is taken for torn.
#[test]
fn a_segment_whose_end_cannot_be_read_keeps_everything() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let places: Vec<_> = (1..6).map(|n| log.append(n, 1, &octets(n, 500))).collect();
    let path = segment_path(&log, places[0]);
    let log = log.restart();
    let whole = sim.octets(&path);
    sim.spoil(&path, places[4].offset.into()..whole.len() as u64);
    let log = log.kill();
    assert!(!log.report.damaged.is_empty());
    assert_eq!((log.scan().0.len(), log.scan().1.is_empty()), (4, false));
    assert_eq!(sim.octets(&path), whole, "nothing is cut");
    sim.heal();
    let log = log.kill();
    assert_eq!((log.scan().0.len(), log.report.damaged.len()), (5, 0));
    assert_eq!(log.content(places[4]).unwrap(), octets(5, 500));
}

/// Nor is anything in the last group taken for torn because its sector cannot be read just now: no write was cut short
/// there.
#[test]
fn a_sector_of_the_last_group_that_cannot_be_read_is_kept() {
    let begun = SimDisk::default();
    let options = || LogOptions { segment_size: 32 << 10, ..small() };
    let mut log = Bench::open(&begun, options()).unwrap();
    let first = log.append(1, 1, &octets(1, 300));
    let path = segment_path(&log, first);
    let group = (2..12).map(|n| message(n, 1, log.try_seal(&octets(n, 50 * n as usize)).unwrap())).collect();
    let places: Vec<_> = log.try_append(group).into_iter().map(Result::unwrap).collect();
    let len = begun.octets(&path).len() as u64;
    let killed = begun.after_power_loss(Loss::None, 0);
    let (mut told, mut sectors) = (0, 0);
    for from in (u64::from(places[0].offset)..len).step_by(512) {
        let sim = killed.after_power_loss(Loss::None, 0);
        sim.spoil(&path, from..from + 512);
        let log = Bench::open(&sim, options()).unwrap();
        let reported = !log.report.damaged.is_empty() || !log.scan().1.is_empty();
        let unread = places.iter().any(|place| matches!(log.content(*place), Err(StoreError::Damaged(_))));
        assert!(reported || unread, "sector {from} went unnoticed");
        assert_eq!(log.report.torn_octets, 0, "sector {from}");
        told += u32::from(reported);
        sectors += 1;
        sim.heal();
        let log = log.kill();
        assert_eq!(log.scan().0.len(), 11, "sector {from}");
        for (n, place) in (2..12).zip(&places) {
            assert_eq!(log.content(*place).unwrap(), octets(n, 50 * n as usize), "sector {from}");
        }
    }
    assert!(sectors > 6 && told > 3, "{sectors} sectors, {told} of headers and envelopes");
}

/// A flipped bit cannot be told from a write that was cut short, unless something says that the write was whole once.
#[test]
fn what_was_known_to_be_durable_is_damaged_and_not_torn() {
    let begun = SimDisk::default();
    let mut log = Bench::open(&begun, LogOptions { segment_size: 32 << 10, ..small() }).unwrap();
    let group = (1..6).map(|n| message(n, 1, log.try_seal(&octets(n, 300)).unwrap())).collect();
    let places: Vec<_> = log.try_append(group).into_iter().map(Result::unwrap).collect();
    let path = segment_path(&log, places[0]);
    let (durable, killed) = (log.shared.position(), begun.after_power_loss(Loss::None, 0));
    for (number, place) in places.iter().enumerate() {
        // In its header, and in its content.
        for bit in [u64::from(place.offset) * 8 + 77, (u64::from(place.offset) + 250) * 8] {
            for known in [false, true] {
                let sim = killed.after_power_loss(Loss::None, 0);
                sim.flip(&path, bit);
                let durable = if known { durable } else { LogPosition::START };
                let options = LogOptions { segment_size: 32 << 10, durable, ..small() };
                let log = Bench::open(&sim, options).unwrap();
                let told = !log.report.damaged.is_empty()
                    || matches!(log.content(*place), Err(StoreError::Damaged(_)));
                assert_eq!(
                    (log.report.torn_octets == 0, told),
                    (known, known),
                    "message {number}, bit {bit}"
                );
            }
        }
    }
}

/// A large file of the last group that cannot be read is not taken for one that was never written.
#[test]
fn a_large_file_of_the_last_group_that_cannot_be_read_is_kept() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, &octets(1, 5000));
    let path = sim.files().into_iter().find(|path| path.starts_with("/data/large")).unwrap();
    sim.spoil(&path, 0..4096);
    let log = log.kill();
    assert_eq!((log.scan().0.len(), log.report.left_over_files), (1, 0));
    assert!(matches!(log.content(place), Err(StoreError::Damaged(_))));
    sim.heal();
    let log = log.kill();
    assert_eq!(log.content(place).unwrap(), octets(1, 5000));
}

/// Nor is one in which a bit flipped.
#[test]
fn a_damaged_large_file_of_the_last_group_is_no_torn_group() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let sealed = log.try_seal(&octets(1, 5000)).unwrap().with_head(b"Received: by us\r\n".to_vec().into());
    let place = log.try_append(vec![message(1, 1, sealed)]).remove(0).unwrap();
    let path = sim.files().into_iter().find(|path| path.starts_with("/data/large")).unwrap();
    sim.flip(&path, 8 * 2000);
    let log = log.kill();
    assert_eq!((log.scan().0.len(), log.report.left_over_files, log.report.torn_octets), (1, 0, 0));
    assert!(matches!(log.content(place), Err(StoreError::Damaged(_))));
}
