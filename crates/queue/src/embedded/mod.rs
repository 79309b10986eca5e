//! The store that needs nothing but a directory: the content log is the truth, sled the index over it.
//!
//! Who does what: callers read, and ask; the log's writer thread makes mail durable and then visible
//! ([`intake`]); the owner thread alone changes the index ([`owner`], [`turn`]); a third thread brings the index in
//! line with the log after a start ([`recovery`]). In memory are counts, leases and entries on their way
//! ([`books`]), never something per message held.

mod atomic;
mod backup;
mod books;
mod checkpoint;
mod counts;
mod damage;
mod desk;
mod drains;
mod due;
mod edges;
mod ended;
mod intake;
mod leases;
mod notes;
mod open;
mod operator;
mod options;
mod owner;
mod pages;
mod recovery;
mod reports;
mod settle;
mod shared;
mod tree;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use restante_types::{Domain, QueueId, UnixMillis};

use crate::content::{ContentBuffer, ContentReader};
use crate::disk::DirLock;
use crate::entry::{Conclusion, Entry, EntryKey, NewMessage, Work};
use crate::error::StoreError;
use crate::events;
use crate::filter::{Cursor, Filter, ListPage};
use crate::lease::{DomainLease, DrainCause, DrainReport, LeaseAnswer, Scope, Settlement, Started};
use crate::receipt::Receipt;
use crate::stats::{DomainStats, Health, HoldKind, HoldNote, HoldOrder};
use crate::store::{DrainRequests, QueueStore};
use desk::Leaving;
use shared::Shared;

pub(crate) use checkpoint::durable;
pub use options::{EmbeddedOptions, OpenError};

/// A queue in a directory of one machine. See [`QueueStore`] for what it does.
///
/// It needs a tokio runtime: what reads the disk runs on its blocking threads. Dropping it without
/// [`close`](QueueStore::close) is like being killed: nothing acknowledged is lost, and the next start reads the log's
/// tail.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    data_dir: PathBuf,
    running: Mutex<Option<Running>>,
}

/// What ends with the store.
struct Running {
    threads: Vec<JoinHandle<()>>,
    lock: DirLock,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens the store, or makes it. Blocks: after an unclean stop the index is probed and read, and the log's tail;
    /// where that takes longer than a few seconds, or the index has to be rebuilt, it goes on in the background, mail
    /// comes in, and [`health`](QueueStore::health) says so.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then but torn ends of the log.
    pub fn open(options: EmbeddedOptions) -> Result<Self, OpenError> {
        open::open(options)
    }

    fn end(&self, how: Leaving) {
        self.shared.desk.leave(how);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { threads, lock }) = running else { return };
        for thread in threads {
            // A panic in it was reported where it happened.
            let _ = thread.join();
        }
        self.shared.drop_index();
        drop(lock);
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.end(Leaving::Abandon);
        self.shared.log.close();
    }
}

#[async_trait]
impl QueueStore for EmbeddedStore {
    fn mint(&self, now: UnixMillis) -> QueueId {
        self.shared.intake.mint(now)
    }

    fn begin_content(&self) -> ContentBuffer {
        self.shared.log.begin_content()
    }

    fn ready_for_mail(&self, size: u64) -> Result<(), StoreError> {
        self.shared.ready_for_mail(size)
    }

    async fn accept(&self, message: NewMessage) -> Result<Receipt, StoreError> {
        self.shared.accept(message).await
    }

    async fn open_content(&self, key: &EntryKey) -> Result<ContentReader, StoreError> {
        self.shared.open_content(key).await
    }

    async fn get(&self, key: &EntryKey) -> Result<Entry, StoreError> {
        self.shared.get(key).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.shared.list(filter, after, limit).await
    }

    fn stats(&self, domain: &Domain) -> DomainStats {
        self.shared.books.lock().stats(domain)
    }

    fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        self.shared.books.lock().stats_page(after, limit)
    }

    fn queues_below(&self, domain: &Domain, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        self.shared.books.lock().queues_below(domain, after, limit)
    }

    fn start_drain(&self, domain: &Domain, cause: DrainCause) -> Result<Started, StoreError> {
        let now = self.shared.books.clock.monotonic();
        self.shared.books.lock().start_drain(domain, cause, now)
    }

    fn watch(&self) -> DrainRequests {
        self.shared.books.lock().watch()
    }

    async fn lease(&self, domain: &Domain, cause: DrainCause) -> Result<LeaseAnswer, StoreError> {
        self.shared.books.lease(domain, cause)
    }

    async fn due(
        &self,
        lease: &DomainLease,
        scope: Scope,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Work>, StoreError> {
        self.shared.due(lease, scope, after, limit).await
    }

    async fn settle(&self, lease: &DomainLease, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.shared.settle(lease, settlements).await
    }

    fn asked_again(&self, lease: &DomainLease) -> Option<DrainCause> {
        self.shared.books.lock().current(lease.domain(), lease.generation())?.again.take()
    }

    fn is_fenced(&self, lease: &DomainLease) -> bool {
        self.shared.is_fenced(lease)
    }

    async fn end_lease(&self, lease: DomainLease, report: DrainReport) -> Result<(), StoreError> {
        let reason = report.result.clone();
        if self.shared.books.end(&lease, report)? {
            events::domain_held(lease.domain(), HoldKind::Misrouted, &reason);
            return self.shared.save_notes().await;
        }
        Ok(())
    }

    async fn hold_domain(&self, domain: &Domain, order: HoldOrder) -> Result<(), StoreError> {
        events::domain_held(domain, order.kind, &order.reason);
        self.shared.books.stop(domain, order);
        self.shared.save_notes().await
    }

    async fn release_domain(&self, domain: &Domain) -> Result<bool, StoreError> {
        let released = self.shared.books.go(domain);
        if released {
            events::domain_released(domain);
            self.shared.save_notes().await?;
        }
        Ok(released)
    }

    fn held_domains(&self) -> Vec<(Domain, HoldNote)> {
        self.shared.books.lock().held_domains()
    }

    async fn hold(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        self.shared.hold(keys, reason).await
    }

    async fn release(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.shared.release(keys).await
    }

    async fn conclude(&self, key: &EntryKey, recipients: &[u16], how: Conclusion) -> Result<u64, StoreError> {
        self.shared.conclude(key, recipients, how).await
    }

    async fn unreported(
        &self,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.shared.unreported(domain, after, limit).await
    }

    fn delay_mark(&self, domain: &Domain) -> Option<QueueId> {
        self.shared.books.lock().domains.get(domain)?.notes.delay_mark
    }

    async fn set_delay_mark(&self, domain: &Domain, mark: QueueId) -> Result<(), StoreError> {
        self.shared.books.set_delay_mark(domain, mark);
        self.shared.save_notes().await
    }

    async fn delete(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        self.shared.delete(keys, reason).await
    }

    async fn restore(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.shared.restore(keys).await
    }

    async fn reset_retries(&self, domain: &Domain) -> Result<(), StoreError> {
        self.shared.reset_retries(domain).await
    }

    async fn expire(
        &self,
        domain: &Domain,
        cutoff: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        self.shared.expire(domain, cutoff, limit).await
    }

    async fn purge(
        &self,
        domain: &Domain,
        deleted_before: UnixMillis,
        parked_before: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        self.shared.purge(domain, deleted_before, parked_before, limit).await
    }

    fn domains_due(&self, now: UnixMillis, limit: usize) -> Vec<Domain> {
        self.shared.books.lock().due.by(now, limit)
    }

    fn next_due(&self) -> Option<UnixMillis> {
        self.shared.books.lock().due.next()
    }

    async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        self.shared.backup(to).await
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    async fn close(&self) {
        let shared = Arc::clone(&self.shared);
        shared.desk.leave(Leaving::Close);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { threads, lock }) = running else { return };
        let ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
            shared.drop_index();
            drop(lock);
        });
        // It only joins threads, whose panics were reported.
        let _ = ended.await;
    }
}
