//! What is in force, as the administrator's interface asks for it.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_admin::{DomainPolicy, Metrics, Operations};
use restante_api::{AlarmView, ExplainQuery, ExplainReport, RouteReport, WhyReport};
use restante_delivery::{PostRoom, Returns};
use restante_queue::{EntryKey, Started, StoreError};
use restante_server::Server;
use restante_turn::{FlushError, TurnDesk};
use restante_types::{Domain, DomainMap};

use super::known::KnownDomains;
use super::settings::{self, Policy};
use super::ways::{self, Ways};
use crate::alarms::Alarms;
use crate::config::{Config, render, written};

/// What is in force.
#[derive(Debug)]
pub(super) struct Current {
    /// The configuration.
    pub(super) config: Config,
    /// The policies by domain.
    pub(super) policies: DomainMap<Policy>,
    /// What a monitor should warn of.
    pub(super) warnings: Vec<String>,
}

impl Current {
    /// What follows from a configuration.
    pub(super) fn new(config: Config) -> Self {
        let policies = settings::policies(&config);
        let mut warnings = Vec::new();
        if config.tls.is_none() {
            warnings.push("there is no certificate: STARTTLS is not offered".to_owned());
        }
        warnings.extend(KnownDomains::warning(&config.top.data_dir));
        Self { config, policies, warnings }
    }

    /// The same, with one more thing to warn of.
    pub(super) fn with_warning(&self, warning: String) -> Self {
        let mut warnings = Self::new(self.config.clone()).warnings;
        warnings.push(warning);
        Self { config: self.config.clone(), policies: self.policies.clone(), warnings }
    }
}

/// Fulfils what the administrator's interface needs of the program.
pub(super) struct Office {
    /// What is in force.
    pub(super) current: Arc<ArcSwap<Current>>,
    /// Where drains are started.
    pub(super) desk: Arc<TurnDesk>,
    /// Who knows how many clients there are.
    pub(super) server: Arc<Server>,
    /// What is wrong.
    pub(super) alarms: Alarms,
    /// What is known of the primaries.
    pub(super) returns: Returns,
    /// Where mail goes.
    pub(super) ways: Ways,
    /// Where notices are handed in.
    pub(super) post_room: PostRoom,
}

/// An answer that takes some time.
type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

fn shown(name: &Domain, policy: &Policy) -> DomainPolicy {
    DomainPolicy { domain: name.clone(), mode: written(&policy.mode), retention: policy.retention }
}

impl Operations for Office {
    fn configuration(&self) -> String {
        render(&self.current.load().config)
    }

    fn domains(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainPolicy> {
        let current = self.current.load();
        let behind = current.policies.iter().filter(|(name, _)| after.is_none_or(|after| *name > after));
        behind.take(limit).map(|(name, policy)| shown(name, policy)).collect()
    }

    fn domain(&self, name: &Domain) -> Option<DomainPolicy> {
        self.current.load().policies.find(name).map(|(_, policy)| shown(name, policy))
    }

    fn flush(&self, domain: &Domain) -> Result<Started, FlushError> {
        self.desk.flush(domain)
    }

    fn send_kept<'a>(&'a self, key: &'a EntryKey) -> Later<'a, Result<Option<bool>, StoreError>> {
        Box::pin(self.post_room.send_kept(key))
    }

    fn forget_outage(&self, domain: &Domain) {
        self.returns.reset(domain);
    }

    fn route<'a>(&'a self, domain: &'a Domain) -> Later<'a, Option<RouteReport>> {
        let current = self.current.load_full();
        Box::pin(async move { self.ways.route(&current.config, domain).await })
    }

    fn why(&self, domain: &Domain) -> Option<WhyReport> {
        self.ways.why(domain)
    }

    fn explain(&self, query: ExplainQuery) -> Later<'_, Result<ExplainReport, String>> {
        Box::pin(ways::explain(&self.server, query))
    }

    fn warnings(&self) -> Vec<String> {
        self.current.load().warnings.clone()
    }

    fn covering(&self, queue: &Domain) -> Option<Domain> {
        self.current.load().policies.find(queue).map(|(name, _)| name.clone())
    }

    fn alarms(&self) -> Vec<AlarmView> {
        self.alarms.open()
    }

    fn alarm_events(&self) -> Vec<(&'static str, bool)> {
        Alarms::names()
    }

    fn connections(&self) -> Option<u64> {
        Some(self.server.connections() as u64)
    }

    fn metrics(&self) -> Option<Arc<Metrics>> {
        Some(self.alarms.metrics())
    }
}
