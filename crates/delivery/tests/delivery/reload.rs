//! New settings while a drain runs.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use restante_delivery::{DomainDelivery, NextHop, TlsPolicy};
use restante_queue::DrainCause;
use restante_types::DomainMap;
use tokio::time::{Instant, sleep};

use crate::support::{Script, World, reply};

const RULES_CHANGED: &str = "its configuration changed";

/// One message a minute, so that a drain of five takes four minutes.
fn slow() -> DomainDelivery {
    DomainDelivery { rate: NonZeroU32::new(1), ..World::pinned() }
}

fn reload(world: &World, rules: Option<DomainDelivery>) {
    let mut domains = DomainMap::default();
    rules.into_iter().for_each(|rules| drop(domains.insert(world.domain.clone(), true, rules)));
    world.settings.store(Arc::new(World::settings(domains)));
    world.delivery.reloaded();
}

/// A drain that is under way since a minute and a half: two messages are gone.
async fn begun(script: impl Fn() -> Script + Send + Sync + 'static) -> World {
    let world = World::new(slow(), move |_, _| script());
    world.fill(5);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(90)).await;
    assert_eq!((world.carrier.carried(), world.carrier.connections()), (2, 1));
    world
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_rules_change_goes_on_by_the_new_ones() {
    // A connection that stays open, and one that has to be opened anew for each message.
    for patience in [None, Some((Duration::from_secs(10), reply(421, "idle")))] {
        let world =
            World::new(slow(), move |_, _| Script { patience: patience.clone(), ..Script::default() });
        world.fill(5);
        world.ask(DrainCause::Etrn);
        sleep(Duration::from_secs(90)).await;
        let before = world.carrier.connections();
        let elsewhere = NextHop::Literal("192.0.2.2:25".parse().unwrap());
        reload(&world, Some(DomainDelivery { primary: elsewhere, ..slow() }));
        let start = Instant::now();
        world.drains(1).await;
        assert!(start.elapsed() < Duration::from_secs(1), "at once: {:?}", start.elapsed());
        assert_eq!(world.last_result(), format!("delivered 2, then {RULES_CHANGED}"));
        world.drains(2).await;
        assert_eq!((world.last_result().as_str(), world.carrier.carried()), ("delivered all", 5));
        let connects = world.carrier.connects.lock().unwrap();
        assert!(connects[before..].iter().all(|(_, hop)| hop.address.to_string() == "192.0.2.2:25"));
        assert!(world.carrier.tried.lock().unwrap().values().all(|tries| *tries == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stricter_policy_holds_from_the_reload_on() {
    let world = begun(Script::default).await;
    reload(&world, Some(DomainDelivery { tls: TlsPolicy::Verify, ..slow() }));
    world.drains(2).await;
    assert_eq!(
        (world.carrier.carried(), world.carrier.connections()),
        (5, 2),
        "over a connection of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_is_taken_out_of_the_configuration_is_not_drained_any_further() {
    let world = begun(Script::default).await;
    reload(&world, None);
    world.drains(2).await;
    assert_eq!(world.last_result(), "not configured");
    sleep(Duration::from_secs(600)).await;
    assert_eq!((world.carrier.carried(), world.store.waiting(&world.domain)), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_rules_stay_is_left_alone() {
    let world = begun(Script::default).await;
    for _ in 0..3 {
        reload(&world, Some(slow()));
        sleep(Duration::from_secs(10)).await;
    }
    world.drains(1).await;
    assert_eq!((world.last_result().as_str(), world.carrier.connections()), ("delivered all", 1));
}
