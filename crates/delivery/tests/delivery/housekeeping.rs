//! What is too old is parked, never lost; what was parked long ago goes.

use std::time::Duration;

use restante_delivery::{DomainDelivery, NextHop};
use restante_types::{DeliveryState, UnixMillis};
use tokio::time::sleep;

use crate::support::{Script, World, domain};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn world() -> World {
    let primary = NextHop::Literal("192.0.2.1:25".parse().unwrap());
    let delivery = DomainDelivery {
        primary,
        retention: 14 * DAY,
        parked_retention: 30 * DAY,
        ..DomainDelivery::default()
    };
    World::new(delivery, |_, _| Script::default())
}

fn age(world: &World, number: u64, age: Duration, state: DeliveryState) {
    world.queue(&world.domain, number, 1, None);
    let mut inside = world.store.inside();
    let row = inside.queue(&world.domain).rows.get_mut(&World::id(number)).unwrap();
    row.arrived = UnixMillis((world.clock)().0 - u64::try_from(age.as_millis()).unwrap());
    row.states[0] = state;
}

fn state(world: &World, number: u64) -> Option<DeliveryState> {
    world.store.inside().queue(&world.domain).rows.get(&World::id(number)).map(|row| row.states[0])
}

#[tokio::test(start_paused = true)]
async fn expiry_parks_and_loses_nothing() {
    // [5321-4.5.4.1-giveup]
    let world = world();
    age(&world, 1, 15 * DAY, DeliveryState::Queued);
    age(&world, 2, 15 * DAY, DeliveryState::Deferred);
    age(&world, 3, 13 * DAY, DeliveryState::Queued);
    (10..5000).for_each(|number| age(&world, number, 20 * DAY, DeliveryState::Queued));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(state(&world, 1), Some(DeliveryState::Expired));
    assert_eq!(state(&world, 2), Some(DeliveryState::Expired));
    assert_eq!(state(&world, 3), Some(DeliveryState::Queued));
    assert_eq!(world.store.waiting(&world.domain), 1);
    assert_eq!(world.store.inside().queue(&world.domain).rows.len(), 4993);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_long_parked_or_deleted_goes() {
    let world = world();
    age(&world, 1, 31 * DAY, DeliveryState::Failed);
    age(&world, 2, 29 * DAY, DeliveryState::Failed);
    age(&world, 3, 2 * DAY, DeliveryState::Deleted);
    age(&world, 4, DAY / 2, DeliveryState::Deleted);
    sleep(Duration::from_secs(120)).await;
    let there: Vec<bool> = (1..=4).map(|number| state(&world, number).is_some()).collect();
    assert_eq!(there, [false, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn mail_of_a_domain_that_is_not_configured_waits_for_the_operator() {
    let world = world();
    let gone = domain("gone.example");
    world.queue(&gone, 1, 1, None);
    world.store.inside().queue(&gone).rows.get_mut(&World::id(1)).unwrap().arrived = UnixMillis(0);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.store.row(&gone, World::id(1)).states, [DeliveryState::Queued]);
}
