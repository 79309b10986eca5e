//! What a client would be answered.

use std::net::IpAddr;

use restante_types::Domain;
use serde::{Deserialize, Serialize};

/// The query: a client that says MAIL and RCPT. Nothing is stored for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainQuery {
    /// The recipient; `postmaster` alone is one too.
    pub recipient: String,
    /// The client's address.
    pub client: IpAddr,
    /// The sender; absent or empty is the null path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
}

/// What it would be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// The command that decides: `connect`, `mail` or `rcpt`.
    pub command: String,
    /// Whether the recipient would be taken.
    pub accepted: bool,
    /// The reply, as it goes over the wire: `550 5.7.1 relaying denied`.
    pub reply: String,
    /// Its code.
    pub code: u16,
    /// The rule that decides; a word that is only ever added to.
    pub rule: String,
    /// The same in a sentence.
    pub why: String,
    /// The queue that the message would stand in.
    pub domain: Option<Domain>,
    /// The configured domain that the recipient was found by.
    pub configured: Option<Domain>,
}
