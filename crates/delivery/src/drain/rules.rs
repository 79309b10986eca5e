//! The rules that a drain began with, and whether they still hold.

use restante_types::Domain;

use super::Context;
use crate::settings::DomainDelivery;

/// The result of a drain whose domain has other rules now, or is not configured any more. It begins anew.
pub(super) const CHANGED: &str = "its configuration changed";

/// Comes back once a domain has other rules than these.
pub(super) async fn changed(context: &Context, domain: &Domain, rules: &DomainDelivery) {
    let mut reloads = context.reloads.clone();
    loop {
        // Noted before the look, so that what comes in between is looked at too.
        reloads.mark_unchanged();
        let settings = context.settings.load();
        if settings.domains.find(domain).is_none_or(|(_, now)| now != rules) {
            return;
        }
        drop(settings);
        if reloads.changed().await.is_err() {
            // Nobody reloads any more.
            std::future::pending::<()>().await;
        }
    }
}
