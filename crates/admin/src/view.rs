//! The store's values as the interface shows them.

use std::time::Duration;

use restante_api::{
    AlarmView, DomainStatus, DrainView, EntryView, HoldView, LastDrainView, RecipientView, TlsView, timestamp,
};
use restante_queue::{DomainStats, DrainProgress, Entry, Filter, HoldKind, HoldNote, LastDrain, Pauses};
use restante_types::{ClientFacts, Envelope, Ret, UnixMillis};

/// One domain. `mode` is what the configuration says of it, if it does.
pub(crate) fn status(stats: DomainStats, mode: Option<String>, alarms: Vec<AlarmView>) -> DomainStatus {
    DomainStatus {
        domain: stats.domain,
        mode,
        messages: stats.messages,
        bytes: stats.bytes,
        oldest: stats.oldest.map(timestamp),
        newest: stats.newest.map(timestamp),
        held: stats.held.as_ref().is_some_and(|note| note.kind == HoldKind::Operator),
        hold: stats.held.map(hold),
        next_attempt: stats.next_attempt.map(timestamp),
        last_drain: stats.last_drain.map(last_drain),
        draining: stats.draining.map(drain),
        parked: stats.parked,
        alarms,
    }
}

/// A stop.
pub(crate) fn hold(note: HoldNote) -> HoldView {
    HoldView {
        kind: hold_kind(note.kind).to_owned(),
        reason: note.reason,
        since: timestamp(note.since),
        until: note.until.map(timestamp),
        retention_paused: note.pause_retention,
    }
}

/// What a domain's mail gets old by.
#[derive(Debug)]
pub(crate) struct Age {
    pub(crate) retention: Duration,
    pub(crate) pauses: Pauses,
    pub(crate) now: UnixMillis,
}

/// The word for a stop.
pub(crate) const fn hold_kind(kind: HoldKind) -> &'static str {
    match kind {
        HoldKind::Operator => "operator",
        HoldKind::Orphaned => "orphaned",
        HoldKind::Misrouted => "misrouted",
        HoldKind::Circuit => "circuit",
    }
}

/// A drain that ended.
pub(crate) fn last_drain(last: LastDrain) -> LastDrainView {
    LastDrainView {
        at: timestamp(last.at),
        delivered: last.delivered,
        deferred: last.deferred,
        failed: last.failed,
        result: last.result,
    }
}

/// A drain that runs.
pub(crate) fn drain(progress: DrainProgress) -> DrainView {
    DrainView {
        cause: progress.cause.to_string(),
        since: timestamp(progress.since),
        delivered: progress.delivered,
        deferred: progress.deferred,
        failed: progress.failed,
    }
}

/// One entry. `age` is that of its domain, if it is configured; what does not wait does not expire.
pub(crate) fn entry(entry: Entry, age: Option<&Age>) -> EntryView {
    let expires = age
        .filter(|_| entry.state.waits())
        .map(|age| timestamp(age.pauses.expires(entry.arrived, age.retention, age.now)));
    let recipients = entry.recipients.iter().map(|status| recipient(status, &entry.envelope)).collect();
    let (client, helo, identity, tls) = handed_in(entry.client);
    EntryView {
        id: entry.key.id,
        domain: entry.key.domain,
        sender: entry.envelope.sender.to_string(),
        recipients,
        size: entry.size,
        arrived: timestamp(entry.arrived),
        expires,
        next_attempt: entry.next_attempt.map(timestamp),
        state: entry.state,
        client,
        helo,
        vouched: entry.vouched.to_string(),
        held: entry.held.is_some(),
        hold_reason: entry.held,
        identity,
        tls,
        eight_bit: entry.envelope.body == restante_types::Body::EightBitMime,
        smtputf8: entry.envelope.smtputf8,
        ret: entry.envelope.ret.map(|ret| if ret == Ret::Full { "FULL" } else { "HDRS" }.to_owned()),
        envid: entry.envelope.envid.as_ref().map(|envid| envid.as_str().to_owned()),
    }
}

fn handed_in(client: ClientFacts) -> (String, String, Option<String>, Option<TlsView>) {
    let tls = client.tls.map(|tls| TlsView { version: tls.version, cipher: tls.cipher });
    (client.address.to_string(), client.helo, client.identity, tls)
}

fn recipient(status: &restante_queue::RecipientStatus, envelope: &Envelope) -> RecipientView {
    let asked = envelope.recipients.iter().find(|recipient| recipient.mailbox == status.mailbox);
    RecipientView {
        address: status.mailbox.to_string(),
        state: status.state,
        attempts: status.attempts,
        last_reply: status.last_reply.as_ref().map(ToString::to_string),
        notify: asked.and_then(|recipient| recipient.notify).map(|notify| notify.to_string()),
        original: asked
            .and_then(|recipient| recipient.original.as_ref())
            .map(|text| text.as_str().to_owned()),
    }
}

/// A filter in the store's terms.
pub(crate) fn filter(filter: restante_api::EntryFilter) -> Filter {
    Filter {
        domains: filter.domains,
        ids: filter.ids,
        from: filter.from,
        to: filter.to,
        older_than: filter.older_than.map(restante_api::unix_millis),
        younger_than: filter.younger_than.map(restante_api::unix_millis),
        larger: filter.larger,
        smaller: filter.smaller,
        states: filter.states,
        reason: filter.reason,
    }
}
