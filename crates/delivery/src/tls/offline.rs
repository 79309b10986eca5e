//! Neither DNS nor web.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use restante_types::Domain;

use super::fetch::{FetchError, PolicyFetch};
use crate::resolve::{Found, Lookup, LookupError, Mx, Tlsa};

/// Has no answer to anything.
pub(super) struct Offline;

fn nothing<T>() -> Result<T, LookupError> {
    Err(LookupError::Temporary("there is no resolver here".to_owned()))
}

#[async_trait]
impl Lookup for Offline {
    async fn mx(&self, _: &Domain) -> Result<Found<Mx>, LookupError> {
        nothing()
    }

    async fn addresses(&self, _: &Domain) -> Result<Found<IpAddr>, LookupError> {
        nothing()
    }

    async fn tlsa(&self, _: &Domain, _: u16) -> Result<Found<Tlsa>, LookupError> {
        nothing()
    }

    async fn txt(&self, _: &Domain) -> Result<Found<String>, LookupError> {
        nothing()
    }

    fn with_servers(&self, _: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        None
    }
}

#[async_trait]
impl PolicyFetch for Offline {
    async fn fetch(&self, _: &Domain, _: &Arc<dyn Lookup>) -> Result<String, FetchError> {
        nothing().map_err(FetchError::Lookup)
    }
}
