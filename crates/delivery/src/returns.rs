//! A safe return of the primary: what is remembered of each domain and each next hop between drains.
//!
//! All of it lives in memory only. After a restart nothing is known, so that the first contact counts as a return where
//! mail has been waiting, and refusals of an unknown domain are withheld.

mod circuit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use restante_types::{Domain, UnixMillis};

use crate::limits::WITHHELD;
use crate::settings::{Circuit, DeliverySettings};

use circuit::Sample;

/// What is known of the primaries. A clone is the same memory.
#[derive(Clone)]
pub struct Returns {
    inside: Arc<Inside>,
}

struct Inside {
    settings: Arc<ArcSwap<DeliverySettings>>,
    /// Bounded by the domains that were drained since the start: those held.
    memories: Mutex<HashMap<Domain, Arc<Mutex<Memory>>>>,
}

/// One domain.
#[derive(Default)]
struct Memory {
    sample: Sample,
}

impl Returns {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(settings: Arc<ArcSwap<DeliverySettings>>) -> Self {
        Self { inside: Arc::new(Inside { settings, memories: Mutex::default() }) }
    }

    /// Whether nobody is to be told yet of a refusal (5xx) of that time: the circuit's sample is not complete, so it may
    /// turn out that the primary refuses everything. At most 30 minutes.
    #[must_use]
    pub fn withholds(&self, domain: &Domain, failed_at: UnixMillis, now: UnixMillis) -> bool {
        let circuit = self.circuit(domain);
        match self.known(domain) {
            Some(memory) => lock(&memory).sample.is_open_about(circuit, failed_at, now),
            None => circuit != NO_CIRCUIT && now < failed_at.plus(WITHHELD),
        }
    }

    /// Forgets everything about a domain: its failures, its outage, its pace. For `flush --reset`.
    pub fn reset(&self, domain: &Domain) {
        self.memories().remove(domain);
    }

    fn circuit(&self, domain: &Domain) -> Circuit {
        let settings = self.inside.settings.load();
        settings.domains.find(domain).map_or(NO_CIRCUIT, |(_, delivery)| delivery.circuit)
    }

    fn known(&self, domain: &Domain) -> Option<Arc<Mutex<Memory>>> {
        self.memories().get(domain).cloned()
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Domain, Arc<Mutex<Memory>>>> {
        lock(&self.inside.memories)
    }
}

const NO_CIRCUIT: Circuit = Circuit { first: None, steady: None };

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
