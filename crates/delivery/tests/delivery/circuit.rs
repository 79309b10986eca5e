//! A primary that refuses too much stops its domain, and nothing it refused is held against the mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use restante_delivery::limits::WITHHELD;
use restante_delivery::{Circuit, DomainDelivery, Hop, News, On5xx, Share};
use restante_queue::{DrainCause, HoldKind, HoldOrder, Outcome, QueueStore};
use restante_types::{DeliveryState, QueueId, Reply, UnixMillis};
use tokio::time::sleep;

use crate::support::{Script, World, reply};

const MINUTE: Duration = Duration::from_secs(60);

fn no() -> Reply {
    reply(550, "no such user")
}

/// Refuses the messages that `which` names.
fn refusing(which: impl Fn(u64) -> bool + Send + Sync + Clone + 'static) -> impl Fn(usize, &Hop) -> Script {
    move |_, _| {
        let which = which.clone();
        Script {
            answer: Box::new(move |work, _| {
                if which(number(work.id)) { Outcome::Failed { reply: no() } } else { Outcome::Delivered }
            }),
            ..Script::slow(Duration::from_millis(1))
        }
    }
}

fn number(id: QueueId) -> u64 {
    u64::from_be_bytes(id.to_bytes()[8..].try_into().unwrap())
}

/// As after an outage: the mail has been waiting.
fn old(world: &World, count: u64) {
    world.fill(count);
    let arrived = UnixMillis((world.clock)().0 - 2 * 3_600_000);
    let mut inside = world.store.inside();
    inside.queue(&world.domain).rows.values_mut().for_each(|row| row.arrived = arrived);
}

fn count(world: &World, state: DeliveryState) -> usize {
    let mut inside = world.store.inside();
    let states = inside.queue(&world.domain).rows.values().flat_map(|row| row.states.clone());
    states.filter(|other| *other == state).count()
}

fn held(world: &World) -> Option<(HoldKind, String)> {
    let note = world.store.stats(&world.domain).held;
    note.map(|note| (note.kind, note.reason))
}

fn withheld(world: &World, ago: Duration) -> bool {
    let now = (world.clock)();
    let failed_at = UnixMillis(now.0 - u64::try_from(ago.as_millis()).unwrap());
    world.delivery.returns().withholds(&world.domain, failed_at, now)
}

async fn drained(world: &World, count: usize) {
    world.ask(DrainCause::Etrn);
    world.drains(count).await;
    sleep(Duration::from_millis(100)).await;
}

const WHY: &str = "5 of 5 recipients were refused for good, last: 550 no such user";

#[tokio::test(start_paused = true)]
async fn five_of_the_first_ten_stop_the_domain_and_nothing_stays_refused() {
    let world = World::new(World::pinned(), refusing(|_| true));
    old(&world, 100);
    drained(&world, 1).await;
    assert_eq!(held(&world), Some((HoldKind::Circuit, WHY.to_owned())));
    assert_eq!(world.carrier.carried(), 5);
    assert_eq!((count(&world, DeliveryState::Failed), world.store.waiting(&world.domain)), (0, 100));
    assert_eq!(world.last_result(), format!("stopped: {WHY}"));
    let news = News::CircuitOpen { domain: world.domain.clone(), why: WHY.to_owned() };
    assert_eq!(world.told.all(), [news]);
    world.ask(DrainCause::Etrn);
    sleep(MINUTE).await;
    assert_eq!(world.carrier.carried(), 5, "stopped until it is released");
    assert!(withheld(&world, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn four_of_the_first_ten_are_believed_when_all_ten_are_there() {
    let world = World::new(World::pinned(), refusing(|number| number < 4));
    old(&world, 9);
    drained(&world, 1).await;
    assert_eq!((held(&world), count(&world, DeliveryState::Failed)), (None, 4));
    assert!(withheld(&world, Duration::ZERO), "the sample is not complete");
    assert!(!withheld(&world, WITHHELD), "at most so long");
    for number in 100..200 {
        world.queue(&world.domain, number, 1, None);
    }
    drained(&world, 2).await;
    assert_eq!((held(&world), count(&world, DeliveryState::Failed)), (None, 4));
    assert!(!withheld(&world, Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn recipients_are_counted_not_messages() {
    let world = World::new(World::pinned(), refusing(|number| number == 2));
    world.fill(2);
    world.queue(&world.domain, 2, 6, None);
    old(&world, 1);
    drained(&world, 1).await;
    assert!(held(&world).is_some_and(|(_, why)| why.starts_with("6 of 8 ")), "{:?}", held(&world));
    assert_eq!(count(&world, DeliveryState::Failed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fifth_of_any_hundred_stops_the_domain() {
    let delivery = DomainDelivery { connections: 1, ..World::pinned() };
    let world = World::new(delivery, refusing(|number| (450..=470).contains(&number)));
    world.fill(1000);
    drained(&world, 1).await;
    let (kind, why) = held(&world).unwrap();
    assert_eq!(kind, HoldKind::Circuit);
    assert!(why.starts_with("20 of 100 "), "{why}");
    assert!((470..478).contains(&world.carrier.carried()), "{}", world.carrier.carried());
    assert_eq!(count(&world, DeliveryState::Failed), 0, "the first of the twenty is not lost either");
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_thinner_than_that_is_an_ordinary_refusal() {
    let world = World::new(World::pinned(), refusing(|number| number % 6 == 0));
    world.fill(600);
    drained(&world, 1).await;
    assert_eq!(held(&world), None);
    assert_eq!(count(&world, DeliveryState::Failed), 100);
    assert!(withheld(&world, Duration::ZERO), "a hundred after it have not been answered");
    assert!(!withheld(&world, WITHHELD));
}

#[tokio::test(start_paused = true)]
async fn a_release_starts_a_fresh_sample_with_one_message_alone() {
    let well = Arc::new(AtomicBool::new(false));
    let asked = well.clone();
    let world = World::new(World::pinned(), refusing(move |_| !asked.load(Ordering::Relaxed)));
    old(&world, 100);
    drained(&world, 1).await;
    world.store.release_domain(&world.domain).await.unwrap();
    drained(&world, 2).await;
    assert_eq!(world.carrier.carried(), 10);
    assert!(held(&world).is_some());
    well.store(true, Ordering::Relaxed);
    world.store.release_domain(&world.domain).await.unwrap();
    drained(&world, 3).await;
    assert_eq!((held(&world), count(&world, DeliveryState::Delivered)), (None, 100));
    assert_eq!(world.carrier.beside.lock().unwrap()[10], 1);
}

#[tokio::test(start_paused = true)]
async fn where_refused_mail_is_held_it_stays_held() {
    let delivery = DomainDelivery { on_5xx: On5xx::Hold, ..World::pinned() };
    let world = World::new(delivery, refusing(|_| true));
    old(&world, 100);
    drained(&world, 1).await;
    assert!(held(&world).is_some());
    assert_eq!(count(&world, DeliveryState::Failed), 5);
}

#[tokio::test(start_paused = true)]
async fn without_a_circuit_everything_may_be_refused() {
    let circuit = Circuit { first: None, steady: None };
    let world = World::new(DomainDelivery { circuit, ..World::pinned() }, refusing(|_| true));
    old(&world, 300);
    drained(&world, 1).await;
    assert_eq!((held(&world), count(&world, DeliveryState::Failed)), (None, 300));
    assert!(!withheld(&world, Duration::ZERO));
    let first = Some(Share { refused: 5, of: 10 });
    let circuit = Circuit { first, steady: None };
    let world = World::new(DomainDelivery { circuit, ..World::pinned() }, refusing(|number| number >= 10));
    old(&world, 300);
    drained(&world, 1).await;
    assert_eq!((held(&world), count(&world, DeliveryState::Failed)), (None, 290));
    assert!(!withheld(&world, Duration::ZERO), "only the first ones count");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_cannot_be_written_stops_all_the_same() {
    let world = World::new(World::pinned(), refusing(|_| true));
    old(&world, 100);
    world.store.inside().hold_fails = 2;
    drained(&world, 1).await;
    assert_eq!((held(&world), world.carrier.carried()), (None, 5));
    assert!(withheld(&world, Duration::ZERO));
    assert_eq!(world.told.all(), []);
    drained(&world, 2).await;
    assert_eq!((held(&world), world.carrier.carried()), (None, 5), "nothing goes before it is written");
    drained(&world, 3).await;
    assert!(held(&world).is_some());
    assert_eq!((count(&world, DeliveryState::Failed), world.told.all().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_operators_own_stop_is_not_replaced() {
    let world = World::new(World::pinned(), |_, _| Script {
        answer: Box::new(|_, _| Outcome::Failed { reply: no() }),
        latency: Duration::from_secs(1),
        ..Script::default()
    });
    let circuit = Circuit { first: None, steady: Some(Share { refused: 8, of: 100 }) };
    let delivery = DomainDelivery { circuit, ..World::pinned() };
    let mut domains = restante_types::DomainMap::default();
    domains.insert(world.domain.clone(), true, delivery);
    world.settings.store(Arc::new(World::settings(domains)));
    world.fill(100);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_millis(500)).await;
    world.store.hold_domain(&world.domain, HoldOrder::new(HoldKind::Operator, "works")).await.unwrap();
    world.drains(1).await;
    sleep(MINUTE).await;
    assert_eq!(world.carrier.carried(), 8);
    assert_eq!(held(&world), Some((HoldKind::Operator, "works".to_owned())));
    assert_eq!(count(&world, DeliveryState::Failed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_we_were_cut_down_goes_back_at_the_next_start() {
    let world = World::new(World::pinned(), refusing(|_| true));
    old(&world, 300);
    let held_by = |kind| HoldOrder::new(kind, "5 of 5");
    world.store.hold_domain(&world.domain, held_by(HoldKind::Circuit)).await.unwrap();
    for row in world.store.inside().queue(&world.domain).rows.values_mut().step_by(2) {
        row.states[0] = DeliveryState::Failed;
    }
    let world = world.restarted(refusing(|_| false));
    assert!(withheld(&world, 2 * WITHHELD), "also before they are back");
    sleep(Duration::from_secs(1)).await;
    assert_eq!((count(&world, DeliveryState::Failed), world.store.waiting(&world.domain)), (0, 300));
    world.store.release_domain(&world.domain).await.unwrap();
    drained(&world, 1).await;
    assert_eq!(count(&world, DeliveryState::Delivered), 300);
    assert_eq!(world.carrier.beside.lock().unwrap()[0], 1, "a release is a return");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_refusals_are_withheld_until_something_is_known() {
    let world = World::new(World::pinned(), refusing(|number| number == 0));
    assert!(withheld(&world, Duration::ZERO));
    assert!(!withheld(&world, WITHHELD));
}
