//! Name resolution where the system has none configured.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use restante_delivery::{Found, Lookup, LookupError, Mx, SystemLookup};
use restante_types::Domain;

use super::events;

/// The system's resolver; without one, every look-up is put off, so that pinned primaries still work.
pub(super) fn lookup() -> Arc<dyn Lookup> {
    match SystemLookup::new() {
        Ok(lookup) => Arc::new(lookup),
        Err(error) => {
            events::no_resolver(&error);
            Arc::new(Nothing(error))
        }
    }
}

struct Nothing(LookupError);

#[async_trait]
impl Lookup for Nothing {
    async fn mx(&self, _: &Domain) -> Result<Found<Mx>, LookupError> {
        Err(LookupError::Temporary(self.0.to_string()))
    }

    async fn addresses(&self, _: &Domain) -> Result<Found<IpAddr>, LookupError> {
        Err(LookupError::Temporary(self.0.to_string()))
    }
}
