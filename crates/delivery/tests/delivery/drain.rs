//! Drains: every message once, whatever happens on the way.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use restante_delivery::limits::{DRAINS, HEAD, PAGE};
use restante_delivery::{DomainDelivery, Trip};
use restante_queue::{DrainCause, DrainRequest, HoldKind, HoldOrder, LeaseAnswer, QueueStore};
use restante_types::Reply;
use tokio::time::{Instant, sleep};

use crate::support::{Script, ScriptedDns, World, domain, reply};

fn slow(milliseconds: u64) -> Script {
    Script::slow(Duration::from_millis(milliseconds))
}

fn each_once(world: &World, count: usize) {
    let tried = world.carrier.tried.lock().unwrap();
    assert_eq!(tried.len(), count);
    assert!(tried.values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn many_messages_go_over_several_connections_each_once() {
    let world = World::new(DomainDelivery { connections: 4, ..World::pinned() }, |_, _| slow(2));
    world.fill(1000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 1000);
    assert_eq!(world.carrier.connections(), 4);
    assert_eq!(world.store.waiting(&world.domain), 0);
    assert_eq!(world.last_result(), "delivered all");
    let inside = world.store.inside();
    assert_eq!(inside.settled.iter().sum::<usize>(), 1000);
    assert!(inside.settled.len() < 200, "{} settlements for 1000 messages", inside.settled.len());
    assert_eq!(inside.queues[&world.domain].leased, None);
}

#[tokio::test(start_paused = true)]
async fn one_connection_hands_over_in_the_order_of_arrival() {
    let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, |_, _| slow(1));
    world.fill(3 * PAGE as u64);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert!(world.carrier.order.lock().unwrap().is_sorted());
    each_once(&world, 3 * PAGE);
}

#[tokio::test(start_paused = true)]
async fn the_first_connection_must_work_before_there_is_a_second() {
    let world = World::new(World::pinned(), |_, _| slow(1000));
    world.fill(1000);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(7)).await;
    assert_eq!(world.carrier.connections(), 1);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.carrier.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_few_messages_take_one_connection_and_none_takes_none() {
    let world = World::new(World::pinned(), |_, _| slow(2));
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.carrier.connections(), 0);
    assert_eq!(world.last_result(), "nothing was waiting");
    world.fill(20);
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    assert_eq!(world.carrier.connections(), 1);
    each_once(&world, 20);
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_leaves_the_rest_to_be_asked_for() {
    let cut = reply(451, "connection lost");
    let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, move |number, _| Script {
        cut_after: (number == 0).then(|| (10, cut.clone())),
        ..slow(1)
    });
    world.fill(100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.store.waiting(&world.domain), 90);
    assert_eq!(world.last_result(), "delivered 10, then 451 connection lost");
    assert_eq!(world.store.reports(&world.domain)[0].not_before, None);
    sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(world.carrier.connections(), 1, "on demand means on demand");
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    each_once(&world, 100);
    assert!(world.carrier.order.lock().unwrap().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn what_one_connection_leaves_another_carries() {
    let cut = reply(451, "connection lost");
    let world = World::new(DomainDelivery { connections: 2, ..World::pinned() }, move |number, _| Script {
        cut_after: (number == 1).then(|| (10, cut.clone())),
        ..slow(1)
    });
    world.fill(500);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 500);
    assert_eq!(world.last_result(), "delivered all");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_takes_so_many_per_connection_gets_another() {
    let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, |_, _| Script {
        cut_after: Some((30, reply(421, "too many messages"))),
        ..slow(1)
    });
    world.fill(100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 100);
    assert_eq!(world.carrier.connections(), 4);
}

/// Its 421 was lost with the connection.
#[tokio::test(start_paused = true)]
async fn a_primary_that_cuts_after_so_many_gets_another_connection() {
    let lost = Reply::new(450, (4, 4, 2), "connection lost");
    for (taken, connections) in [(32, 7), (31, 1)] {
        let lost = lost.clone();
        let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, move |_, _| Script {
            cut_after: Some((taken, lost.clone())),
            ..slow(1)
        });
        world.fill(200);
        world.ask(DrainCause::Etrn);
        world.drains(1).await;
        // Whoever takes less than may be sent in vain each time is left for later.
        assert_eq!(world.carrier.connections(), connections);
        if connections > 1 {
            each_once(&world, 200);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_only_says_421_ends_the_drain() {
    let world =
        World::new(World::pinned(), |_, _| Script { cut_after: Some((0, reply(421, "closing"))), ..slow(1) });
    world.fill(100);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.carrier.connections(), 1);
    assert_eq!(world.last_result(), "421 closing");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_primary_costs_its_head_not_its_queue() {
    let refused = Reply::new(450, (4, 4, 1), "connection refused");
    let world = World::new(World::pinned(), move |_, _| Script::refuse(refused.clone()));
    world.fill(10_000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.last_result(), "450 4.4.1 connection refused");
    let head = world.store.row(&world.domain, World::id(0));
    assert_eq!(head.replies[0].as_ref().unwrap().text, "connection refused");
    assert_eq!((head.attempts, head.next_attempt), (1, None));
    assert_eq!(world.store.row(&world.domain, World::id(HEAD as u64)).attempts, 0);
    let inside = world.store.inside();
    assert_eq!(inside.settled.iter().sum::<usize>(), HEAD);
    assert!(inside.read <= 2 * PAGE, "{} entries read", inside.read);
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_tried_and_then_kept() {
    // [5321-5.1-each]
    let dns = Arc::new(ScriptedDns::new("mail.example.org A 192.0.2.1\nmail.example.org A 192.0.2.2"));
    let delivery =
        DomainDelivery { primary: "mail.example.org".parse().unwrap(), connections: 3, ..World::pinned() };
    let world = World::with_dns(dns, delivery, |_, hop| {
        if hop.address.ip().to_string() == "192.0.2.1" { Script::refuse(reply(450, "no")) } else { slow(2) }
    });
    world.fill(500);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 500);
    let connects = world.carrier.connects.lock().unwrap();
    let to_the_first = connects.iter().filter(|(_, hop)| hop.address.to_string() == "192.0.2.1:25").count();
    assert_eq!((connects.len(), to_the_first), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hold_stops_a_running_drain_and_loses_nothing() {
    let world = World::new(DomainDelivery { connections: 2, ..World::pinned() }, |_, _| slow(10));
    world.fill(1000);
    world.ask(DrainCause::Flush);
    sleep(Duration::from_secs(1)).await;
    world.store.hold_domain(&world.domain, HoldOrder::new(HoldKind::Operator, "maintenance")).await.unwrap();
    world.drains(1).await;
    let carried = world.carrier.carried();
    assert!((100..400).contains(&carried), "{carried}");
    assert_eq!(world.store.waiting(&world.domain), 1000 - carried);
    assert!(world.last_result().ends_with("the domain was stopped"), "{}", world.last_result());
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.carrier.carried(), carried);
    world.store.release_domain(&world.domain).await.unwrap();
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    each_once(&world, 1000);
}

#[tokio::test(start_paused = true)]
async fn who_asks_during_a_drain_gets_what_came_behind_its_back() {
    let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, |_, _| slow(10));
    (100..200).for_each(|number| world.queue(&world.domain, number, 1, None));
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_millis(500)).await;
    // Older than what is being sent: minted before, visible only now.
    world.queue(&world.domain, 7, 1, None);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 101);
    assert_eq!(world.store.waiting(&world.domain), 0);
}

#[tokio::test(start_paused = true)]
async fn deferred_messages_are_tried_once_per_asking() {
    let world = World::new(DomainDelivery { connections: 3, ..World::pinned() }, |_, _| Script {
        answer: Box::new(|_, _| restante_queue::Outcome::Deferred {
            reply: reply(452, "later"),
            next_attempt: None,
        }),
        ..slow(10)
    });
    world.fill(300);
    world.ask(DrainCause::Etrn);
    sleep(Duration::from_millis(200)).await;
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let tried = world.carrier.tried.lock().unwrap().clone();
    assert_eq!(tried.len(), 300);
    assert!(tried.values().all(|times| *times == 2), "{:?}", tried.values().collect::<HashSet<_>>());
    assert_eq!(world.last_result(), "452 later");
}

#[tokio::test(start_paused = true)]
async fn asking_again_and_again_ends_all_the_same() {
    let world = World::new(World::pinned(), |_, _| Script {
        answer: Box::new(|_, _| restante_queue::Outcome::Deferred {
            reply: reply(452, "later"),
            next_attempt: None,
        }),
        ..slow(10)
    });
    world.fill(10);
    world.ask(DrainCause::Etrn);
    for _ in 0..2000 {
        sleep(Duration::from_millis(5)).await;
        world.ask(DrainCause::Etrn);
    }
    sleep(Duration::from_secs(60)).await;
    let drains = world.store.reports(&world.domain).len();
    assert!((2..100).contains(&drains), "{drains}");
    assert_eq!(world.store.inside().queues[&world.domain].leased, None);
}

#[tokio::test(start_paused = true)]
async fn our_own_greeting_is_a_loop() {
    let world =
        World::new(World::pinned(), |_, _| Script { end: Some(Trip::Ourselves), ..Script::default() });
    world.fill(10);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert!(world.store.reports(&world.domain)[0].misrouted);
    assert_eq!(world.store.waiting(&world.domain), 10);
    assert_eq!(world.store.row(&world.domain, World::id(0)).attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn meeting_ourselves_behind_a_dead_primary_is_no_loop() {
    let zone = "example.org MX 10 a.example.org\na.example.org A 192.0.2.1
        example.org MX 20 nat.example.org\nnat.example.org A 198.51.100.9";
    let delivery = DomainDelivery { primary: "mx".parse().unwrap(), ..World::pinned() };
    let world = World::with_dns(Arc::new(ScriptedDns::new(zone)), delivery, |_, hop| Script {
        end: Some(if hop.preference == 20 { Trip::Ourselves } else { Trip::Unused(reply(450, "dead")) }),
        ..Script::default()
    });
    world.fill(10);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let report = world.store.reports(&world.domain)[0].clone();
    assert!(!report.misrouted);
    assert_eq!(report.result, "450 dead");
}

#[tokio::test(start_paused = true)]
async fn a_route_to_nowhere_parks_the_domain_and_trouble_of_the_dns_does_not() {
    let dns = Arc::new(ScriptedDns::new("example.org TROUBLE"));
    let delivery = DomainDelivery { primary: "mx".parse().unwrap(), ..World::pinned() };
    let world = World::with_dns(dns.clone(), delivery, |_, _| Script::default());
    world.fill(10);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.last_result(), "451 4.4.3 example.org: the DNS did not answer: SERVFAIL");
    dns.clear("example.org");
    dns.add("example.org MX 0 .");
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    let reports = world.store.reports(&world.domain);
    assert_eq!((reports[0].misrouted, reports[1].misrouted), (false, true));
    assert_eq!(world.carrier.connections(), 0);
    assert_eq!(world.store.waiting(&world.domain), 10);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stumbles_is_asked_again() {
    let world = World::new(World::pinned(), |_, _| slow(1));
    world.fill(300);
    world.store.inside().settle_fails = 3;
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 300);
    assert_eq!(world.store.waiting(&world.domain), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_stops_the_drain_and_nothing_goes_twice_in_it() {
    let world = World::new(World::pinned(), |_, _| slow(1));
    world.fill(5000);
    world.store.inside().settle_fails = usize::MAX;
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let tried = world.carrier.tried.lock().unwrap();
    assert!(tried.values().all(|times| *times == 1));
    assert!(tried.len() < 1000, "{}", tried.len());
    assert!(world.last_result().contains("outcomes could not be recorded"), "{}", world.last_result());
}

#[tokio::test(start_paused = true)]
async fn content_comes_off_the_disk_while_the_one_before_is_sent() {
    let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, |_, _| slow(10));
    world.store.inside().disk = Duration::from_millis(40);
    world.fill(200);
    let began = Instant::now();
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    // One after the other it would be 10 s.
    assert!(began.elapsed() < Duration::from_millis(2200), "{:?}", began.elapsed());
    assert_eq!(world.store.inside().opened, 200);
    each_once(&world, 200);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_and_the_others_go() {
    let world = World::new(World::pinned(), |_, _| slow(1));
    world.fill(100);
    world.store.inside().damaged.extend([World::id(0), World::id(50)]);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    each_once(&world, 98);
    assert_eq!(world.store.waiting(&world.domain), 2);
    assert_eq!(world.store.row(&world.domain, World::id(50)).attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_busy_domain_is_left_to_its_holder() {
    let world = World::new(World::pinned(), |_, _| slow(1));
    world.fill(10);
    let lease = match world.store.lease(&world.domain, DrainCause::Atrn).await.unwrap() {
        LeaseAnswer::Leased(lease) => lease,
        other => panic!("{other:?}"),
    };
    let requests = world.store.inside().requests.clone().unwrap();
    requests.send(DrainRequest { domain: world.domain.clone(), cause: DrainCause::Etrn }).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.carrier.connections(), 0);
    assert_eq!(world.store.asked_again(&lease), Some(DrainCause::Etrn), "the holder is told");
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_one_courier_costs_its_drain_and_no_message() {
    let world = World::new(World::pinned(), |number, _| Script {
        answer: Box::new(move |work, _| {
            assert!(number > 0 || work.id != World::id(5), "on purpose");
            restante_queue::Outcome::Delivered
        }),
        ..slow(1)
    });
    world.fill(20);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.store.waiting(&world.domain), 15);
    world.ask(DrainCause::Etrn);
    world.drains(2).await;
    assert_eq!(world.store.waiting(&world.domain), 0);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_domains_are_drained_at_once() {
    let world = World::new(DomainDelivery { connections: 1, ..World::pinned() }, |_, _| slow(1000));
    let names: Vec<_> = (0..DRAINS + 200).map(|n| domain(&format!("d{n}.example.org"))).collect();
    for name in &names {
        world.queue(name, 1, 1, None);
        world.store.start_drain(name, DrainCause::Etrn).unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(world.carrier.carried(), DRAINS + 200);
    let most = world.carrier.most_open.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(most, DRAINS);
}
