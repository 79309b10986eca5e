//! Each alarm once when it begins and once when it ends.

use restante_queue::{HoldKind, HoldOrder};
use restante_turn::Ledger;

use super::*;

const HOOK: &str = "http://127.0.0.1:1/";

fn down() -> News {
    News::PrimaryDown { domain: name("example.org"), why: "450 4.4.1 no\u{7}route".into() }
}

#[tokio::test]
async fn mail_that_waits_is_told_once_and_what_comes_and_goes_is_one_alarm() {
    let world = World::new(called(HOOK)).await;
    world.look().await;
    assert!(world.calls().is_empty());
    world.put("example.org").await;
    world.put("push.example").await;
    world.look().await;
    assert_eq!(world.calls(), ["mail-held opens"], "mail that is pushed is no news");
    for _ in 0..5 {
        world.wait(MINUTE / 6);
        world.empty("example.org").await;
        world.look().await;
        world.put("sub.example.org").await;
        world.look().await;
    }
    assert!(world.calls().is_empty(), "it flaps, and a subdomain's mail is its parent's");
    world.empty("example.org").await;
    world.empty("sub.example.org").await;
    world.look().await;
    world.wait(MINUTE);
    world.look().await;
    assert_eq!(world.calls(), ["mail-held closes"]);
    world.look().await;
    assert!(world.calls().is_empty() && world.open().is_empty());
}

#[tokio::test]
async fn nobody_collects_and_mail_is_about_to_expire() {
    let world = World::new(called(HOOK)).await;
    // A stop begins by the store's own clock.
    let today = UnixMillis::from(std::time::SystemTime::now());
    world.clock.store(today.0 - 80 * 3_600_000, Ordering::SeqCst);
    world.put("example.org").await;
    world.wait(24 * HOUR - MINUTE);
    world.look().await;
    assert_eq!(world.calls(), ["mail-held opens"]);
    world.wait(MINUTE);
    world.look().await;
    world.look().await;
    assert_eq!(world.calls(), ["uncollected opens"]);
    world.wait(56 * HOUR - MINUTE);
    world.look().await;
    assert!(world.calls().is_empty());
    world.wait(MINUTE);
    world.look().await;
    assert_eq!(world.calls(), ["retention-near opens"]);
    assert_eq!(world.open(), ["retention-near", "uncollected", "mail-held"], "the gravest first");
    // A pause of the clock gives it time again; but one that only just does closes nothing.
    let pause = |hours: u64| HoldOrder {
        kind: HoldKind::Operator,
        reason: "moving".into(),
        until: Some(world.now().plus(Duration::from_secs(hours * 3600))),
        pause_retention: true,
    };
    world.attached.store.hold_domain(&name("example.org"), pause(2)).await.unwrap();
    for _ in 0..2 {
        world.look().await;
        world.wait(2 * MINUTE);
    }
    assert!(world.calls().is_empty(), "between four fifths and three quarters nothing changes");
    world.attached.store.hold_domain(&name("example.org"), pause(30)).await.unwrap();
    for _ in 0..2 {
        world.look().await;
        world.wait(2 * MINUTE);
    }
    assert_eq!(world.calls(), ["retention-near closes"]);
    world.empty("example.org").await;
    world.look().await;
    world.wait(MINUTE);
    world.look().await;
    assert_eq!(world.calls(), ["uncollected closes", "mail-held closes"]);
    assert!(world.open().is_empty());
}

#[tokio::test]
async fn a_primary_is_down_until_it_takes_mail() {
    let world = World::new(called(HOOK)).await;
    world.news(down()).await;
    world.news(down()).await;
    assert_eq!(world.calls(), ["primary-down opens"]);
    let [alarm] = &world.alarms.open()[..] else { panic!("{:?}", world.open()) };
    assert_eq!(alarm.detail, "450 4.4.1 no\\u{7}route", "printable");
    assert_eq!((alarm.domain.clone(), alarm.warning), (Some(name("example.org")), true));
    world.look().await;
    assert_eq!(world.open(), ["primary-down"], "a look at the queues does not end it");
    world.news(News::PrimaryUp { domain: name("example.org") }).await;
    world.news(News::PrimaryUp { domain: name("example.org") }).await;
    assert_eq!(world.calls(), ["primary-up closes"]);
    // Both before anybody looked: nothing changed.
    Witness::tell(&world.alarms, down());
    Witness::tell(&world.alarms, News::PrimaryUp { domain: name("example.org") });
    Witness::tell(&world.alarms, News::PrimaryDown { domain: name("unknown.example"), why: "x".into() });
    world.alarms.hear(world.now()).await;
    assert!(world.calls().is_empty() && world.open().is_empty());
}

#[tokio::test]
async fn a_stop_of_the_servers_own_is_an_alarm_until_it_is_released() {
    for (kind, event) in [(HoldKind::Misrouted, "misrouted"), (HoldKind::Circuit, "circuit-open")] {
        let world = World::new(called(HOOK)).await;
        let news = match kind {
            HoldKind::Circuit => News::CircuitOpen { domain: name("example.org"), why: "5 of 10".into() },
            _ => News::Misrouted { domain: name("example.org"), why: "a loop".into() },
        };
        // Told before the stop is there.
        world.news(news).await;
        world.look().await;
        let order = HoldOrder { kind, reason: "a loop".into(), until: None, pause_retention: false };
        world.attached.store.hold_domain(&name("sub.example.org"), order).await.unwrap();
        world.look().await;
        world.wait(HOUR);
        world.look().await;
        assert_eq!(world.calls(), [format!("{event} opens")]);
        world.attached.store.release_domain(&name("sub.example.org")).await.unwrap();
        world.look().await;
        world.wait(MINUTE);
        world.look().await;
        assert_eq!(world.calls(), [format!("{event} closes")]);
    }
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_told_until_it_asks_again() {
    let mut world = World::new(called(HOOK)).await;
    let ask = |world: &World| {
        let queues = [name("sub.example.org"), name("unknown.example")];
        world.alarms.asked(restante_queue::DrainCause::Atrn, &mut queues.iter());
    };
    for _ in 0..10 {
        ask(&world);
        world.look().await;
        world.wait(15 * MINUTE);
    }
    world.wait(29 * MINUTE);
    world.look().await;
    assert!(world.calls().is_empty());
    world.wait(MINUTE);
    world.look().await;
    world.look().await;
    assert_eq!(world.calls(), ["agent-silent opens"]);
    // A restart is no request.
    world.restart(called(HOOK));
    assert_eq!(world.calls(), ["agent-silent opens"], "nobody took it before");
    world.look().await;
    world.wait(MINUTE);
    world.look().await;
    assert_eq!(world.open(), ["agent-silent"]);
    ask(&world);
    world.look().await;
    assert_eq!(world.calls(), ["agent-silent closes"]);
}

#[tokio::test]
async fn a_restart_repeats_nothing_and_a_crash_loses_nothing() {
    let mut world = World::new(called(HOOK)).await;
    world.put("example.org").await;
    world.news(down()).await;
    world.look().await;
    world.restart(called(HOOK));
    assert_eq!(world.open(), ["primary-down", "mail-held"]);
    let mut calls = world.calls();
    calls.sort();
    assert_eq!(calls, ["mail-held opens", "primary-down opens"], "calls that wait survive");
    world.look().await;
    world.news(down()).await;
    assert!(world.calls().is_empty(), "and nothing is told again");
    // The primary took mail while nobody knew that it was down.
    let lease = world.attached.store.lease(&name("example.org"), restante_queue::DrainCause::Flush).await;
    let restante_queue::LeaseAnswer::Leased(lease) = lease.unwrap() else { panic!("no lease") };
    let work = world.attached.store.due(&lease, restante_queue::Scope::All, None, 1).await.unwrap();
    let delivered = restante_queue::Settlement {
        id: work[0].id,
        outcomes: vec![(0, restante_queue::Outcome::Delivered)],
    };
    world.attached.store.settle(&lease, vec![delivered]).await.unwrap();
    world.attached.store.end_lease(lease, Default::default()).await.unwrap();
    // The store's clock is the system's, which is later than the test's.
    let report = world.attached.store.stats(&name("example.org")).last_drain.unwrap();
    assert!(report.at > world.now() && report.delivered == 1);
    world.look().await;
    assert_eq!(world.calls(), ["primary-up closes"]);
}

#[tokio::test]
async fn a_file_that_is_broken_is_told_and_done_without() {
    let mut world = World::new(called(HOOK)).await;
    world.news(down()).await;
    std::fs::write(world.directory.path().join("data/alarms.json"), "{\"version\":1").unwrap();
    world.restart(called(HOOK));
    assert!(world.open().is_empty());
    world.news(down()).await;
    assert_eq!(world.calls(), ["primary-down opens"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_keeps_nobody_from_being_told() {
    let world = World::new(called(HOOK)).await;
    let data = world.directory.path().join("data");
    std::fs::create_dir(data.join("alarms.json")).unwrap();
    world.news(down()).await;
    assert_eq!(world.calls(), ["primary-down opens"]);
}

#[tokio::test]
async fn a_domain_that_is_gone_takes_its_alarms_along() {
    let world = World::new(called(HOOK)).await;
    world.news(down()).await;
    world.alarms.reload(Settings { domains: DomainMap::default(), ..called(HOOK) });
    world.look().await;
    assert!(world.open().is_empty());
    assert_eq!(world.calls(), ["primary-down opens"], "its end is no news");
}

#[tokio::test]
async fn the_oldest_call_goes_where_too_many_wait() {
    let world = World::new(called(HOOK)).await;
    for round in 0..600 {
        world.news(down()).await;
        world.news(News::PrimaryUp { domain: name("example.org") }).await;
        assert!(lock(&world.alarms.0.memory).calls.len() <= crate::limits::MAX_CALLS, "{round}");
    }
    let calls = world.calls();
    assert_eq!(calls.len(), crate::limits::MAX_CALLS);
    assert_eq!(calls.last().map(String::as_str), Some("primary-up closes"));
}

#[tokio::test]
async fn a_clock_that_goes_back_keeps_no_alarm_open() {
    let world = World::new(called(HOOK)).await;
    world.put("example.org").await;
    world.look().await;
    world.empty("example.org").await;
    world.look().await;
    world.clock.fetch_sub(24 * 3_600_000, Ordering::SeqCst);
    world.look().await;
    world.wait(MINUTE);
    world.look().await;
    assert_eq!(world.calls(), ["mail-held opens", "mail-held closes"]);
}

#[tokio::test]
async fn a_store_that_is_closed_is_no_alarm_and_one_that_fails_is() {
    let world = World::new(called(HOOK)).await;
    world.put("example.org").await;
    world.look().await;
    world.alarms.detach();
    world.attached.store.close().await;
    world.look().await;
    assert_eq!(world.calls(), ["mail-held opens"]);
    world.alarms.store_failed("I/O error\u{7}").await;
    world.alarms.store_failed("I/O error").await;
    assert_eq!(world.calls(), ["store-failing opens"]);
}
