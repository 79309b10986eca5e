//! The one filter language of every verb, and pages.

use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};

use crate::entry::{Entry, EntryKey};

/// Which entries; all conditions that are there must hold. Texts match as case-insensitive substrings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these queues; empty means all.
    pub domains: Vec<Domain>,
    /// Only these messages; empty means all.
    pub ids: Vec<QueueId>,
    /// Part of the sender's address; `<>` matches the null path.
    pub from: Option<String>,
    /// Part of a recipient's address.
    pub to: Option<String>,
    /// Arrived before.
    pub older_than: Option<UnixMillis>,
    /// Arrived after.
    pub younger_than: Option<UnixMillis>,
    /// More octets than this.
    pub larger: Option<u64>,
    /// Fewer octets than this.
    pub smaller: Option<u64>,
    /// In one of these states; empty means all but deleted.
    pub states: Vec<DeliveryState>,
    /// Part of a recipient's last reply, or of the operator's reason for its hold.
    pub reason: Option<String>,
}

/// Where a page ended; opaque to everyone but the store that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(crate) EntryKey);

impl Cursor {
    /// The cursor as a text that [`Cursor::parse`] reads.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{}/{}", self.0.id, self.0.domain)
    }

    /// Reads what [`Cursor::encode`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, domain) = text.split_once('/')?;
        Some(Self(EntryKey { domain: domain.parse().ok()?, id: id.parse().ok()? }))
    }
}

/// Some entries, and where to go on. A page may be short or even empty while there are more: work per page is
/// bounded, not only its length.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// In the order of domain, then arrival.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}
