//! What the admin interface needs of the program besides the store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use restante_api::{AlarmView, ExplainQuery, ExplainReport, RouteReport, WhyReport};
use restante_queue::{EntryKey, Started, StoreError};
use restante_turn::FlushError;
use restante_types::{Domain, UnixMillis};

use crate::metrics::Metrics;

/// What the configuration says about one domain, as far as lists and `status` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPolicy {
    /// The configured name, or a name below one that says `subdomains = true`.
    pub domain: Domain,
    /// `on-demand` or `push`, as the configuration spells it.
    pub mode: String,
    /// How long mail is kept before it expires.
    pub retention: Duration,
}

/// What only the program knows or can do. Everything else goes through the store.
pub trait Operations: Send + Sync + 'static {
    /// The time; a test gives its own.
    fn now(&self) -> UnixMillis {
        SystemTime::now().into()
    }

    /// The effective configuration as TOML, secrets redacted (`config show`).
    fn configuration(&self) -> String;

    /// Configured domains behind `after`, in the order of their names, at most `limit`. An empty queue shows because
    /// its domain stands here.
    fn domains(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainPolicy>;

    /// The policy of one name: its own, or that of the parent that takes subdomains. `None` is "not held here".
    fn domain(&self, name: &Domain) -> Option<DomainPolicy>;

    /// Starts a drain for the operator, as ETRN would, without ETRN's interval and authorisation.
    ///
    /// # Errors
    /// Unknown, stopped, or the store cannot now; `TurnDesk::flush` knows.
    fn flush(&self, domain: &Domain) -> Result<Started, FlushError>;

    /// Sends a notice, kept as a dead letter in the queue of the domain it is about, to whom it is for; false where it
    /// could not be. `None` if it is none: whatever else is released goes back to its queue.
    ///
    /// # Errors
    /// The store's.
    fn send_kept<'a>(&'a self, _key: &'a EntryKey) -> BoxFuture<'a, Result<Option<bool>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// Forgets that a primary was away, so that the next drain goes at full pace; the store forgets its part by itself.
    fn forget_outage(&self, _domain: &Domain) {}

    /// Looks up where a domain's mail would go now; `None` is "not held here". The stop is filled in by who asks.
    fn route<'a>(&'a self, _domain: &'a Domain) -> BoxFuture<'a, Option<RouteReport>> {
        Box::pin(async { None })
    }

    /// The last attempt of a domain that failed.
    fn why(&self, _domain: &Domain) -> Option<WhyReport> {
        None
    }

    /// What a client would be answered; nothing is stored for it.
    ///
    /// # Errors
    /// The question makes no sense; says why.
    fn explain(&self, _query: ExplainQuery) -> BoxFuture<'_, Result<ExplainReport, String>> {
        Box::pin(async { Err("nobody here takes mail".to_owned()) })
    }

    /// What else a monitor should warn of, one line each: a configuration that could not be reloaded, a certificate
    /// that ran out.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The configured domain that a queue belongs to: itself, or the parent that takes subdomains.
    fn covering(&self, queue: &Domain) -> Option<Domain> {
        self.domain(queue).map(|_| queue.clone())
    }

    /// The alarms that are open, those of the server first; bounded by events times domains.
    fn alarms(&self) -> Vec<AlarmView> {
        Vec::new()
    }

    /// The names of all alarms, each with whether it is about one domain (otherwise about the server).
    fn alarm_events(&self) -> Vec<(&'static str, bool)> {
        Vec::new()
    }

    /// Connections of clients that run now.
    fn connections(&self) -> Option<u64> {
        None
    }

    /// What is counted.
    fn metrics(&self) -> Option<Arc<Metrics>> {
        None
    }
}
