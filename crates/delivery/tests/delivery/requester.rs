//! Drains to the address that asked.

use std::sync::{Arc, Mutex};

use restante_delivery::{Requester, Requesters};
use restante_queue::DrainCause;
use restante_types::Domain;

use crate::support::World;

/// Somebody who asked, once.
#[derive(Clone, Default)]
struct Asker(Arc<Mutex<Option<Requester>>>);

impl Requesters for Asker {
    fn take(&self, domain: &Domain) -> Option<Requester> {
        assert_eq!(domain.as_str(), "example.org");
        self.0.lock().unwrap().take()
    }
}

fn asked_by(address: &str) -> Asker {
    let certificates = [[7; 32]].into();
    let asker = Asker::default();
    *asker.0.lock().unwrap() = Some(Requester { address: address.parse().unwrap(), certificates });
    asker
}

fn addresses(world: &World) -> Vec<String> {
    world.carrier.connects.lock().unwrap().iter().map(|(_, hop)| hop.address.to_string()).collect()
}

/// [1985-requester-once]
#[tokio::test(start_paused = true)]
async fn one_drain_that_an_etrn_started_goes_to_who_asked() {
    let asker = asked_by("198.51.100.9:2525");
    let world = World::with_requesters(World::pinned(), Arc::new(asker.clone()));
    for (number, cause) in [DrainCause::Flush, DrainCause::Etrn, DrainCause::Etrn].into_iter().enumerate() {
        world.queue(&world.domain, number as u64, 1, None);
        world.ask(cause);
        world.drains(number + 1).await;
    }
    assert_eq!(addresses(&world), ["192.0.2.1:25", "198.51.100.9:2525", "192.0.2.1:25"]);
    assert_eq!(world.store.waiting(&world.domain), 0);
}

/// [1985-requester-once] Not by the schedule either.
#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_the_primary() {
    let asker = asked_by("198.51.100.9:2525");
    let world = World::with_requesters(World::push(), Arc::new(asker.clone()));
    world.queue(&world.domain, 0, 1, Some((world.clock)()));
    world.drains(1).await;
    assert_eq!(addresses(&world), ["192.0.2.1:25"]);
    assert!(asker.0.lock().unwrap().is_some());
}

/// [1985-requester] Neither a loop nor a way into this machine.
#[tokio::test(start_paused = true)]
async fn nothing_goes_to_an_address_of_ours() {
    for ours in ["127.0.0.1:25", "203.0.113.7:25", "203.0.113.8:25", "[::1]:2525"] {
        let world = World::with_requesters(World::pinned(), Arc::new(asked_by(ours)));
        world.fill(1);
        world.ask(DrainCause::Etrn);
        world.drains(1).await;
        assert_eq!(world.carrier.connections(), 0, "{ours}");
        assert!(world.last_result().starts_with("450 4.4.6"), "{}", world.last_result());
        assert_eq!(world.store.waiting(&world.domain), 1);
    }
}
