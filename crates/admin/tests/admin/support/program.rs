//! What the interface asks of the program, over a store in memory; the fuzz targets ask the same.

use std::sync::Arc;
use std::time::Duration;

use restante_admin::{DomainPolicy, Operations};
use restante_queue::{DrainCause, QueueStore, Started};
use restante_turn::FlushError;
use restante_types::{Domain, UnixMillis};

use super::fake::{FakeStore, NOW, domain};

/// What the program would know.
pub(crate) struct Program {
    pub(crate) store: Arc<FakeStore>,
    /// In their order.
    pub(crate) domains: Vec<Domain>,
}

impl Program {
    fn policy(domain: &Domain) -> DomainPolicy {
        let mode = if domain.as_str().starts_with("push") { "push" } else { "on-demand" };
        DomainPolicy {
            domain: domain.clone(),
            mode: mode.to_owned(),
            retention: Duration::from_secs(14 * 86_400),
        }
    }
}

impl Operations for Program {
    fn now(&self) -> UnixMillis {
        NOW
    }

    fn configuration(&self) -> String {
        "hostname = \"mx2.example.net\"\n".to_owned()
    }

    fn domains(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainPolicy> {
        let behind = self.domains.iter().filter(|domain| after.is_none_or(|after| *domain > after));
        behind.take(limit).map(Self::policy).collect()
    }

    /// `push.example` takes subdomains.
    fn domain(&self, name: &Domain) -> Option<DomainPolicy> {
        let found = self.domains.iter().any(|domain| domain == name);
        let below = name.is_below(&domain("push.example"));
        (found || below).then(|| DomainPolicy {
            mode: if below { "push".to_owned() } else { Self::policy(name).mode },
            ..Self::policy(name)
        })
    }

    fn flush(&self, domain: &Domain) -> Result<Started, FlushError> {
        match self.store.stats(domain).held {
            Some(note) => Err(FlushError::Held(note)),
            None => Ok(self.store.start_drain(domain, DrainCause::Flush)?),
        }
    }
}
