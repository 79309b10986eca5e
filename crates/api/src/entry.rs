//! Entries and messages.

use jiff::Timestamp;
use restante_types::{DeliveryState, Domain, QueueId};
use serde::{Deserialize, Serialize};

use crate::filter::EntryFilter;

/// One entry: a message as one domain's queue holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// Which message.
    pub id: QueueId,
    /// In whose queue.
    pub domain: Domain,
    /// Who it is from; empty for the null path.
    pub sender: String,
    /// This domain's recipients.
    pub recipients: Vec<RecipientView>,
    /// Octets of content.
    pub size: u64,
    /// When it came in.
    pub arrived: Timestamp,
    /// When it is parked as expired, if it still waits then.
    pub expires: Option<Timestamp>,
    /// When the server tries on its own next.
    pub next_attempt: Option<Timestamp>,
    /// The state of the least finished recipient.
    pub state: DeliveryState,
    /// The address of the client that handed it in.
    pub client: String,
    /// What that client called itself.
    pub helo: String,
    /// What vouches for the sender, so that it may be sent notices: `spf`, `dkim`, `no`, or `unchecked`.
    #[serde(default)]
    pub vouched: String,
    /// Whether the operator stopped this entry (its domain may be stopped besides).
    pub held: bool,
    /// Why the operator did.
    pub hold_reason: Option<String>,
    /// The account that handed it in, if it proved one.
    pub identity: Option<String>,
    /// The TLS it came over, if it did.
    pub tls: Option<TlsView>,
    /// `BODY=8BITMIME` was said (RFC 6152).
    pub eight_bit: bool,
    /// `SMTPUTF8` was said (RFC 6531).
    pub smtputf8: bool,
    /// `RET=` (RFC 3461 4.3): `FULL` or `HDRS`.
    pub ret: Option<String>,
    /// `ENVID=` (RFC 3461 4.4), in xtext.
    pub envid: Option<String>,
}

/// One recipient of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientView {
    /// Its address.
    pub address: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// What was said last about it, in one line.
    pub last_reply: Option<String>,
    /// `NOTIFY=` (RFC 3461 4.1).
    pub notify: Option<String>,
    /// `ORCPT=` (RFC 3461 4.2).
    pub original: Option<String>,
}

/// The TLS of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsView {
    /// `TLS1.3`, `TLS1.2`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
}

/// One message: what it is in each queue, and its headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// At least one.
    pub entries: Vec<EntryView>,
    /// The header section, as it is held; octets that are no UTF-8 are replaced. `null` when it cannot be read.
    pub headers: Option<String>,
    /// The header section is longer than what is shown.
    pub headers_cut: bool,
}

/// The query of a stream of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListQuery {
    /// Which.
    #[serde(flatten)]
    pub filter: EntryFilter,
    /// Where to go on: `next` of an earlier stream's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::filter::number")]
    pub limit: Option<u64>,
}

/// The end of a stream of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEnd {
    /// How many there were in this stream.
    pub entries: u64,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

/// The query of a message's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentQuery {
    /// The queue to read it through; without it, any that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
}
