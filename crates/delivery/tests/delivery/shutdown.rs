//! Going down: what is under way is finished, the rest stays.

use std::time::Duration;

use restante_queue::DrainCause;
use tokio::time::{Instant, sleep};

use crate::support::{Script, SlowDns, World};

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_finished_and_recorded() {
    let world = World::new(World::pinned(), |_, _| Script::slow(Duration::from_millis(100)));
    world.fill(1000);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(1)).await;
    let World { store, carrier, delivery, domain, .. } = world;
    delivery.shutdown(Duration::from_secs(30)).await;
    let carried = carrier.carried();
    assert!((10..100).contains(&carried), "{carried}");
    assert_eq!(store.waiting(&domain), 1000 - carried);
    assert!(store.reports(&domain)[0].result.ends_with("the server was shut down"));
    store.inside().queue(&domain).again = None;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(carrier.carried(), carried);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_hangs_is_cut_after_the_grace() {
    let world = World::new(World::pinned(), |_, _| Script::slow(Duration::from_secs(3600)));
    world.fill(10);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(1)).await;
    let World { store, delivery, domain, .. } = world;
    let began = Instant::now();
    delivery.shutdown(Duration::from_secs(5)).await;
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    assert_eq!(store.waiting(&domain), 10);
    assert_eq!(store.row(&domain, World::id(0)).attempts, 0, "a shutdown is no failure of the primary");
    assert_eq!(store.inside().queues[&domain].leased, None);
}

#[tokio::test(start_paused = true)]
async fn a_dead_dns_does_not_hold_it_up() {
    let delivery = restante_delivery::DomainDelivery::default();
    let world = World::with_dns(std::sync::Arc::new(SlowDns), delivery, |_, _| Script::default());
    world.fill(10);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    world.delivery.shutdown(Duration::from_secs(5)).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
