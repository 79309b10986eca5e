//! One function per event that an operator greps for; `event=` names and fields are stable.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use restante_net::UpgradeError;
use restante_queue::{DomainLease, DrainCause, EntryKey, StoreError};
use restante_types::{Domain, Mailbox, Printable, QueueId, Reply, Vouched};
use tokio::task::JoinError;

use crate::feed::Tally;
use crate::notice::PostError;
use crate::route::Hop;
use crate::tls::StsMode;

/// The next hop took responsibility for a recipient; `reply` is what it said after the content.
pub(crate) fn delivered(domain: &Domain, id: QueueId, recipient: &Mailbox, hop: &str, reply: &Reply) {
    let recipient = recipient.to_string();
    tracing::info!(event = "delivered", %domain, %id, recipient = %Printable::from(recipient.as_str()), hop, %reply);
}

/// A recipient stays in the queue.
pub(crate) fn deferred(domain: &Domain, id: QueueId, recipient: &Mailbox, hop: &str, reply: &Reply) {
    let recipient = recipient.to_string();
    tracing::info!(event = "deferred", %domain, %id, recipient = %Printable::from(recipient.as_str()), hop, %reply);
}

/// A recipient was refused for good and is parked.
pub(crate) fn failed(domain: &Domain, id: QueueId, recipient: &Mailbox, hop: &str, reply: &Reply) {
    let recipient = recipient.to_string();
    tracing::warn!(event = "failed", %domain, %id, recipient = %Printable::from(recipient.as_str()), hop, %reply);
}

/// The next hop lacks what held messages need (8BITMIME, SMTPUTF8, room); they are parked. Somebody must act, for the
/// owner was promised that what we accept can be handed over.
pub(crate) fn incapable(domain: &Domain, hop: &str, reply: &Reply) {
    tracing::error!(event = "next_hop_incapable", %domain, hop, %reply, alarm = true);
}

/// The next hop offers XCLIENT and does not take it from us: it judges mail as ours. Something to set right there.
pub(crate) fn not_introduced(domain: &Domain, hop: &str, reply: &Reply) {
    tracing::warn!(event = "xclient_refused", %domain, hop, %reply);
}

/// Outcomes could not be recorded: the messages may be sent a second time.
pub(crate) fn settle_failed(domain: &Domain, messages: usize, error: &StoreError) {
    tracing::error!(event = "settle_failed", %domain, messages, %error);
}

/// A drain has a lease and something to do.
pub(crate) fn drain_started(domain: &Domain, cause: DrainCause) {
    tracing::info!(event = "drain_started", %domain, %cause);
}

/// A drain gave its lease back.
pub(crate) fn drain_ended(domain: &Domain, cause: DrainCause, tally: &Tally, result: &str, took: Duration) {
    let Tally { messages, delivered, deferred, failed, .. } = tally;
    let seconds = took.as_secs_f64();
    tracing::info!(event = "drain_ended", %domain, %cause, messages, delivered, deferred, failed, seconds, result);
}

/// A connection was turned: its customer takes the mail of these domains over it.
pub(crate) fn turned(identity: &str, client: SocketAddr, cause: DrainCause, leases: &[DomainLease]) {
    let identity = Printable::from(identity);
    tracing::info!(event = "turned", %identity, %client, %cause, domains = leases.len());
    leases.iter().for_each(|lease| drain_started(lease.domain(), cause));
}

/// A turned connection is over; the leases of its domains are back.
pub(crate) fn turned_ended(
    identity: &str,
    client: SocketAddr,
    cause: DrainCause,
    tally: &Tally,
    result: &str,
    took: Duration,
) {
    let Tally { messages, delivered, deferred, failed, .. } = tally;
    let (identity, seconds) = (Printable::from(identity), took.as_secs_f64());
    tracing::info!(
        event = "turned_ended",
        %identity,
        %client,
        %cause,
        messages,
        delivered,
        deferred,
        failed,
        seconds,
        result
    );
}

/// A drain was asked for, but the operator stopped the domain.
pub(crate) fn drain_held(domain: &Domain, cause: DrainCause) {
    tracing::info!(event = "drain_held", %domain, %cause);
}

/// A drain was asked for, but the store gives no lease.
pub(crate) fn lease_failed(domain: &Domain, cause: DrainCause, error: &StoreError) {
    tracing::warn!(event = "lease_failed", %domain, %cause, %error);
}

/// A drain's report could not be recorded; its outcomes were.
pub(crate) fn report_failed(domain: &Domain, error: &StoreError) {
    tracing::warn!(event = "report_failed", %domain, %error);
}

/// The domain's mail leads nowhere but to ourselves: parked, an operator is needed.
pub(crate) fn misrouted(domain: &Domain, reason: &str) {
    tracing::error!(event = "misrouted", %domain, reason, alarm = true);
}

/// An address of the primary took no connection.
pub(crate) fn connect_failed(domain: &Domain, hop: &Hop, reply: &Reply) {
    tracing::warn!(event = "connect_failed", %domain, %hop, %reply);
}

/// A task ended without a result: cut off by a shutdown, or a fault in this program.
pub(crate) fn task_lost(error: &JoinError) {
    if error.is_panic() {
        tracing::error!(event = "task_lost", %error, alarm = true);
    }
}

/// The addresses of a primary are known, or changed.
pub(crate) fn primary_known(name: &Domain, addresses: &[IpAddr]) {
    tracing::info!(event = "primary_known", %name, ?addresses);
}

/// The addresses of a primary could not be looked up.
pub(crate) fn primary_unknown(name: &Domain, last_known_stays: bool, reason: &str) {
    let reason = Printable::from(reason);
    tracing::warn!(event = "primary_unknown", %name, last_known_stays, %reason);
}

/// The system's resolver configuration cannot be read.
pub(crate) fn no_resolver(reason: &str) {
    let reason = Printable::from(reason);
    tracing::warn!(event = "no_resolver", %reason);
}

/// The file of trust anchors cannot be used; the keys of before stay.
pub(crate) fn no_trust_anchor(reason: &str) {
    let reason = Printable::from(reason);
    tracing::warn!(event = "no_trust_anchor", %reason);
}

/// Entries older than their domain's retention were parked.
pub(crate) fn expired(domain: &Domain, entries: u64) {
    tracing::warn!(event = "expired", %domain, entries);
}

/// An entry deleted or parked long ago is gone for good.
pub(crate) fn purged(domain: &Domain, id: QueueId) {
    tracing::info!(event = "purged", %domain, %id);
}

/// The store could not expire or purge now.
pub(crate) fn housekeeping_failed(domain: &Domain, error: &StoreError) {
    tracing::warn!(event = "housekeeping_failed", %domain, %error);
}

/// TLS with a next hop failed; `again` tells that the mail goes in clear over a second connection.
pub(crate) fn tls_failed(domain: &Domain, hop: &str, error: &UpgradeError, again: bool) {
    // What a peer's certificate says is part of it.
    let error = error.in_words();
    tracing::warn!(event = "tls_failed", %domain, hop, error = %Printable::from(error.as_str()), again_in_clear = again);
}

/// Who asked for the mail to come to its address does not show the certificate on file; nothing was sent.
pub(crate) fn stranger(domain: &Domain, hop: &str) {
    tracing::warn!(event = "requester_not_verified", %domain, hop);
}

/// The content of a message cannot be read; nothing was said about it, it stays.
pub(crate) fn unreadable(domain: &Domain, id: QueueId, error: &StoreError) {
    tracing::error!(event = "unreadable", %domain, %id, %error);
}

/// What the network said when a connection broke.
pub(crate) fn connection_lost(domain: &Domain, hop: &str, error: &std::io::Error) {
    tracing::info!(event = "connection_lost", %domain, hop, %error);
}

/// A policy of MTA-STS was fetched: one that we did not know, or the same once more.
pub(crate) fn sts_policy(domain: &Domain, id: &str, mode: StsMode, renewed: bool) {
    tracing::info!(event = "sts_policy", %domain, id, %mode, renewed);
}

/// [8461-3.3-alert] A policy that we keep could not be looked at again; it is in force for `seconds` more.
pub(crate) fn sts_renewal_failed(domain: &Domain, why: &str, rest: Duration) {
    let (why, seconds) = (Printable::from(why), rest.as_secs());
    tracing::warn!(event = "sts_renewal_failed", %domain, %why, seconds);
}

/// A domain tests its policy, and this hop would be left out by it.
pub(crate) fn sts_testing(domain: &Domain, hop: &Hop, why: &str) {
    tracing::warn!(event = "sts_testing", %domain, %hop, why);
}

/// The file of policies cannot be read or written.
pub(crate) fn sts_file_failed(error: &std::io::Error) {
    tracing::error!(event = "sts_file_failed", %error);
}

/// A primary could not be reached for a while.
pub(crate) fn primary_down(domain: &Domain, reason: &str) {
    let reason = Printable::from(reason);
    tracing::error!(event = "primary_down", %domain, %reason, alarm = true);
}

/// A primary that was down takes mail again.
pub(crate) fn primary_up(domain: &Domain) {
    tracing::info!(event = "primary_up", %domain);
}

/// A next hop that was away is back: what waited for it goes.
pub(crate) fn returned(domain: &Domain, hop: SocketAddr) {
    tracing::info!(event = "returned", %domain, %hop);
}

/// A primary refused too much for good: its domain is stopped, nothing is bounced, an operator is needed.
pub(crate) fn circuit_open(domain: &Domain, reason: &str) {
    let reason = Printable::from(reason);
    tracing::error!(event = "circuit_open", %domain, %reason, alarm = true);
}

/// The stop of a domain that refused too much could not be recorded; nothing is sent until it is.
pub(crate) fn circuit_not_written(domain: &Domain, error: &StoreError) {
    tracing::error!(event = "circuit_not_written", %domain, %error, alarm = true);
}

/// What was refused before a circuit opened waits again.
pub(crate) fn refused_released(domain: &Domain, entries: u64) {
    tracing::info!(event = "refused_released", %domain, entries);
}

/// What was refused before a circuit opened could not be released now; tried again.
pub(crate) fn not_released(domain: &Domain, error: &StoreError) {
    tracing::warn!(event = "not_released", %domain, %error);
}

/// A domain's stop has come to the end that was set for it.
pub(crate) fn hold_over(domain: &Domain) {
    tracing::info!(event = "hold_over", %domain);
}

/// A notice was written: to whom, about how many recipients of which message.
pub(crate) fn notice(kind: &'static str, about: &EntryKey, notice: QueueId, to: &Mailbox, recipients: usize) {
    let (domain, id, to) = (&about.domain, about.id, to.to_string());
    tracing::info!(event = "notice", kind, %domain, %id, %notice, to = %Printable::from(to.as_str()), recipients);
}

/// Nobody may be told: the message is kept for the domain's owner.
pub(crate) fn dead_letter(about: &EntryKey, recipients: usize, vouched: Vouched) {
    let (domain, id) = (&about.domain, about.id);
    tracing::warn!(event = "dead_letter", %domain, %id, recipients, %vouched);
}

/// The operator sent a notice that was kept as a dead letter.
pub(crate) fn kept_notice_sent(kept: &EntryKey, notice: QueueId) {
    let (domain, id) = (&kept.domain, kept.id);
    tracing::info!(event = "kept_notice_sent", %domain, %id, %notice);
}

/// A notice could not be written, and will not be.
pub(crate) fn notice_failed(kind: &'static str, about: &EntryKey, error: &PostError) {
    let (domain, id) = (&about.domain, about.id);
    tracing::warn!(event = "notice_failed", kind, %domain, %id, %error);
}

/// Notices about a domain's mail wait for the store.
pub(crate) fn notices_wait(domain: &Domain, error: &StoreError) {
    tracing::warn!(event = "notices_wait", %domain, %error);
}
