//! A safe return of the primary: what is remembered of each domain and each next hop between drains.
//!
//! All of it lives in memory only. After a restart nothing is known: the first contact counts as a return where mail
//! has been waiting, refusals are withheld as if their sample had just begun, and what an open circuit parked goes back
//! to the queue once more.

mod circuit;
mod gate;
mod hosts;
mod memory;
mod pace;
mod release;
mod standing;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use restante_queue::{HoldKind, HoldOrder, Outcome, QueueStore};
use restante_types::{Domain, Reply, UnixMillis};
use tokio::sync::Notify;

use crate::events;
use crate::limits::WITHHELD;
use crate::news::{News, Witness};
use crate::settings::{Circuit, DeliverySettings, DomainDelivery, Share};
use crate::sync::lock;

pub(crate) use gate::{Gate, Pass};
use hosts::Hosts;
use memory::{Breaker, Memory};
use standing::Change;

/// What is known of the primaries. A clone is the same memory.
#[derive(Clone)]
pub struct Returns {
    inside: Arc<Inside>,
}

struct Inside {
    store: Arc<dyn QueueStore>,
    settings: Arc<ArcSwap<DeliverySettings>>,
    witness: Arc<dyn Witness>,
    /// Bounded by the domains that had a drain since the start: those held, and where notices wait to go.
    memories: Mutex<HashMap<Domain, Arc<Mutex<Memory>>>>,
    hosts: Mutex<Hosts>,
    /// Domains whose circuit opened and whose refused mail has to go back to the queue.
    owed: Mutex<BTreeSet<Domain>>,
    owing: Notify,
}

/// How one drain of one domain is to go.
pub(crate) struct Conduct {
    pub(crate) watch: Watch,
    pub(crate) gate: Option<Gate>,
}

/// Counts what is answered in a drain.
pub(crate) struct Watch {
    returns: Returns,
    domain: Domain,
    circuit: Circuit,
    memory: Arc<Mutex<Memory>>,
}

impl Returns {
    /// Knows nothing yet but which circuits are open.
    pub(crate) fn new(
        store: Arc<dyn QueueStore>,
        settings: Arc<ArcSwap<DeliverySettings>>,
        witness: Arc<dyn Witness>,
    ) -> Self {
        let held = store.held_domains().into_iter();
        let owed: BTreeSet<Domain> =
            held.filter(|(_, note)| note.kind == HoldKind::Circuit).map(|(domain, _)| domain).collect();
        let open = |domain: &Domain| (domain.clone(), Arc::new(Mutex::new(Memory::open())));
        let memories = owed.iter().map(open).collect();
        let inside = Inside {
            store,
            settings,
            witness,
            memories: Mutex::new(memories),
            hosts: Mutex::default(),
            owed: Mutex::new(owed),
            owing: Notify::new(),
        };
        Self { inside: Arc::new(inside) }
    }

    /// Whether nobody is to be told yet of a refusal (5xx) of that time: the circuit's sample is not complete, so it
    /// may turn out that the primary refuses everything. At most 30 minutes, or as long as a circuit is open.
    #[must_use]
    pub fn withholds(&self, domain: &Domain, failed_at: UnixMillis, now: UnixMillis) -> bool {
        if lock(&self.inside.owed).contains(domain) {
            return true;
        }
        let circuit = self.circuit(domain);
        match self.known(domain) {
            Some(memory) => {
                let memory = lock(&memory);
                memory.breaker != Breaker::Shut || memory.sample.is_open_about(circuit, failed_at, now)
            }
            None => circuit != NO_CIRCUIT && now < failed_at.plus(WITHHELD),
        }
    }

    /// Forgets what slows a domain's mail: its failures, its outage, its pace, and that its next hop was not reached.
    /// For `flush --reset`.
    pub fn reset(&self, domain: &Domain) {
        lock(&self.inside.hosts).forget(domain);
        if let Some(memory) = self.known(domain) {
            lock(&memory).forget_pace();
        }
    }

    /// A drain begins; `ramps`: over connections of our own, so that the first message can go alone.
    pub(crate) fn begin(
        &self,
        domain: &Domain,
        delivery: Option<&DomainDelivery>,
        ramps: bool,
        now: UnixMillis,
    ) -> Conduct {
        let memory = self.memory(domain);
        let oldest = self.inside.store.stats(domain).oldest;
        let alone = lock(&memory).begin(oldest, now);
        // Notices go to strangers, each to its own; what these refuse says nothing about a primary.
        let own = delivery.filter(|_| domain.notices_to().is_none());
        let circuit = own.map_or(NO_CIRCUIT, |delivery| delivery.circuit);
        let gate =
            own.and_then(|delivery| Gate::new(memory.clone(), delivery, alone && ramps && delivery.canary));
        let watch = Watch { returns: self.clone(), domain: domain.clone(), circuit, memory };
        Conduct { watch, gate }
    }

    /// Whether the circuit has opened and the stop could not be written yet: tries it again, and nothing may be sent.
    pub(crate) async fn is_opening(&self, domain: &Domain) -> bool {
        let Some(memory) = self.known(domain) else { return false };
        let Breaker::Opening(why) = lock(&memory).breaker.clone() else { return false };
        self.stop(domain, &memory, why).await;
        true
    }

    /// Stops a domain. What was refused goes back to the queue when its drain is over.
    async fn stop(&self, domain: &Domain, memory: &Mutex<Memory>, why: String) {
        lock(&self.inside.owed).insert(domain.clone());
        // An operator's own stop says more than ours.
        if self.inside.store.stats(domain).held.is_none() {
            let order = HoldOrder::new(HoldKind::Circuit, why.clone());
            if let Err(error) = self.inside.store.hold_domain(domain, order).await {
                return events::circuit_not_written(domain, &error);
            }
        }
        lock(memory).breaker = Breaker::Open;
        events::circuit_open(domain, &why);
        self.inside.witness.tell(News::CircuitOpen { domain: domain.clone(), why });
    }

    /// A drain found nobody ready for mail, or lost the connection; `progress`: after some messages. Returns how many
    /// such drains there were in a row before it.
    pub(crate) fn unreached(&self, domain: &Domain, reply: &Reply, progress: bool, now: UnixMillis) -> u32 {
        let memory = self.memory(domain);
        let (earlier, change) = {
            let mut memory = lock(&memory);
            if !progress {
                memory.missed();
            }
            memory.standing.unreached(&reply.to_string(), now)
        };
        self.tell(domain, change);
        earlier
    }

    /// Mail was answered for good; `taken`: some of it was taken.
    pub(crate) fn answered(&self, domain: &Domain, taken: bool, now: UnixMillis) {
        lock(&self.memory(domain)).answered(taken, now);
    }

    /// The primary takes mail.
    pub(crate) fn reached(&self, domain: &Domain) {
        lock(&self.inside.hosts).forget(domain);
        let change = lock(&self.memory(domain)).standing.reached();
        self.tell(domain, change);
    }

    /// The retry list is walked from its beginning.
    pub(crate) fn forget_tries(&self, domain: &Domain) {
        if let Some(memory) = self.known(domain) {
            lock(&memory).standing.forget_tries();
        }
    }

    /// Tells of primaries that have been down for long by now, and forgets where notices went.
    pub(crate) fn look(&self, now: UnixMillis) {
        let over =
            |domain: &Domain| domain.notices_to().is_some() && self.inside.store.stats(domain).messages == 0;
        let gone: Vec<Domain> = self.memories().keys().filter(|domain| over(domain)).cloned().collect();
        gone.iter().for_each(|domain| drop(self.memories().remove(domain)));
        let all: Vec<_> =
            self.memories().iter().map(|(domain, memory)| (domain.clone(), memory.clone())).collect();
        for (domain, memory) in all {
            let change = lock(&memory).standing.look(now);
            self.tell(&domain, change);
        }
    }

    /// These next hops could not be reached for a domain that is pushed.
    pub(crate) fn waits_for(&self, domain: &Domain, hops: impl Iterator<Item = SocketAddr>) {
        lock(&self.inside.hosts).waits(domain, hops);
    }

    /// A next hop takes mail of a domain: who waited for it, that one among them.
    pub(crate) fn answers(&self, hop: SocketAddr, domain: &Domain) -> Vec<Domain> {
        lock(&self.inside.hosts).answers(hop, domain)
    }

    fn tell(&self, domain: &Domain, change: Option<Change>) {
        let Some(change) = change.filter(|_| domain.notices_to().is_none()) else { return };
        let domain = domain.clone();
        let news = match change {
            Change::Down(why) => {
                events::primary_down(&domain, &why);
                News::PrimaryDown { domain, why }
            }
            Change::Up => {
                events::primary_up(&domain);
                News::PrimaryUp { domain }
            }
        };
        self.inside.witness.tell(news);
    }

    fn circuit(&self, domain: &Domain) -> Circuit {
        let settings = self.inside.settings.load();
        let found = settings.domains.find(domain).filter(|_| domain.notices_to().is_none());
        found.map_or(NO_CIRCUIT, |(_, delivery)| delivery.circuit)
    }

    fn known(&self, domain: &Domain) -> Option<Arc<Mutex<Memory>>> {
        self.memories().get(domain).cloned()
    }

    fn memory(&self, domain: &Domain) -> Arc<Mutex<Memory>> {
        self.memories().entry(domain.clone()).or_default().clone()
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Domain, Arc<Mutex<Memory>>>> {
        lock(&self.inside.memories)
    }
}

impl Watch {
    /// Counts one message's outcomes. Returns why the circuit opens, if it does; then [`open`](Self::open) is to be
    /// called before the outcomes are recorded.
    pub(crate) fn count(&self, outcomes: &[(u16, Outcome)], now: impl Fn() -> UnixMillis) -> Option<String> {
        if self.circuit == NO_CIRCUIT {
            return None;
        }
        let mut memory = lock(&self.memory);
        let Share { refused, of } = memory.count(self.circuit, outcomes, now)?;
        let last = outcomes.iter().rev().find_map(|(_, outcome)| match outcome {
            Outcome::Failed { reply } => Some(reply),
            Outcome::Delivered | Outcome::Deferred { .. } => None,
        });
        let last = last.map(|reply| format!(", last: {reply}")).unwrap_or_default();
        let why = format!("{refused} of {of} recipients were refused for good{last}");
        memory.breaker = Breaker::Opening(why.clone());
        Some(why)
    }

    /// Stops the domain. A crash from here on repeats what is left to do at the next start.
    pub(crate) async fn open(&self, why: String) {
        self.returns.stop(&self.domain, &self.memory, why).await;
    }
}

const NO_CIRCUIT: Circuit = Circuit { first: None, steady: None };
