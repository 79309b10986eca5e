//! The log in good health.

use restante_types::DeliveryState;

use super::*;
use crate::log::LogPosition;

#[test]
fn a_message_reads_back_and_its_place_outlives_a_restart() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    assert_eq!(log.report, OpenReport::default());
    let places: Vec<_> = (1..40).map(|n| log.append(n, 2, &octets(n, n as usize * 20))).collect();
    assert!(log.shared.segments().len() > 2, "the test wants several segments");
    for round in 0..3 {
        for (n, place) in (1..40).zip(&places) {
            let read = log.read(*place).unwrap();
            assert_eq!((read.id, read.size, read.arrived.0), (id(n), n * 20, 1_700_000_000_000 + n));
            assert_eq!((&read.envelope, &read.client), (&envelope(2), &client()));
            assert_eq!(read.destinations[0].recipients, [0, 1]);
            assert_eq!(read.states, [StateByte::QUEUED; 2]);
            assert_eq!(log.content(*place).unwrap(), octets(n, n as usize * 20));
        }
        let (live, damaged) = log.scan();
        assert_eq!((live.len(), damaged.len()), (39, 0));
        log = if round == 0 { log.restart() } else { log.kill() };
        assert_eq!(log.report.newest, Some(id(39)));
        assert_eq!((log.report.unclean, log.report.torn_octets), (0, 0), "nothing new was written");
    }
}

#[test]
fn a_killed_log_is_mended_once() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, b"one");
    let mut log = log.kill();
    assert_eq!((log.report.unclean, log.report.torn_octets, log.report.newest), (1, 0, Some(id(1))));
    assert_eq!(log.content(place).unwrap(), b"one");
    let second = log.append(2, 1, b"two");
    assert!(second.segment > place.segment, "a mended segment is never written again");
    log.writer.finish();
    let position = log.shared.position();
    let log = log.kill();
    assert_eq!((log.report.unclean, log.shared.position()), (0, position), "as the checkpoint has it");
}

#[test]
fn what_arrives_together_is_one_write_and_one_sync() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, LogOptions { segment_size: 1 << 20, ..small() }).unwrap();
    log.append(1, 1, b"the segment is made");
    let before = sim.ops();
    let group = (2..52).map(|n| message(n, 1, log.try_seal(&octets(n, 300)).unwrap())).collect();
    let answers = log.try_append(group);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(sim.ops() - before, 2);
}

#[test]
fn marks_stay_and_flags_come_back() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 4, b"x");
    let states = [
        StateByte::new(DeliveryState::Delivered),
        StateByte::new(DeliveryState::Failed).with_deleted(true),
        StateByte::QUEUED.with_held(true),
        StateByte::new(DeliveryState::Expired),
    ];
    let marks = (0..).zip(states).map(|(recipient, state)| Mark { place, recipient, state }).collect();
    log.mark(marks).unwrap();
    assert_eq!(log.read(place).unwrap().states, states);
    let log = log.kill();
    assert_eq!(log.read(place).unwrap().states, states);
    assert_eq!(log.scan().0[&id(1)].1.states, states);
}

#[test]
fn a_wrong_mark_never_touches_anything_but_a_state() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let place = log.append(1, 1, b"content");
    let path = log.shared.segment(place.segment).unwrap().path.clone();
    let before = sim.octets(&path);
    let state = StateByte::PURGED;
    for (offset, recipient) in
        [(place.offset, 1), (place.offset + 64, 0), (0, 0), (1 << 20, 0), (u32::MAX, 9)]
    {
        log.mark(vec![Mark { place: Place { offset, ..place }, recipient, state }]).unwrap();
    }
    log.mark(vec![Mark { place: Place { segment: 77, offset: 64 }, recipient: 0, state }]).unwrap();
    assert_eq!(sim.octets(&path), before);
}

#[test]
fn a_scan_starts_at_a_position_and_can_be_stopped() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let mut positions = vec![LogPosition::START];
    for n in 1..30 {
        log.append(n, 1, &octets(n, 600));
        positions.push(log.shared.position());
    }
    for (skip, position) in positions.iter().enumerate() {
        let mut ids = Vec::new();
        let mut visitor = |scanned| {
            let Scanned::Live { message, .. } = scanned else { panic!("damage") };
            ids.push(message.id);
            if ids.len() == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut last = (0, 0);
        log.shared.scan(Some(*position), &mut visitor, &mut |done, total| last = (done, total)).unwrap();
        let expected: Vec<_> = (1..30).skip(skip).take(20).map(id).collect();
        assert_eq!(ids, expected);
        assert!(last.0 <= last.1);
    }
}

#[test]
fn numbers_of_segments_are_never_used_twice() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let mut newest = 0;
    for n in 1..6 {
        let place = log.append(n, 1, b"x");
        assert!(place.segment > newest, "a place must not name two messages over the years");
        newest = place.segment;
        log.mark_all(place, 1, StateByte::PURGED);
        log = log.restart();
        while log.sweeper.has_unseen() {
            log.sweeper.look_at_unseen();
        }
        log.forget([place]);
        log = log.kill();
    }
    log.append(6, 1, b"x");
    while log.sweeper.has_unseen() {
        log.sweeper.look_at_unseen();
    }
    assert!(log.shared.segments().len() == 1, "empty ones go, one by one");
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    log.append(1, 1, b"small");
    let place = log.append(2, 400, b"many recipients");
    let after = log.append(3, 1, b"small");
    let log = log.kill();
    assert_eq!(log.read(place).unwrap().states.len(), 400);
    assert_eq!(log.content(place).unwrap(), b"many recipients");
    assert!(place.segment < after.segment);
    assert_eq!(log.scan().0.len(), 3);
}

#[test]
fn a_message_without_recipients_is_refused() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let content = log.try_seal(b"x").unwrap();
    assert!(log.try_append(vec![message(1, 0, content)]).remove(0).is_err());
    assert!(log.shared.refusal().is_none(), "the next one is fine");
}
