//! Where things are. A later version of the interface gets its own prefix.

use restante_types::{Domain, QueueId};

/// `GET`: the condition of the server; anybody who can connect may ask.
pub const HEALTH: &str = "/v1/health";
/// `GET`: a stream of domains.
pub const DOMAINS: &str = "/v1/domains";
/// `GET`: one domain.
pub const DOMAIN: &str = "/v1/domains/{domain}";
/// `GET`: where its mail would go now.
pub const ROUTE: &str = "/v1/domains/{domain}/route";
/// `GET`: its last attempt that failed.
pub const WHY: &str = "/v1/domains/{domain}/why";
/// `GET`: what a client would be answered; the question stands in the query.
pub const EXPLAIN: &str = "/v1/explain";
/// `GET`: a stream of entries; the filter stands in the query.
pub const ENTRIES: &str = "/v1/entries";
/// `GET`: one message, in all the domains it is held for.
pub const MESSAGE: &str = "/v1/messages/{id}";
/// `GET`: its content, as octets.
pub const CONTENT: &str = "/v1/messages/{id}/content";
/// `POST`: start drains and watch them.
pub const FLUSH: &str = "/v1/flush";
/// `POST`: stop domains or entries.
pub const HOLD: &str = "/v1/hold";
/// `POST`: let domains or entries go again.
pub const RELEASE: &str = "/v1/release";
/// `POST`: delete entries.
pub const DELETE: &str = "/v1/delete";
/// `POST`: bring deleted entries back.
pub const RESTORE: &str = "/v1/restore";
/// `POST`: copy the store.
pub const BACKUP: &str = "/v1/backup";
/// `GET`: what a monitor counts and measures, as OpenMetrics text.
pub const METRICS: &str = "/metrics";
/// `GET`: [`HEALTH`], where it is asked over TCP.
pub const HTTP_HEALTH: &str = "/health";
/// `GET`: the effective configuration, redacted, as TOML.
pub const CONFIG: &str = "/v1/config";

/// [`DOMAIN`] for one.
#[must_use]
pub fn domain(domain: &Domain) -> String {
    format!("{DOMAINS}/{domain}")
}

/// [`ROUTE`] for one.
#[must_use]
pub fn route(domain: &Domain) -> String {
    format!("{DOMAINS}/{domain}/route")
}

/// [`WHY`] for one.
#[must_use]
pub fn why(domain: &Domain) -> String {
    format!("{DOMAINS}/{domain}/why")
}

/// [`MESSAGE`] for one.
#[must_use]
pub fn message(id: QueueId) -> String {
    format!("/v1/messages/{id}")
}

/// [`CONTENT`] for one.
#[must_use]
pub fn content(id: QueueId) -> String {
    format!("/v1/messages/{id}/content")
}
