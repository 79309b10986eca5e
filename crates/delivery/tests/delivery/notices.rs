//! Queues of notices: they go to the mail servers of the places in their names.

use std::sync::Arc;
use std::time::Duration;

use restante_delivery::limits::{DRAINS, NOTICES_DRAINS};
use restante_delivery::{DomainDelivery, Mode, NextHop, RetryList, Trip};
use restante_types::{Domain, DomainMap, NOTICES};
use tokio::time::sleep;

use crate::support::{Script, ScriptedDns, World, domain};

/// With the one rule for all queues of notices.
fn world(zone: &str, script: impl Fn(usize) -> Script + Send + Sync + 'static) -> World {
    let dns = Arc::new(ScriptedDns::new(zone));
    let world = World::with_dns(dns, World::pinned(), move |number, _| script(number));
    let mut domains = DomainMap::default();
    domains.insert(domain("example.org"), true, World::pinned());
    let retry = RetryList::new(vec![Duration::from_secs(300)]).unwrap();
    let rule = DomainDelivery { mode: Mode::Push, primary: NextHop::Mx, retry, ..DomainDelivery::default() };
    domains.insert(domain(NOTICES), true, rule);
    world.settings.store(Arc::new(World::settings(domains)));
    world
}

fn queue(world: &World) -> Domain {
    let queue = domain("sender.example").notice_queue().unwrap();
    world.queue(&queue, 1, 1, Some((world.clock)()));
    queue
}

// [3461-6.1]
#[tokio::test(start_paused = true)]
async fn a_notice_goes_to_the_mail_servers_of_its_senders_domain() {
    let zone = "sender.example MX 20 b.sender.example\nsender.example MX 10 a.sender.example
        a.sender.example A 192.0.2.51\nb.sender.example A 192.0.2.52";
    let world = world(zone, |_| Script::default());
    let queue = queue(&world);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.carrier.carried(), 1);
    let connects = world.carrier.connects.lock().unwrap();
    assert_eq!(connects[0].1.to_string(), "a.sender.example[192.0.2.51]:25");
    assert_eq!(world.store.waiting(&queue), 0);
}

/// Nobody hired us to hold notices: a place that takes none needs nobody's hand.
#[tokio::test(start_paused = true)]
async fn where_no_mail_goes_a_notice_waits_and_nobody_is_alarmed() {
    for zone in ["sender.example MX 0 .", "sender.example MX 10 mx2.example.net", "elsewhere.example NODATA"]
    {
        let world = world(zone, |_| Script::default());
        let queue = queue(&world);
        sleep(Duration::from_secs(3600)).await;
        let reports = world.store.reports(&queue);
        assert!(reports.len() > 2 && reports.iter().all(|report| !report.misrouted), "{zone}: {reports:?}");
        assert_eq!(world.store.waiting(&queue), 1, "{zone}");
        assert_eq!(world.told.all(), [], "{zone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_greets_with_our_name_stops_no_queue_of_notices() {
    let world = world("sender.example MX 10 a.sender.example\na.sender.example A 192.0.2.51", |_| Script {
        end: Some(Trip::Ourselves),
        ..Script::default()
    });
    let queue = queue(&world);
    sleep(Duration::from_secs(3600)).await;
    let reports = world.store.reports(&queue);
    assert!(reports.len() > 2 && reports.iter().all(|report| !report.misrouted), "{reports:?}");
    assert_eq!(world.told.all(), []);
}

/// Whoever makes us write notices to as many slow servers as it likes must not stop the mail that we hold.
#[tokio::test(start_paused = true)]
async fn slow_places_take_only_some_of_the_drains() {
    let zone: Vec<_> = (0..DRAINS + 300).map(|n| format!("d{n}.sender.example MX 10 slow.example")).collect();
    let zone = zone.join("\n") + "\nslow.example A 192.0.2.51";
    let world = world(&zone, |_| Script::slow(Duration::from_secs(600)));
    for n in 0..DRAINS + 300 {
        let queue = domain(&format!("d{n}.sender.example")).notice_queue().unwrap();
        world.queue(&queue, 1, 1, Some((world.clock)()));
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.carrier.most_open.load(std::sync::atomic::Ordering::SeqCst), NOTICES_DRAINS);
    let pushed = domain("push.example.org");
    let mut settings = (*world.settings.load_full()).clone();
    settings.domains.insert(pushed.clone(), false, World::push());
    world.settings.store(Arc::new(settings));
    world.queue(&pushed, 1, 1, Some((world.clock)()));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.carrier.most_open.load(std::sync::atomic::Ordering::SeqCst), NOTICES_DRAINS + 1);
}
