//! Who is told what: the rules of RFC 3461 5.2, and those of the domain.

use restante_queue::{Entry, RecipientStatus};
use restante_types::{DeliveryState, Mailbox, Notify, Recipient, ReversePath, Vouched};

use super::post::way;
use super::status::Kind;
use crate::settings::{DeliverySettings, Notices};

/// Whether the sender of a message may be sent a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// It may.
    Send(&'a Mailbox),
    /// It would be written to the wrong person, perhaps: nobody vouches for the sender, or the domain wants no notices.
    Withheld(&'a Mailbox),
    /// There is nobody to write to.
    Nobody,
}

/// [3461-5.2-null] [3464-2-loop] Nobody is ever told about a message from `<>`, so never about a notice. Otherwise what the domain
/// says, and whether anybody vouched for the sender, decide.
pub(super) fn verdict<'a>(
    settings: &DeliverySettings,
    notices: Notices,
    sender: &'a ReversePath,
    vouched: Vouched,
) -> Verdict<'a> {
    let ReversePath::Mailbox(sender) = sender else { return Verdict::Nobody };
    if way(settings, sender).is_none() {
        return Verdict::Nobody;
    }
    match notices {
        Notices::All => Verdict::Send(sender),
        Notices::Verified if vouched.is_vouched() => Verdict::Send(sender),
        Notices::Verified | Notices::None => Verdict::Withheld(sender),
    }
}

/// Whether a recipient's sender wants such a notice about it. [3461-5.2.2-d] With NEVER it wants none.
pub(super) const fn wants(kind: Kind, notify: Option<Notify>) -> bool {
    match (kind, notify) {
        // [3461-5.2.6]
        (Kind::Failed, None) => true,
        (Kind::Failed, Some(notify)) => notify.failure,
        // [3461-5.2.5]
        (Kind::Delayed, None) => true,
        (Kind::Delayed, Some(notify)) => notify.delay,
        // [3461-5.2.2-b] [3461-5.2.2-e]
        (Kind::Relayed, None) => false,
        (Kind::Relayed, Some(notify)) => notify.success,
    }
}

/// Recipients of one entry whose matter ends together.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// They grew too old; otherwise they were refused.
    pub(super) expired: bool,
    /// With what the envelope says about each. Never empty.
    pub(super) recipients: Vec<(&'a RecipientStatus, &'a Recipient)>,
}

/// What has not been reported of an entry. Recipients that were refused in one attempt are told of together: their
/// outcomes were recorded together, so that a crash never changes which ones belong to a notice that was written.
pub(super) fn unreported(entry: &Entry) -> Vec<Group<'_>> {
    let mut groups: Vec<((bool, u32), Group<'_>)> = Vec::new();
    for status in &entry.recipients {
        let expired = match status.state {
            DeliveryState::Failed => false,
            DeliveryState::Expired => true,
            _ => continue,
        };
        let Some(recipient) = entry.envelope.recipients.get(usize::from(status.index)) else { continue };
        let attempt = (expired, if expired { 0 } else { status.attempts });
        match groups.iter_mut().find(|(same, _)| *same == attempt) {
            Some((_, group)) => group.recipients.push((status, recipient)),
            None => groups.push((attempt, Group { expired, recipients: vec![(status, recipient)] })),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUCCESS: Notify = Notify { success: true, ..Notify::NEVER };
    const FAILURE: Notify = Notify { failure: true, ..Notify::NEVER };
    const DELAY: Notify = Notify { delay: true, ..Notify::NEVER };

    // [3461-5.2.2-b] [3461-5.2.2-e] [3461-5.2.5] [3461-5.2.6]
    #[test]
    fn notify_decides_which_notices_a_sender_gets() {
        let table = [
            (None, [true, true, false]),
            (Some(Notify::NEVER), [false, false, false]),
            (Some(SUCCESS), [false, false, true]),
            (Some(FAILURE), [true, false, false]),
            (Some(DELAY), [false, true, false]),
        ];
        for (notify, wanted) in table {
            let kinds = [Kind::Failed, Kind::Delayed, Kind::Relayed];
            assert_eq!(kinds.map(|kind| wants(kind, notify)), wanted, "{notify:?}");
        }
    }
}
