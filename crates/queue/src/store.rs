//! The seam that every store fulfils.

use std::path::Path;

use async_trait::async_trait;
use restante_types::{Domain, QueueId, UnixMillis};
use tokio::sync::mpsc;

use crate::content::{ContentBuffer, ContentReader};
use crate::entry::{Conclusion, Entry, EntryKey, NewMessage, Work};
use crate::error::StoreError;
use crate::filter::{Cursor, Filter, ListPage};
use crate::lease::{
    DomainLease, DrainCause, DrainReport, DrainRequest, LeaseAnswer, Scope, Settlement, Started,
};
use crate::receipt::Receipt;
use crate::stats::{DomainStats, Health, HoldNote, HoldOrder};

/// Drain requests as they come; a domain stands in it at most once for what is due, and once for everything.
pub type DrainRequests = mpsc::UnboundedReceiver<DrainRequest>;

/// A durable queue per domain. Object-safe; every method may answer [`StoreError::Unavailable`].
///
/// Nothing returns "all": lists come in pages, counts are kept, not counted. An operator's hold, delete and release
/// carry no lease and win over whoever holds one.
#[async_trait]
pub trait QueueStore: Send + Sync + 'static {
    /// A new, monotonic id, never before the newest one stored (also when the clock went back).
    fn mint(&self, now: UnixMillis) -> QueueId;

    /// A buffer for content as it arrives: in memory up to 384 KiB, then in a temporary file.
    fn begin_content(&self) -> ContentBuffer;

    /// Whether mail would be taken now, without touching the disk: the cheap question before `354`.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Unavailable`], as `accept` would.
    fn ready_for_mail(&self, size: u64) -> Result<(), StoreError>;

    /// Stores a message durably and visibly. Repeating it with the same id is harmless, whatever became of the message
    /// meanwhile.
    ///
    /// # Errors
    /// Nothing was acknowledged, and nothing of it will be delivered.
    async fn accept(&self, message: NewMessage) -> Result<Receipt, StoreError>;

    /// The content of an entry's message, from its beginning.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and [`StoreError::Damaged`] where its record cannot be read.
    async fn open_content(&self, key: &EntryKey) -> Result<ContentReader, StoreError>;

    /// One entry.
    async fn get(&self, key: &EntryKey) -> Result<Entry, StoreError>;

    /// A page of entries behind `after`, at most `limit`.
    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<ListPage, StoreError>;

    /// One domain's counts; zeros for a domain that never had mail.
    fn stats(&self, domain: &Domain) -> DomainStats;

    /// Counts of the domains behind `after`, in the order of their names, at most `limit`.
    fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats>;

    /// Counts of the domains below this one (whose names end in `.domain`) behind `after`, in an order of the store's,
    /// at most `limit`.
    fn queues_below(&self, domain: &Domain, after: Option<&Domain>, limit: usize) -> Vec<DomainStats>;

    /// Asks for a drain: wakes whoever reads `watch`, or marks the running drain to look once more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the index is being rebuilt.
    fn start_drain(&self, domain: &Domain, cause: DrainCause) -> Result<Started, StoreError>;

    /// The requests; there is one reader, a second call replaces the first one's channel.
    fn watch(&self) -> DrainRequests;

    /// The right to drain a domain.
    async fn lease(&self, domain: &Domain, cause: DrainCause) -> Result<LeaseAnswer, StoreError>;

    /// What there is to do under a lease, behind `after`, oldest first, at most `limit`.
    async fn due(
        &self,
        lease: &DomainLease,
        scope: Scope,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Work>, StoreError>;

    /// Records outcomes, in groups; when it returns, a crash repeats none of them. A domain that was stopped meanwhile
    /// changes nothing about that.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when somebody took the domain over: then only what was delivered was recorded.
    async fn settle(&self, lease: &DomainLease, settlements: Vec<Settlement>) -> Result<(), StoreError>;

    /// Whether somebody asked again since the lease was given or since this was last called (it clears the mark).
    fn asked_again(&self, lease: &DomainLease) -> Option<DrainCause>;

    /// Whether the lease was taken over, or the domain stopped, since it was given.
    fn is_fenced(&self, lease: &DomainLease) -> bool;

    /// Gives a lease back with a report.
    async fn end_lease(&self, lease: DomainLease, report: DrainReport) -> Result<(), StoreError>;

    /// Stops a domain. Survives restarts. A stop that is there already is replaced; a pause that ran is kept.
    async fn hold_domain(&self, domain: &Domain, order: HoldOrder) -> Result<(), StoreError>;

    /// Lets a domain go again, whatever stopped it; false if nothing did.
    async fn release_domain(&self, domain: &Domain) -> Result<bool, StoreError>;

    /// Domains that are stopped, with their notes; bounded by the number of domains ever stopped.
    fn held_domains(&self) -> Vec<(Domain, HoldNote)>;

    /// Domains whose stop was to end by `now`; whoever looks after the queues releases them.
    fn holds_over(&self, now: UnixMillis) -> Vec<Domain> {
        let over = |(domain, note): (Domain, HoldNote)| {
            note.until.is_some_and(|until| until <= now).then_some(domain)
        };
        self.held_domains().into_iter().filter_map(over).collect()
    }

    /// Stops single entries; returns how many there were.
    async fn hold(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError>;

    /// Lets single entries go again: held ones, and parked ones (failed, expired, misrouted, dead) back to queued.
    async fn release(&self, keys: &[EntryKey]) -> Result<u64, StoreError>;

    /// Ends the matter of recipients that failed or expired ([`Conclusion::Sent`]: that are dead letters), durably;
    /// others are passed over. Returns how many there were.
    async fn conclude(&self, key: &EntryKey, recipients: &[u16], how: Conclusion) -> Result<u64, StoreError>;

    /// Entries of a domain behind `after` with a recipient that failed or expired and was not concluded, at most
    /// `limit`. It costs what it finds, however much waits beside it.
    async fn unreported(
        &self,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Up to which message a domain's were looked at for notices of delay; what was noted last, over restarts.
    fn delay_mark(&self, domain: &Domain) -> Option<QueueId>;

    /// Notes it, durably.
    async fn set_delay_mark(&self, domain: &Domain, mark: QueueId) -> Result<(), StoreError>;

    /// Deletes entries; they can be restored for 24 hours.
    async fn delete(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError>;

    /// Brings deleted entries back in the state they had.
    async fn restore(&self, keys: &[EntryKey]) -> Result<u64, StoreError>;

    /// Forgets the retry history of a domain: attempts, next attempts, `not_before`. While a failure is not reported its
    /// entry keeps how often each recipient was tried: by that it is known which of them failed together.
    async fn reset_retries(&self, domain: &Domain) -> Result<(), StoreError>;

    /// Parks, as `expired`, waiting entries of a domain that arrived before `cutoff`, at most `limit`; returns which.
    /// Does nothing while the clock is in doubt or the domain is stopped. [`Pauses::cutoff`](crate::Pauses::cutoff)
    /// says what cutoff a retention means.
    async fn expire(
        &self,
        domain: &Domain,
        cutoff: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError>;

    /// Removes for good what was deleted before `deleted_before` and what was parked (failed, expired, dead) before
    /// `parked_before` in this domain, at most `limit`; returns the keys removed, for the log. Of a domain that is
    /// stopped only what was deleted goes: nobody is told about the rest while it is.
    async fn purge(
        &self,
        domain: &Domain,
        deleted_before: UnixMillis,
        parked_before: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError>;

    /// Domains with entries due by `now`, not stopped, not leased and not waiting for their `not_before`: at most `limit`
    /// held ones, the earliest first, and behind them at most as many queues of notices.
    fn domains_due(&self, now: UnixMillis, limit: usize) -> Vec<Domain>;

    /// When the next scheduled attempt of any domain is.
    fn next_due(&self) -> Option<UnixMillis>;

    /// A consistent copy while running; a restored copy starts with every domain on hold.
    async fn backup(&self, to: &Path) -> Result<u64, StoreError>;

    /// The condition of the store.
    fn health(&self) -> Health;

    /// Finishes what was asked, syncs, and closes; everything answers `Unavailable` afterwards.
    async fn close(&self);
}
