//! Where server and delivery meet: connections that were turned go from the one to the other, and who asked for its
//! mail to come to its own address goes from the desk to the drain.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use async_trait::async_trait;
use restante_delivery::{Delivery, Leash, Requester, Requesters, SessionLimits};
use restante_server::{Place, Turned};
use restante_turn::{RequesterHops, RunningDrain};
use restante_types::Domain;
use tokio::sync::mpsc;

/// Connections on their way; delivery's own channel bounds what waits behind it.
const ON_THE_WAY: usize = 1;

/// Holds a turned drain on behalf of the registry, and its place on behalf of the listener.
struct Hold {
    drain: RunningDrain,
    _place: Place,
}

#[async_trait]
impl Leash for Hold {
    async fn pulled(&mut self) {
        self.drain.cancelled().await;
    }

    fn greeted(&self) {
        self.drain.greeted();
    }
}

/// The server's end of the way to delivery. It ends when either side does.
pub(super) fn way_to(delivery: &Delivery) -> mpsc::Sender<Turned> {
    let (calls, mut called) = mpsc::channel::<Turned>(ON_THE_WAY);
    let door = delivery.door();
    tokio::spawn(async move {
        while let Some(turned) = called.recv().await {
            let Turned { stream, identity, cause, leases, drain, place } = turned;
            let leash = Box::new(Hold { drain, _place: place });
            let limits = SessionLimits::default();
            let turned = restante_delivery::Turned { stream, leases, cause, identity, limits, leash };
            if door.send(turned).await.is_err() {
                return;
            }
        }
    });
    calls
}

/// What the desk knows of requesters, as a drain asks for it. Delivery stands before there is a desk, so it is told
/// afterwards.
#[derive(Default)]
pub(super) struct Askers(OnceLock<Arc<RequesterHops>>);

impl Askers {
    /// From now on these.
    pub(super) fn ask(&self, hops: Arc<RequesterHops>) {
        // There is one desk in the life of a server; a second call changes nothing.
        let _first = self.0.set(hops);
    }
}

impl Requesters for Askers {
    fn take(&self, domain: &Domain) -> Option<Requester> {
        let hop = self.0.get()?.take(domain, Instant::now())?;
        Some(Requester { address: hop.address, certificates: hop.certificates })
    }
}
