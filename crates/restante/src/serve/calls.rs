//! The one door between the front end and delivery: connections that were turned go through it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use restante_delivery::{Leash, SessionLimits, Unreached};
use restante_server::{Others, Place};
use restante_turn::RunningDrain;
use restante_types::Domain;
use tokio::sync::mpsc;

use crate::limits::CALLS_WAITING;

/// Hands on what was turned. While delivery takes no more the front end tells nobody yes. Ends with the front end.
pub(super) fn join(door: mpsc::Sender<restante_delivery::Turned>) -> mpsc::Sender<restante_server::Turned> {
    let (calls, mut turned) = mpsc::channel::<restante_server::Turned>(CALLS_WAITING);
    tokio::spawn(async move {
        while let Some(one) = turned.recv().await {
            let restante_server::Turned { stream, identity, cause, leases, drain, place } = one;
            let leash = Box::new(Rope { drain, _place: place });
            let limits = SessionLimits::default();
            let handed = restante_delivery::Turned { stream, leases, cause, identity, limits, leash };
            if door.send(handed).await.is_err() {
                // Delivery is closing; what is not taken is closed, and its leases go back.
                break;
            }
        }
    });
    calls
}

/// The drains of delivery's own that give way to a customer that calls.
pub(super) struct Yielding(pub(super) Unreached);

impl Others for Yielding {
    fn give_way<'a>(
        &'a self,
        domains: &'a [Domain],
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.0.give_way(domains, patience))
    }
}

/// What holds a drain from the front end's side.
struct Rope {
    drain: RunningDrain,
    /// The connection stays counted among those of its listener.
    _place: Place,
}

#[async_trait]
impl Leash for Rope {
    async fn pulled(&mut self) {
        self.drain.cancelled().await;
    }

    fn greeted(&self) {
        self.drain.greeted();
    }
}
