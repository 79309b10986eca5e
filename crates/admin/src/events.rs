//! What the admin interface logs: one function per event.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use restante_queue::EntryKey;
use restante_types::{Domain, Printable};

use crate::peer::Peer;

/// The interface can be used.
pub(crate) fn listening(socket: &Path) {
    tracing::info!(event = "admin_listening", socket = %socket.display());
}

/// A dead server's socket was found and is replaced.
pub(crate) fn stale_socket(socket: &Path) {
    tracing::info!(event = "admin_stale_socket", socket = %socket.display());
}

/// The socket's group could not be set: only this process's own group may use the interface.
pub(crate) fn group_not_given(path: &Path, error: &io::Error) {
    tracing::warn!(event = "admin_group_not_given", path = %path.display(), %error);
}

/// A connection could not be taken.
pub(crate) fn accept_failed(error: &io::Error) {
    tracing::warn!(event = "admin_accept_failed", %error);
}

/// Serving ended by itself.
pub(crate) fn ended(error: &io::Error) {
    tracing::error!(event = "admin_ended", %error);
}

/// A peer that may not.
pub(crate) fn refused(peer: Peer, path: &str) {
    tracing::warn!(event = "admin_refused", uid = peer.uid, gid = peer.gid, path = %Printable::from(path));
}

/// Monitors are let in there.
pub(crate) fn http_listening(address: SocketAddr) {
    tracing::info!(event = "admin_http_listening", address = %address);
}

/// Somebody who may not asked over TCP.
pub(crate) fn http_refused(client: SocketAddr, why: &'static str, path: &str) {
    tracing::warn!(event = "admin_http_refused", client = %client, why, path = %Printable::from(path));
}

/// Whole domains were stopped or let go.
pub(crate) fn domain_changed(peer: Peer, verb: &'static str, domain: &Domain, changed: bool, reason: &str) {
    tracing::info!(event = "operator_domain", verb, %domain, changed, uid = peer.uid, reason = %Printable::from(reason));
}

/// Entries were changed: how many of those that matched, and by which filter.
pub(crate) fn entries_changed(
    peer: Peer,
    verb: &'static str,
    counts: restante_api::ChangeProgress,
    filter: &str,
    reason: &str,
) {
    tracing::info!(
        event = "operator_entries",
        verb,
        matched = counts.matched,
        changed = counts.changed,
        uid = peer.uid,
        filter = %Printable::from(filter),
        reason = %Printable::from(reason),
    );
}

/// The fate of one message: it was deleted, and can be restored for 24 hours.
pub(crate) fn deleted(peer: Peer, key: &EntryKey, reason: &str) {
    tracing::info!(event = "message_deleted", id = %key.id, domain = %key.domain, uid = peer.uid, reason = %Printable::from(reason));
}

/// The fate of one message: it is back.
pub(crate) fn restored(peer: Peer, key: &EntryKey) {
    tracing::info!(event = "message_restored", id = %key.id, domain = %key.domain, uid = peer.uid);
}

/// The operator asked for a drain.
pub(crate) fn flush(peer: Peer, domain: &Domain, reset: bool, outcome: &str) {
    tracing::info!(event = "operator_flush", %domain, reset, uid = peer.uid, outcome = %Printable::from(outcome));
}

/// The store is being copied.
pub(crate) fn backup_started(peer: Peer, directory: &Path) {
    tracing::info!(event = "backup_started", directory = %directory.display(), uid = peer.uid);
}

/// The store was copied, or not.
pub(crate) fn backup_ended(peer: Peer, directory: &Path, outcome: Result<u64, &str>) {
    match outcome {
        Ok(messages) => {
            tracing::info!(event = "backup_done", directory = %directory.display(), messages, uid = peer.uid);
        }
        Err(error) => {
            let error = Printable::from(error);
            tracing::error!(event = "backup_failed", directory = %directory.display(), %error, uid = peer.uid);
        }
    }
}

/// Content that was asked for is damaged on the disk, or cannot be read now.
pub(crate) fn content_unreadable(id: restante_types::QueueId, error: &str) {
    tracing::warn!(event = "content_unreadable", %id, error = %Printable::from(error));
}
