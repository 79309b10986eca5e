//! The low-water mark, and room given back.

use super::*;
use crate::stats::IntakeHealth;

#[test]
fn mail_is_refused_below_the_mark_and_taken_again_above_it() {
    let sim = SimDisk::default();
    let low_water = LowWater { percent: 0, octets: 50_000 };
    let mut log = Bench::open(&sim, LogOptions { low_water, ..small() }).unwrap();
    sim.set_capacity(Some(80_000));
    let mut places = Vec::new();
    for number in 1.. {
        let content = log.try_seal(&octets(number, 900)).unwrap();
        match log.try_append(vec![message(number, 1, content)]).remove(0) {
            Ok(place) => places.push(place),
            Err(error) => {
                assert!(matches!(error, StoreError::Full));
                break;
            }
        }
    }
    assert_eq!(log.shared.intake(), IntakeHealth::LowDisk);
    let seen = log.shared.room.seen();
    assert_eq!(seen.low_water, 50_000);
    assert!(seen.free < 50_000 && seen.free > 50_000 - 2 * 8192);
    assert!(matches!(log.try_seal(&octets(1, 5000)), Err(StoreError::Full)), "large content asks too");
    // Drains go on, and room comes back.
    for place in &places {
        log.mark_all(*place, 1, StateByte::PURGED);
    }
    log.forget(places);
    log.writer.tick(log.now);
    assert_eq!(log.shared.intake(), IntakeHealth::Open);
    log.append(1000, 1, b"taken again");
}

#[test]
fn adjacent_dead_records_become_one_that_is_skipped_and_the_blocks_behind_it_go() {
    let sim = SimDisk::default();
    let options = LogOptions { segment_size: 64 << 10, ..small() };
    let mut log = Bench::open(&sim, options).unwrap();
    let places: Vec<_> = (1..100).map(|n| log.append(n, 1, &octets(n, 900))).collect();
    let kept = [0, 30, 98];
    let dead: Vec<_> =
        places.iter().enumerate().filter(|(at, _)| !kept.contains(at)).map(|(_, place)| *place).collect();
    for place in &dead {
        log.mark_all(*place, 1, StateByte::PURGED);
    }
    log.forget(dead.clone());
    assert!(sim.punched() > 45 << 10, "{}", sim.punched());
    for round in 0..3 {
        let (live, damaged) = log.scan();
        assert_eq!(damaged, []);
        assert_eq!(live.keys().copied().collect::<Vec<_>>(), [id(1), id(31), id(99)]);
        for at in kept {
            assert_eq!(log.content(places[at]).unwrap(), octets(at as u64 + 1, 900));
        }
        for place in dead.iter().filter(|place| place.segment == 1) {
            match log.read(*place) {
                Err(StoreError::NotFound) => {}
                Ok(message) => {
                    assert!(message.states[0].is_purged(), "its block is shared with a living one")
                }
                Err(error) => panic!("{error}"),
            }
        }
        log = if round == 0 { log.kill() } else { log.restart() };
    }
    // The last living ones go, and with them the segment.
    for at in kept {
        log.mark_all(places[at], 1, StateByte::PURGED);
    }
    log.append(200, 1, b"a newer segment");
    log.forget(kept.map(|at| places[at]));
    assert_eq!(log.shared.segments().len(), 1);
}

#[test]
fn what_is_held_or_deleted_or_parked_keeps_its_room() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let places: Vec<_> = (1..30).map(|n| log.append(n, 2, &octets(n, 900))).collect();
    let states = [
        StateByte::QUEUED.with_deleted(true),
        StateByte::QUEUED.with_held(true),
        StateByte::new(restante_types::DeliveryState::Expired),
        StateByte::new(restante_types::DeliveryState::Failed),
    ];
    for (place, state) in places.iter().zip(states.into_iter().cycle()) {
        log.mark(vec![
            Mark { place: *place, recipient: 0, state: StateByte::PURGED },
            Mark { place: *place, recipient: 1, state },
        ])
        .unwrap();
    }
    log.forget(places.clone());
    for (n, place) in (1..).zip(places) {
        assert_eq!(log.content(place).unwrap(), octets(n, 900));
    }
    assert_eq!(log.scan().0.len(), 29);
}

#[test]
fn a_segment_that_somebody_goes_through_is_left_for_later() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let places: Vec<_> = (1..20).map(|n| log.append(n, 1, &octets(n, 900))).collect();
    for place in &places {
        log.mark_all(*place, 1, StateByte::PURGED);
    }
    let shared = Arc::clone(&log.shared);
    let pin = shared.gate.pin(1);
    log.forget(places);
    assert!(log.shared.segment(1).is_some());
    drop(pin);
    while log.sweeper.has_unseen() {
        log.sweeper.look_at_unseen();
    }
    assert!(log.shared.segment(1).is_none());
}

#[test]
fn without_holes_segments_go_when_they_are_empty() {
    let sim = SimDisk::default();
    let mut log = Bench::open(&sim, small()).unwrap();
    let places: Vec<_> = (1..30).map(|n| log.append(n, 1, &octets(n, 900))).collect();
    sim.fail(crate::disk::sim::OpKind::Punch, 0, 100, nix::libc::EOPNOTSUPP);
    for place in &places[1..] {
        log.mark_all(*place, 1, StateByte::PURGED);
    }
    log.forget(places[1..].to_vec());
    assert!(log.shared.segment(1).is_some() && log.shared.segment(2).is_none());
    assert!(!log.shared.is_failed(1), "a file system without holes is no broken disk");
    log.mark_all(places[0], 1, StateByte::PURGED);
    log.forget([places[0]]);
    assert!(log.shared.segment(1).is_none());
}
