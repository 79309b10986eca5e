//! What becomes of recipients, row by row.

use std::collections::HashSet;
use std::time::Duration;

use restante_delivery::DomainDelivery;
use restante_queue::{DrainCause, Outcome};
use restante_types::DeliveryState;

use crate::support::{Script, World, reply};

fn script() -> Script {
    Script {
        answer: Box::new(|_, index| match index {
            0 => Outcome::Delivered,
            1 => Outcome::Deferred { reply: reply(452, "mailbox busy"), next_attempt: None },
            _ => Outcome::Failed { reply: reply(550, "no such user") },
        }),
        ..Script::default()
    }
}

async fn outcome(delivery: DomainDelivery, attempts: u32) -> (Vec<DeliveryState>, Option<Duration>, String) {
    let world = World::new(delivery, |_, _| script());
    world.queue(&world.domain, 1, 3, None);
    world.store.inside().queue(&world.domain).rows.get_mut(&World::id(1)).unwrap().attempts = attempts;
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let row = world.store.row(&world.domain, World::id(1));
    assert_eq!(row.attempts, attempts + 1);
    let replies: Vec<_> = row.replies.iter().map(|reply| reply.as_ref().map(|r| r.code.get())).collect();
    assert_eq!(replies, [None, Some(452), Some(550)]);
    let wait = row.next_attempt.map(|at| at.since((world.clock)()));
    (row.states, wait, world.last_result())
}

#[tokio::test(start_paused = true)]
async fn two_hundreds_leave_four_hundreds_stay_five_hundreds_are_parked() {
    // [5321-4.2.1-outcomes]
    let (states, next, result) = outcome(World::pinned(), 0).await;
    assert_eq!(states, [DeliveryState::Delivered, DeliveryState::Deferred, DeliveryState::Failed]);
    assert_eq!(next, None, "on demand: nothing is scheduled");
    assert_eq!(result, "delivered 1, then 452 mailbox busy");
}

#[tokio::test(start_paused = true)]
async fn in_push_mode_the_retry_list_says_when() {
    // [5321-4.5.4.1]
    for (attempts, minutes) in [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (50, 60)] {
        let (_, next, _) = outcome(World::push(), attempts).await;
        let seconds = next.unwrap().as_secs_f64();
        let least = f64::from(minutes) * 60.0;
        assert!((least - 1.0..=least * 1.1).contains(&seconds), "{attempts}: {seconds}");
    }
}

/// [5321-4.5.4.1] Nor do messages that were put off together.
#[tokio::test(start_paused = true)]
async fn what_is_put_off_together_comes_back_one_by_one() {
    let world = World::new(World::push(), |_, _| Script {
        answer: Box::new(|_, _| Outcome::Deferred { reply: reply(452, "busy"), next_attempt: None }),
        ..Script::default()
    });
    world.fill(20);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let next: HashSet<_> = (0..20)
        .map(|number| world.store.row(&world.domain, World::id(number)).next_attempt.unwrap())
        .collect();
    assert!(next.len() > 3, "spread over half a minute: {next:?}");
}
