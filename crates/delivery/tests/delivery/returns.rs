//! A safe return of the primary: one message first, then more; no more than it wants; and everybody when it is back.

use std::num::NonZeroU32;
use std::time::Duration;

use restante_delivery::limits::{CANARIES, DOWN_AFTER_DRAINS};
use restante_delivery::{DomainDelivery, News, Trip};
use restante_queue::{DrainCause, HoldKind, HoldOrder, Outcome, Pauses, QueueStore};
use restante_types::{DeliveryState, Reply, UnixMillis};
use tokio::time::{Instant, sleep};

use crate::support::{Script, World, domain, reply};

const HOUR: Duration = Duration::from_secs(3600);

/// Messages that have been waiting for two hours.
fn old(world: &World, count: u64) {
    world.fill(count);
    let arrived = UnixMillis((world.clock)().0 - 2 * 3_600_000);
    let mut inside = world.store.inside();
    inside.queue(&world.domain).rows.values_mut().for_each(|row| row.arrived = arrived);
}

fn refused() -> Reply {
    Reply::new(450, (4, 4, 1), "connection refused")
}

fn putting_off() -> Script {
    let later = Outcome::Deferred { reply: reply(451, "later"), next_attempt: None };
    Script { answer: Box::new(move |_, _| later.clone()), ..Script::slow(Duration::from_millis(1)) }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_one_goes_alone_and_the_number_doubles() {
    let world = World::new(World::pinned(), |_, _| Script::slow(Duration::from_millis(5)));
    old(&world, 2000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.carrier.carried(), 2000);
    let beside = world.carrier.beside.lock().unwrap();
    assert_eq!(beside[0], 1, "the canary");
    assert!(beside.iter().zip(1..).all(|(under_way, taken)| *under_way <= taken), "{beside:?}");
    assert_eq!(beside.iter().max(), Some(&64), "in the end all connections have a full window");
    let connects = world.carrier.connects.lock().unwrap();
    assert_eq!(connects.len(), 8);
    assert!(
        connects[1].0 - connects[0].0 > Duration::from_millis(30 * 5),
        "not before a first window is full"
    );
}

#[tokio::test(start_paused = true)]
async fn without_canary_or_outage_nobody_goes_alone() {
    let world = World::new(DomainDelivery { canary: false, ..World::pinned() }, |_, _| Script::default());
    old(&world, 100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.carrier.beside.lock().unwrap()[0], 8);
    let world = World::new(World::pinned(), |_, _| Script::default());
    world.fill(100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.carrier.beside.lock().unwrap()[0], 8, "fresh mail");
    old(&world, 100);
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    assert_eq!(world.carrier.beside.lock().unwrap()[100], 8, "it was here a moment ago");
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_put_off_is_followed_by_another_alone() {
    let world = World::new(World::pinned(), |_, _| Script {
        answer: Box::new(|work, _| {
            if work.id <= World::id(2) {
                return Outcome::Deferred { reply: reply(451, "later"), next_attempt: None };
            }
            Outcome::Delivered
        }),
        ..Script::slow(Duration::from_millis(1))
    });
    old(&world, 100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.carrier.carried(), 100);
    assert_eq!(world.carrier.beside.lock().unwrap()[..5], [1, 1, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_puts_off_one_after_the_other_is_not_back_yet() {
    let world = World::new(World::push(), |_, _| putting_off());
    old(&world, 100);
    let now = (world.clock)();
    let rows = |world: &World| {
        let mut inside = world.store.inside();
        inside.queue(&world.domain).rows.values_mut().for_each(|row| row.next_attempt = Some(now));
    };
    rows(&world);
    world.drains(1).await;
    assert_eq!(world.carrier.carried(), CANARIES as usize);
    assert_eq!(world.last_result(), "put off one message after the other: 451 later");
    let wait = world.store.reports(&world.domain)[0].not_before.unwrap().since(now);
    assert!(wait >= Duration::from_secs(300), "{wait:?}");
    let untouched = world.store.row(&world.domain, World::id(u64::from(CANARIES)));
    assert_eq!(untouched.states, [DeliveryState::Queued]);
    sleep(Duration::from_secs(290)).await;
    assert_eq!(world.store.reports(&world.domain).len(), 1, "the whole domain waits");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.carrier.carried(), 2 * CANARIES as usize, "and then one goes alone again");
    assert!(world.carrier.beside.lock().unwrap().iter().all(|beside| *beside == 1));
}

#[tokio::test(start_paused = true)]
async fn flush_with_reset_forgets_the_pace() {
    let world = World::new(World::pinned(), |number, _| match number {
        0 => Script::refuse(refused()),
        _ => Script::slow(Duration::from_millis(1)),
    });
    world.fill(100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    world.delivery.returns().reset(&world.domain);
    world.ask(DrainCause::Flush);
    world.drains(2).await;
    assert_eq!(world.carrier.beside.lock().unwrap()[0], 8);
}

fn paced(per_minute: u32) -> DomainDelivery {
    DomainDelivery { rate: NonZeroU32::new(per_minute), ..World::pinned() }
}

fn close_to(span: Duration, wanted: Duration) -> bool {
    span + Duration::from_millis(200) >= wanted && span <= wanted + Duration::from_millis(200)
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_rate_over_all_connections_and_drains() {
    let world = World::new(paced(60), |_, _| Script::default());
    world.fill(61);
    let start = Instant::now();
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert!(close_to(start.elapsed(), Duration::from_secs(60)), "{:?}", start.elapsed());
    assert_eq!(world.carrier.connections(), 1, "kept while it waits");
    world.queue(&world.domain, 100, 1, None);
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    assert!(close_to(start.elapsed(), Duration::from_secs(61)), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_line_does_not_slow_the_rate() {
    let world =
        World::new(paced(600), |_, _| Script { latency: Duration::from_millis(400), ..Script::default() });
    world.fill(300);
    let start = Instant::now();
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let took = start.elapsed().as_secs();
    assert!((29..40).contains(&took), "{took} s for 300 messages, 10 a second");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_does_not_wait_for_the_next_one_is_called_again_for_it() {
    for (code, text) in [(421, "idle for too long"), (450, "connection lost")] {
        let world = World::new(paced(1), move |_, _| Script {
            patience: Some((Duration::from_secs(10), reply(code, text))),
            ..Script::default()
        });
        world.fill(5);
        let start = Instant::now();
        world.ask(DrainCause::Etrn);
        world.drains(1).await;
        assert_eq!(world.last_result(), "delivered all", "nobody asks again");
        assert!(close_to(start.elapsed(), Duration::from_secs(240)), "{:?}", start.elapsed());
        let connects = world.carrier.connects.lock().unwrap();
        let gaps = connects.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(gaps.into_iter().all(|gap| gap > Duration::from_secs(50)), "opened when they are needed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_waits_for_its_rate_can_be_stopped() {
    for after in [1, 20] {
        // After twenty seconds it waits without a connection.
        let world = World::new(paced(1), |_, _| Script {
            patience: Some((Duration::from_secs(10), reply(421, "idle"))),
            ..Script::default()
        });
        world.fill(5);
        world.ask(DrainCause::Etrn);
        sleep(Duration::from_secs(after)).await;
        let start = Instant::now();
        world.delivery.shutdown(HOUR).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(world.store.waiting(&world.domain), 4);
    }
}

/// [5321-4.5.4.1-hosts]
#[tokio::test(start_paused = true)]
async fn when_a_next_hop_is_back_everybody_who_waited_for_it_goes() {
    let down = Duration::from_secs(3000);
    let began = Instant::now();
    let world = World::new(World::push(), move |_, _| {
        if began.elapsed() < down { Script::refuse(refused()) } else { Script::default() }
    });
    let names: Vec<_> = (0..40).map(|number| domain(&format!("d{number}.example.org"))).collect();
    let now = (world.clock)();
    names.iter().for_each(|name| (0..5).for_each(|id| world.queue(name, id, 1, Some(now))));
    let waiting = || names.iter().filter(|name| world.store.waiting(name) > 0).count();
    sleep(down).await;
    assert_eq!(waiting(), 40);
    while waiting() == 40 {
        sleep(Duration::from_millis(100)).await;
    }
    let first = Instant::now();
    while waiting() > 0 {
        assert!(first.elapsed() < Duration::from_secs(3), "{} wait for their own next attempt", waiting());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_put_off_while_it_was_away_goes_too() {
    let world = World::new(World::push(), |number, _| match number {
        0 => Script::refuse(refused()),
        _ => Script::default(),
    });
    world.fill(10);
    let now = (world.clock)();
    let far = now.plus(100 * HOUR);
    for (number, row) in (0..).zip(world.store.inside().queue(&world.domain).rows.values_mut()) {
        row.next_attempt = Some(if number == 0 { now } else { far });
    }
    world.drains(1).await;
    assert_eq!(world.store.waiting(&world.domain), 10);
    sleep(Duration::from_secs(400)).await;
    assert_eq!(world.store.waiting(&world.domain), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_to_be_asked_is_not_woken_by_the_return_of_its_next_hop() {
    let world = World::new(World::pinned(), |number, _| match number {
        0 | 1 => Script::refuse(refused()),
        _ => Script::default(),
    });
    let (one, other) = (domain("a.example.org"), domain("b.example.org"));
    for name in [&one, &other] {
        world.queue(name, 1, 1, None);
        world.store.start_drain(name, DrainCause::Etrn).unwrap();
    }
    sleep(HOUR).await;
    world.store.start_drain(&one, DrainCause::Etrn).unwrap();
    sleep(HOUR).await;
    assert_eq!((world.store.waiting(&one), world.store.waiting(&other)), (0, 1));
}

fn told(world: &World) -> Vec<&'static str> {
    let name = |news: &News| match news {
        News::PrimaryDown { .. } => "down",
        News::PrimaryUp { .. } => "up",
        News::Misrouted { .. } | News::CircuitOpen { .. } => "other",
    };
    world.told.all().iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn down_and_up_are_told_once_each() {
    let world =
        World::new(
            World::push(),
            |number, _| {
                if number < 8 { Script::refuse(refused()) } else { Script::default() }
            },
        );
    world.queue(&world.domain, 1, 1, Some((world.clock)()));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(told(&world), [""; 0], "one is a restart");
    sleep(7 * HOUR).await;
    const { assert!(DOWN_AFTER_DRAINS < 8) };
    assert_eq!(told(&world), ["down", "up"]);
    let down =
        News::PrimaryDown { domain: world.domain.clone(), why: "450 4.4.1 connection refused".to_owned() };
    assert_eq!(world.told.all()[0], down);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_asked_for_once_and_stays_away_is_told_after_ten_minutes() {
    let world = World::new(World::pinned(), |_, _| Script::refuse(refused()));
    world.fill(1);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(590)).await;
    assert_eq!(told(&world), [""; 0]);
    sleep(Duration::from_secs(80)).await;
    assert_eq!(told(&world), ["down"]);
}

/// [5321-3.8-drain]
#[tokio::test(start_paused = true)]
async fn a_421_ends_all_connections_after_what_they_have_under_way() {
    let delivery = DomainDelivery { connections: 4, ..World::pinned() };
    let world = World::new(delivery, |number, _| match number {
        2 => Script { cut_after: Some((3, reply(421, "closing"))), ..Script::slow(Duration::from_millis(5)) },
        number if number > 3 => Script::refuse(reply(421, "closing")),
        _ => Script::slow(Duration::from_millis(5)),
    });
    world.fill(2000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let carried = world.carrier.carried();
    assert!(carried < 200, "{carried} went");
    assert_eq!(world.store.waiting(&world.domain), 2000 - carried, "what was under way counts");
    assert_eq!(world.last_result(), format!("delivered {carried}, then 421 closing"));
    assert_eq!(world.carrier.connections(), 5, "one more was tried, alone");
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_any_more_ends_all_connections() {
    let world = World::new(DomainDelivery { connections: 4, ..World::pinned() }, |number, _| {
        if number == 2 { Script::refuse(refused()) } else { Script::slow(Duration::from_millis(5)) }
    });
    world.fill(2000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert!(world.carrier.carried() < 200, "{}", world.carrier.carried());
    assert_eq!(world.carrier.connections(), 3);
    assert!(world.last_result().ends_with("450 4.4.1 connection refused"), "{}", world.last_result());
}

#[tokio::test(start_paused = true)]
async fn who_wants_two_connections_and_no_more_gets_two() {
    for unwanted in [reply(421, "too many connections"), Reply::new(450, (4, 4, 1), "timed out")] {
        let delivery = DomainDelivery { connections: 8, ..World::pinned() };
        let world = World::new(delivery, move |number, _| match number {
            0 | 1 => Script::slow(Duration::from_millis(5)),
            _ => Script { end: Some(Trip::Unused(unwanted.clone())), ..Script::default() },
        });
        world.fill(2000);
        world.ask(DrainCause::Etrn);
        world.drains(1).await;
        assert_eq!(world.last_result(), "delivered all");
        assert_eq!(world.carrier.connections(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_hold_ends_by_itself_and_stops_the_clock() {
    let delivery = DomainDelivery { retention: 8 * HOUR, ..World::push() };
    let world = World::new(delivery, |_, _| Script::default());
    let now = (world.clock)();
    world.queue(&world.domain, 1, 1, Some(now));
    let until = Some(now.plus(2 * HOUR));
    let order =
        HoldOrder { kind: HoldKind::Operator, reason: "works".to_owned(), until, pause_retention: true };
    world.store.hold_domain(&world.domain, order).await.unwrap();
    sleep(HOUR).await;
    assert_eq!(world.store.waiting(&world.domain), 1);
    sleep(HOUR + Duration::from_secs(61)).await;
    assert_eq!(world.store.waiting(&world.domain), 0);

    world.queue(&world.domain, 2, 1, None);
    let ago = |span: Duration| UnixMillis((world.clock)().0 - u64::try_from(span.as_millis()).unwrap());
    {
        let pauses = Pauses::default().with(ago(5 * HOUR), ago(2 * HOUR));
        let mut inside = world.store.inside();
        let queue = inside.queue(&world.domain);
        queue.pauses = pauses;
        queue.rows.get_mut(&World::id(2)).unwrap().arrived = ago(10 * HOUR);
    }
    let state = || world.store.row(&world.domain, World::id(2)).states[0];
    sleep(HOUR / 2).await;
    assert_eq!(state(), DeliveryState::Queued, "more than ten hours, three of which do not count");
    sleep(HOUR).await;
    assert_eq!(state(), DeliveryState::Expired);
}
