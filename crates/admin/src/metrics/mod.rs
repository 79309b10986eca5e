//! What is counted and measured, as a monitor reads it: OpenMetrics text, every name with the prefix `restante_`.
//!
//! Counters live here and are added to by the program; gauges are taken from the store when somebody asks. A domain is
//! one label value: names below a configured one are summed under it, queues of notices under [`NOTICES_LABEL`], and what
//! is not configured any more under [`OTHERS_LABEL`], so that the number of series follows from the configuration.

mod gauges;
mod page;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use restante_types::Domain;

pub(crate) use page::metrics;

/// The label of all queues of notices; no domain has such a name.
pub const NOTICES_LABEL: &str = "(notices)";
/// The label of queues that no configured domain covers.
pub const OTHERS_LABEL: &str = "(unconfigured)";

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// The label of a queue; `covering` is the configured domain that it belongs to.
#[must_use]
pub fn label(queue: &Domain, covering: Option<&Domain>) -> String {
    match covering {
        Some(domain) => domain.to_string(),
        None if queue.notices_to().is_some() => NOTICES_LABEL.to_owned(),
        None => OTHERS_LABEL.to_owned(),
    }
}

/// What became of recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// The next hop took them.
    Delivered,
    /// They stay.
    Deferred,
    /// They were refused for good.
    Failed,
    /// They waited for too long.
    Expired,
}

/// What the server counts while it runs.
pub struct Metrics {
    registry: Registry,
    /// The domain labels that are there.
    domains: Mutex<BTreeSet<String>>,
    accepted: Counters<1>,
    accepted_bytes: Counters<1>,
    delivered: Counters<1>,
    deferred: Counters<1>,
    failed: Counters<1>,
    expired: Counters<1>,
    drains: Counters<2>,
    refused: Counters<1>,
    notices: Counters<2>,
    answers: Counters<2>,
    alarms: Counters<1>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("restante");
        let mut one = |name: &str, help: &str| {
            let family = Counters::<1>::default();
            registry.register(name, help, family.clone());
            family
        };
        let accepted =
            one("accepted_messages", "Messages accepted, counted once for each domain they are held for");
        let accepted_bytes = one("accepted_bytes", "Octets of the content of accepted messages");
        let delivered = one("delivered_recipients", "Recipients that the next hop took");
        let deferred = one("deferred_recipients", "Attempts after which a recipient stays");
        let failed = one("failed_recipients", "Recipients that were refused for good");
        let expired = one("expired_messages", "Messages that waited for longer than their retention");
        let refused = one("refused", "Refusals to clients, by the point at which they were made");
        let alarms = one("alarms", "Alarms raised, by event");
        let mut two = |name: &str, help: &str| {
            let family = Counters::<2>::default();
            registry.register(name, help, family.clone());
            family
        };
        let drains = two("drains", "Drains that began, by what set them off");
        let notices = two("notices", "Notices to senders, by kind and outcome");
        let answers = two("turn_answers", "Answers to ETRN, ATRN and TURN, by reply code");
        let domains = Mutex::default();
        Self {
            registry,
            domains,
            accepted,
            accepted_bytes,
            delivered,
            deferred,
            failed,
            expired,
            drains,
            refused,
            notices,
            answers,
            alarms,
        }
    }

    /// These domains are configured: their counters exist from now on, as 0, and those of others go.
    pub fn keep<'a>(&self, configured: impl IntoIterator<Item = &'a Domain>) {
        let fixed = [NOTICES_LABEL, OTHERS_LABEL].map(str::to_owned);
        let wanted: BTreeSet<String> = configured.into_iter().map(ToString::to_string).chain(fixed).collect();
        let mut known = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        for family in self.by_domain() {
            for gone in known.difference(&wanted) {
                family.remove(&[("domain", gone.clone())]);
            }
            for new in &wanted {
                drop(family.get_or_create(&[("domain", new.clone())]));
            }
        }
        // There are five causes; a domain that is gone takes its own along.
        for gone in known.difference(&wanted) {
            for cause in ["etrn", "atrn", "turn", "flush", "schedule", "returned"] {
                self.drains.remove(&[("domain", gone.clone()), ("cause", cause.to_owned())]);
            }
        }
        *known = wanted;
    }

    fn by_domain(&self) -> [&Counters<1>; 6] {
        let Self { accepted, accepted_bytes, delivered, deferred, failed, expired, .. } = self;
        [accepted, accepted_bytes, delivered, deferred, failed, expired]
    }

    /// A message is durable, in the queue of this [`label`].
    pub fn accepted(&self, label: String, octets: u64) {
        let labels = [("domain", label)];
        self.accepted.get_or_create(&labels).inc();
        self.accepted_bytes.get_or_create(&labels).inc_by(octets);
    }

    /// Something became of so many recipients (messages, for [`Became::Expired`]).
    pub fn became(&self, label: String, became: Became, count: u64) {
        let family = match became {
            Became::Delivered => &self.delivered,
            Became::Deferred => &self.deferred,
            Became::Failed => &self.failed,
            Became::Expired => &self.expired,
        };
        family.get_or_create(&[("domain", label)]).inc_by(count);
    }

    /// A drain ended.
    pub fn drained(&self, label: String, cause: &str) {
        self.drains.get_or_create(&[("domain", label), ("cause", cause.to_owned())]).inc();
    }

    /// Something was refused at `connect`, `mail`, `rcpt` or `content`.
    pub fn refused(&self, at: &'static str) {
        self.refused.get_or_create(&[("at", at.to_owned())]).inc();
    }

    /// A notice of this kind was `queued`, or is `dead`.
    pub fn notice(&self, kind: &'static str, outcome: &'static str) {
        self.notices.get_or_create(&[("kind", kind.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    /// `etrn`, `atrn` or `turn` was answered.
    pub fn answered(&self, verb: &str, code: u16) {
        self.answers.get_or_create(&[("verb", verb.to_owned()), ("code", code.to_string())]).inc();
    }

    /// An alarm was raised.
    pub fn alarm(&self, event: &str) {
        self.alarms.get_or_create(&[("event", event.to_owned())]).inc();
    }
}
