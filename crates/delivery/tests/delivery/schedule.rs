//! `mode = "push"`: mail leaves on its own, and a dead primary is asked by the list.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use restante_delivery::limits::DRAINS;
use restante_delivery::{DeliverySettings, DomainDelivery, NextHop, RetryList};
use restante_queue::{DrainCause, Outcome, QueueStore};
use restante_types::NOTICES;
use tokio::time::{Instant, sleep};

use crate::support::{Script, World, domain, reply};

#[tokio::test(start_paused = true)]
async fn new_mail_leaves_at_once() {
    let world = World::new(World::push(), |_, _| Script::default());
    sleep(Duration::from_secs(60)).await;
    world.queue(&world.domain, 1, 1, Some((world.clock)()));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(world.carrier.carried(), 1);
    assert_eq!(world.last_result(), "delivered all");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_takes_only_what_is_due() {
    let world = World::new(World::push(), |_, _| Script::default());
    let now = (world.clock)();
    world.queue(&world.domain, 1, 1, Some(now.plus(Duration::from_secs(3600))));
    world.queue(&world.domain, 2, 1, Some(now));
    world.queue(&world.domain, 3, 1, None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*world.carrier.order.lock().unwrap(), [World::id(2)]);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(*world.carrier.order.lock().unwrap(), [World::id(2), World::id(1)]);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.carrier.carried(), 3);
}

fn waits(connects: &[(Instant, restante_delivery::Hop)]) -> Vec<f64> {
    connects.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_primary_is_asked_by_the_list_once_for_the_whole_domain() {
    // [5321-4.5.4.1]
    let world = World::new(World::push(), |_, _| Script::refuse(reply(450, "dead")));
    let now = (world.clock)();
    (0..500).for_each(|number| world.queue(&world.domain, number, 1, Some(now)));
    sleep(Duration::from_secs(5 * 3600)).await;
    let connects = world.carrier.connects.lock().unwrap();
    let waits = waits(&connects);
    for (wait, minutes) in waits.iter().zip([5.0, 10.0, 20.0, 40.0, 60.0, 60.0]) {
        let least = minutes * 60.0;
        assert!((least..=least * 1.1 + 0.6).contains(wait), "{waits:?}");
    }
    assert!((6..=8).contains(&connects.len()), "{}", connects.len());
}

/// [5321-4.5.4.1] Domains that failed together do not come back together.
#[tokio::test(start_paused = true)]
async fn domains_that_fail_together_come_back_one_by_one() {
    let world = World::new(World::push(), |_, _| Script::refuse(reply(450, "dead")));
    let mut settings = DeliverySettings::clone(&world.settings.load());
    let places: Vec<_> = (1..=20_u8)
        .map(|number| (domain(&format!("d{number}.example")), SocketAddr::from(([192, 0, 2, number], 25))))
        .collect();
    for (domain, address) in &places {
        let delivery = DomainDelivery { primary: NextHop::Literal(*address), ..World::push() };
        settings.domains.insert(domain.clone(), false, delivery);
    }
    world.settings.store(Arc::new(settings));
    let now = (world.clock)();
    (0..).zip(&places).for_each(|(number, (domain, _))| world.queue(domain, number, 1, Some(now)));
    while places.iter().any(|(domain, _)| world.store.reports(domain).is_empty()) {
        sleep(Duration::from_millis(100)).await;
    }
    let connects = world.carrier.connects.lock().unwrap().clone();
    let (clock, instant) = ((world.clock)(), Instant::now());
    let waits: HashSet<Duration> = places
        .iter()
        .map(|(domain, address)| {
            let (at, _) = connects.iter().find(|(_, hop)| hop.address == *address).unwrap();
            let again = world.store.reports(domain)[0].not_before.unwrap();
            again.since(clock) + (instant - *at)
        })
        .collect();
    let least = Duration::from_secs(300);
    assert!(waits.iter().all(|wait| (least..=least * 11 / 10 + Duration::from_secs(1)).contains(wait)));
    assert!(waits.len() > 3, "spread over half a minute: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_back_starts_the_list_anew() {
    let retry = RetryList::new([60, 600].map(Duration::from_secs).to_vec()).unwrap();
    let world = World::new(DomainDelivery { retry, ..World::push() }, |number, _| {
        if number == 2 { Script::default() } else { Script::refuse(reply(450, "dead")) }
    });
    world.queue(&world.domain, 1, 1, Some((world.clock)()));
    // 0 s, about 60 s, about 660 s: then it goes through
    sleep(Duration::from_secs(800)).await;
    assert_eq!(world.carrier.carried(), 1);
    world.queue(&world.domain, 2, 1, Some((world.clock)()));
    sleep(Duration::from_secs(90)).await;
    assert_eq!(world.carrier.connections(), 5, "again after the first wait of the list");
}

#[tokio::test(start_paused = true)]
async fn flush_goes_at_once_and_forgets_the_failures() {
    let world = World::new(World::push(), |_, _| Script::refuse(reply(450, "dead")));
    world.queue(&world.domain, 1, 1, Some((world.clock)()));
    sleep(Duration::from_secs(2 * 3600)).await;
    let before = world.carrier.connections();
    world.ask(DrainCause::Flush);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.carrier.connections(), before + 1);
    let wait = world.store.reports(&world.domain).last().unwrap().not_before.unwrap().since((world.clock)());
    assert!(wait < Duration::from_secs(331), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn deferred_entries_come_back_by_themselves_and_alone() {
    let world = World::new(World::push(), |number, _| Script {
        answer: Box::new(move |work, _| {
            if number == 0 && work.id == World::id(1) {
                Outcome::Deferred { reply: reply(452, "later"), next_attempt: None }
            } else {
                Outcome::Delivered
            }
        }),
        ..Script::default()
    });
    let now = (world.clock)();
    (0..3).for_each(|number| world.queue(&world.domain, number, 1, Some(now)));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.store.waiting(&world.domain), 1);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(world.store.waiting(&world.domain), 0);
    assert_eq!(world.carrier.tried.lock().unwrap()[&World::id(1)], 2);
}

#[tokio::test(start_paused = true)]
async fn a_domain_changed_to_on_demand_stops_leaving_on_its_own() {
    let world = World::new(World::pinned(), |_, _| Script::default());
    world.queue(&world.domain, 1, 1, Some((world.clock)()));
    sleep(Duration::from_secs(6 * 3600)).await;
    assert_eq!(world.carrier.connections(), 0);
    assert!(world.store.reports(&world.domain).len() < 10, "looked at now and then, not all the time");
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.carrier.carried(), 1);
}

/// More places for notices than drains may go to, all of which take the connection and say nothing.
#[tokio::test(start_paused = true)]
async fn places_for_notices_that_hang_delay_no_held_domain() {
    let tarpit = NextHop::Literal("192.0.2.66:25".parse().unwrap());
    let retry = RetryList::new(vec![Duration::from_secs(5)]).unwrap();
    let world = World::new(DomainDelivery { retry, ..World::push() }, |number, hop| {
        match hop.address.ip().to_string().as_str() {
            "192.0.2.66" => Script::slow(Duration::from_secs(24 * 3600)),
            _ if number % 2 == 0 => Script::refuse(reply(450, "not now")),
            _ => Script::default(),
        }
    });
    let mut settings = DeliverySettings::clone(&world.settings.load());
    let notices = DomainDelivery { primary: tarpit, canary: false, ..World::push() };
    settings.domains.insert(domain(NOTICES), true, notices);
    settings.domains.insert(domain("asked.example"), false, World::pinned());
    world.settings.store(Arc::new(settings));
    let now = (world.clock)();
    for number in 0..600 {
        world.queue(&domain(&format!("n{number:04}.example.notices.invalid")), number, 1, Some(now));
    }
    sleep(Duration::from_secs(5)).await;
    let hanging = world.carrier.connections();
    assert_eq!(hanging, DRAINS / 4, "connections to the tarpit");
    // One that is pushed, put off at first, and one that is asked for.
    world.queue(&world.domain, 5000, 1, Some((world.clock)()));
    world.queue(&domain("asked.example"), 5001, 1, None);
    world.store.start_drain(&domain("asked.example"), DrainCause::Etrn).unwrap();
    sleep(Duration::from_secs(15)).await;
    assert_eq!(world.store.waiting(&domain("asked.example")), 0, "asked for");
    world.queue(&world.domain, 5002, 1, Some((world.clock)()));
    sleep(Duration::from_secs(15)).await;
    assert_eq!(world.store.waiting(&world.domain), 0, "pushed, and tried again");
    assert_eq!(world.store.reports(&domain("n0000.example.notices.invalid")).len(), 0, "still hanging");
}
