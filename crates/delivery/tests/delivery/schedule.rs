//! `mode = "push"`: mail leaves on its own, and a dead primary is asked by the list.

use std::time::Duration;

use restante_delivery::{DomainDelivery, RetryList};
use restante_queue::{DrainCause, Outcome};
use tokio::time::{Instant, sleep};

use crate::support::{Script, World, reply};

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
