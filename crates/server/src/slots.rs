//! Room for connections: each listener has its own, so a flood on one does not starve the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use restante_types::Network;

use crate::limits::REFUSED_EVENT_EVERY;
use crate::settings::ServerLimits;

/// The connections of one listener, counted.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    total: usize,
    /// Only clients that have a connection stand in it, so it is bounded by `total`.
    by_client: HashMap<Network, usize>,
    told: Option<Instant>,
    untold: u64,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The client has as many as one may have.
    ForClient,
    /// The listener has as many as it takes.
    AtAll,
}

/// Room for one connection; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    client: Network,
}

impl Slots {
    /// Room for a connection from `address`, counted by address or /64.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, limits: &ServerLimits) -> Result<Slot, NoRoom> {
        let client = Network::of_client(address);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.by_client.get(&client).is_some_and(|count| *count >= limits.connections_per_client) {
            return Err(NoRoom::ForClient);
        }
        if inner.total >= limits.connections {
            return Err(NoRoom::AtAll);
        }
        inner.total += 1;
        *inner.by_client.entry(client).or_default() += 1;
        drop(inner);
        Ok(Slot { slots: Arc::clone(self), client })
    }

    /// Whether a refusal should be told now, with the number of those that were not told since the last time.
    pub(crate) fn worth_telling(&self, now: Instant) -> Option<u64> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.told.is_some_and(|told| now.duration_since(told) < REFUSED_EVENT_EVERY) {
            inner.untold += 1;
            return None;
        }
        inner.told = Some(now);
        Some(std::mem::take(&mut inner.untold))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inner = self.slots.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.total -= 1;
        if let Some(count) = inner.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                inner.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(connections: usize, connections_per_client: usize) -> ServerLimits {
        ServerLimits { connections, connections_per_client, ..ServerLimits::default() }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn clients_are_counted_by_address_or_64() {
        let slots = Arc::new(Slots::default());
        let limits = limits(10, 2);
        let first = slots.take(address("192.0.2.1"), &limits).unwrap();
        let _second = slots.take(address("::ffff:192.0.2.1"), &limits).unwrap();
        assert_eq!(slots.take(address("192.0.2.1"), &limits).unwrap_err(), NoRoom::ForClient);
        let _other = slots.take(address("192.0.2.2"), &limits).unwrap();
        let _six = slots.take(address("2001:db8::1"), &limits).unwrap();
        let _seven = slots.take(address("2001:db8::2"), &limits).unwrap();
        assert_eq!(slots.take(address("2001:db8:0:0:ffff::3"), &limits).unwrap_err(), NoRoom::ForClient);
        drop(first);
        assert!(slots.take(address("192.0.2.1"), &limits).is_ok());
    }

    #[test]
    fn a_listener_has_an_end_and_nothing_is_left_behind() {
        let slots = Arc::new(Slots::default());
        let limits = limits(2, 2);
        let one = slots.take(address("192.0.2.1"), &limits).unwrap();
        let two = slots.take(address("192.0.2.2"), &limits).unwrap();
        assert_eq!(slots.take(address("192.0.2.3"), &limits).unwrap_err(), NoRoom::AtAll);
        drop((one, two));
        let inner = slots.inner.lock().unwrap();
        assert!(inner.total == 0 && inner.by_client.is_empty());
    }

    #[test]
    fn a_flood_is_told_once_a_second() {
        let slots = Slots::default();
        let start = Instant::now();
        assert_eq!(slots.worth_telling(start), Some(0));
        for _ in 0..7 {
            assert_eq!(slots.worth_telling(start + Duration::from_millis(500)), None);
        }
        assert_eq!(slots.worth_telling(start + REFUSED_EVENT_EVERY), Some(7));
    }
}
