//! From an entry to its notice, in its queue.

use restante_queue::{Entry, StoreError};
use restante_types::{Domain, Mailbox, QueueId, Ret, UnixMillis};

use super::compose::{Report, is_from_next_hop};
use super::letter::Sender;
use super::original::Original;
use super::post::{PostError, PostRoom, Written};
use super::status::{Facts, Kind, Told};
use crate::settings::{DeliverySettings, DomainDelivery, NextHop};

/// A notice to be written.
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) to: &'a Mailbox,
    /// Never empty.
    pub(super) told: &'a [Told<'a>],
    /// Which of the envelope's recipients they are.
    pub(super) recipients: &'a [u16],
    pub(super) now: UnixMillis,
    /// It may not be sent: it is kept for the domain's owner.
    pub(super) dead: bool,
}

impl Draft<'_> {
    /// Writes it and hands it in. Doing so again is harmless: its id follows from what it is about.
    pub(super) async fn post(
        &self,
        room: &PostRoom,
        settings: &DeliverySettings,
        entry: &Entry,
    ) -> Result<QueueId, PostError> {
        // [3461-4.3] Only notices of failure may return more than the header, and only where the sender asked for it.
        let whole = self.kind == Kind::Failed && entry.envelope.ret == Some(Ret::Full);
        let original = read(room, entry, whole).await?;
        self.post_about(room, settings, entry, original.as_ref()).await
    }

    /// The same about a message that was read already.
    pub(super) async fn post_about(
        &self,
        room: &PostRoom,
        settings: &DeliverySettings,
        entry: &Entry,
        original: Option<&Original>,
    ) -> Result<QueueId, PostError> {
        let id = notice_id(self.kind, entry, self.recipients);
        let told: Vec<Told<'_>> = self.told.iter().cloned().map(only_what_was_said).collect();
        let report = Report {
            kind: self.kind,
            sender: Sender {
                hostname: &settings.hostname,
                name: settings.notices.from_name.as_deref(),
                id,
                now: self.now,
            },
            settings: &settings.notices,
            to: self.to,
            facts: Facts {
                hostname: &settings.hostname,
                id: entry.key.id,
                envid: entry.envelope.envid.as_ref(),
                client: &entry.client,
                arrived: entry.arrived,
            },
            smtputf8: entry.envelope.smtputf8,
            told: &told,
            original,
        };
        let notice = report.write();
        let (to, content, body) = (self.to.clone(), notice.content, notice.body);
        let kept_for = self.dead.then(|| owner(settings, &entry.key.domain));
        room.hand_in(settings, Written { id, to, content, body, kept_for }, self.now).await?;
        room.witness.notice(self.kind.action(), self.dead);
        Ok(id)
    }
}

/// Whose dead letters those about mail in this queue are: the configured domain's, so that names below it that strangers
/// think of get no queue by them.
fn owner(settings: &DeliverySettings, queue: &Domain) -> Domain {
    settings.domains.find(queue).map_or_else(|| queue.clone(), |(configured, _)| configured.clone())
}

/// [3464-2.3.5] No remote MTA where none had a say.
fn only_what_was_said(told: Told<'_>) -> Told<'_> {
    let remote = told.remote.filter(|_| told.reply.as_ref().is_some_and(is_from_next_hop));
    Told { remote, ..told }
}

/// What a notice is about; `None` where it cannot be read any more. It is reported all the same.
pub(super) async fn read(
    room: &PostRoom,
    entry: &Entry,
    whole: bool,
) -> Result<Option<Original>, StoreError> {
    let gone = |error| match error {
        StoreError::Damaged(_) | StoreError::NotFound => Ok(None),
        error => Err(error),
    };
    match room.store.open_content(&entry.key).await {
        Ok(mut content) => Original::read(&mut content, whole).await.map(Some).or_else(gone),
        Err(error) => gone(error),
    }
}

/// The id of the notice of this kind about these recipients, always the same. One about a delay is about the message: it
/// is written once.
fn notice_id(kind: Kind, entry: &Entry, recipients: &[u16]) -> QueueId {
    let mut salt = format!("{} {}", kind.action(), entry.key.domain).into_bytes();
    if kind != Kind::Delayed {
        recipients.iter().for_each(|index| salt.extend_from_slice(&index.to_be_bytes()));
    }
    entry.key.id.derived(&salt)
}

/// The primary's name or address, where the configuration says it.
pub(super) fn hop_on_file(delivery: &DomainDelivery) -> Option<String> {
    match &delivery.primary {
        NextHop::Mx => None,
        NextHop::Host { name, .. } => Some(name.to_string()),
        NextHop::Literal(address) => Some(format!("[{}]", address.ip())),
    }
}
