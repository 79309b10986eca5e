//! The way to a primary as an operator wants to see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use restante_types::Domain;

use super::{Hop, LeftOut, NoRoute, explore};
use crate::resolve::Lookup;
use crate::settings::{DeliverySettings, NextHop};

/// Where a domain's mail would go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// Whose mail.
    pub domain: Domain,
    /// What the configuration says.
    pub primary: NextHop,
    /// The DNS servers of its own; none: the general ones.
    pub resolvers: Vec<SocketAddr>,
    /// In the order in which they would be tried; none where there is no way.
    pub hops: Vec<Hop>,
    /// How long this may be believed; none where nothing was looked up.
    pub ttl: Option<Duration>,
    /// Whether DNSSEC proves the MX records; see [`Hop::secure`].
    pub secure: bool,
    /// What the DNS names and is not tried.
    pub left_out: Vec<LeftOut>,
    /// Why there is no way.
    pub problem: Option<NoRoute>,
}

impl RouteView {
    /// Looks up where a domain's mail would go now, as a drain would; `None` where we hold nothing for it.
    pub async fn look(
        lookup: &Arc<dyn Lookup>,
        settings: &DeliverySettings,
        domain: &Domain,
    ) -> Option<Self> {
        let (_, delivery) = settings.domains.find(domain)?;
        let (found, left_out) = explore(lookup, settings, domain, &delivery.primary).await;
        let mut view = Self {
            domain: domain.clone(),
            primary: delivery.primary.clone(),
            resolvers: delivery.resolvers.clone(),
            hops: Vec::new(),
            ttl: None,
            secure: false,
            left_out,
            problem: None,
        };
        match found {
            Ok(route) => (view.hops, view.ttl, view.secure) = (route.hops, route.ttl, route.secure),
            Err(why) => view.problem = Some(why),
        }
        Some(view)
    }
}
