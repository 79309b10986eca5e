//! Delivery, and what it stands on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_delivery::{
    Courier, Delivery, DeliveryParts, DeliverySettings, HttpsFetch, SystemLookup, TlsParts, TlsPolicies,
};
use restante_queue::QueueStore;
use tokio::task::JoinSet;

use super::collectors::{Collectors, Hops};
use super::error::StartError;
use super::house::clock;
use super::settings;
use super::ways::Ways;
use crate::alarms::Alarms;
use crate::config::Config;

/// Everything that sends.
pub(super) struct Outbound {
    /// The drains.
    pub(super) delivery: Delivery,
    /// What they are told by the configuration.
    pub(super) routes: Arc<ArcSwap<DeliverySettings>>,
    /// Who answers for the DNS.
    pub(super) lookup: Arc<SystemLookup>,
    /// What TLS each domain demands.
    tls_policies: Arc<TlsPolicies>,
    /// Ends with it.
    _keepers: JoinSet<()>,
}

impl Outbound {
    /// Starts to send what `store` holds.
    ///
    /// # Errors
    /// When the DNS cannot be asked.
    pub(super) fn start(
        config: &Config,
        store: &Arc<dyn QueueStore>,
        collectors: &Collectors,
        alarms: &Alarms,
    ) -> Result<Self, StartError> {
        let routes = Arc::new(ArcSwap::from_pointee(settings::delivery(config)));
        let lookup = Arc::new(SystemLookup::with_settings(settings::dns(config))?);
        let tls_policies = Arc::new(TlsPolicies::new(TlsParts {
            lookup: lookup.clone(),
            fetch: Arc::new(HttpsFetch::default()),
            file: Some(config.top.data_dir.join("mta-sts.json")),
            clock: clock(),
        }));
        let mut keepers = JoinSet::new();
        keepers.spawn(tls_policies.clone().keep(routes.clone()));
        let delivery = Delivery::start(DeliveryParts {
            store: store.clone(),
            settings: routes.clone(),
            lookup: lookup.clone(),
            carrier: Arc::new(Courier::new(tls_policies.clone())),
            requesters: Arc::new(Hops(collectors.hops.clone())),
            witness: Arc::new(alarms.clone()),
            clock: clock(),
        });
        alarms.attach(store.clone(), delivery.post_room());
        Ok(Self { delivery, routes, lookup, tls_policies, _keepers: keepers })
    }

    /// For who wants to know the ways out.
    pub(super) fn ways(&self) -> Ways {
        Ways::new(&self.routes, &self.lookup, self.tls_policies.clone(), self.delivery.why_book())
    }
}
