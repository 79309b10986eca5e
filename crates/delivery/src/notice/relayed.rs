//! Notices of success, where the next hop will write none: it took a message whose sender asked to be told, and offers no
//! DSN.

use restante_queue::{EntryKey, StoreError};
use restante_types::{Reply, UnixMillis};

use super::clerk::{Clerk, remote};
use super::policy::{self, Verdict};
use super::post::PostError;
use super::status::{Kind, Told};
use super::write::Draft;
use crate::events;

impl Clerk {
    /// [3461-5.2.2-b] A next hop without DSN took these recipients, and said this after the content. Called before the
    /// outcome is recorded: a crash between the two delivers the message again, and writes no second notice.
    pub(crate) async fn relayed(&self, key: &EntryKey, taken: &[u16], reply: Option<&Reply>, hop: &str) {
        if let Err(error) = self.tell_relayed(key, taken, reply, hop).await {
            // The message is delivered all the same; to say so must not hold it up.
            events::notice_failed(Kind::Relayed.action(), key, &error);
        }
    }

    async fn tell_relayed(
        &self,
        key: &EntryKey,
        taken: &[u16],
        reply: Option<&Reply>,
        hop: &str,
    ) -> Result<(), PostError> {
        let settings = self.post.settings.load_full();
        let Some((_, delivery)) = settings.domains.find(&key.domain) else { return Ok(()) };
        let entry = match self.post.store.get(key).await {
            Ok(entry) => entry,
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (to, dead) =
            match policy::verdict(&settings, delivery.notices, &entry.envelope.sender, entry.vouched) {
                Verdict::Send(to) => (to, false),
                Verdict::Withheld(to) => (to, true),
                Verdict::Nobody => return Ok(()),
            };
        let now: UnixMillis = (self.post.clock)();
        let (mut told, mut recipients) = (Vec::new(), Vec::new());
        for index in taken {
            let Some(recipient) = entry.envelope.recipients.get(usize::from(*index)) else { continue };
            if policy::wants(Kind::Relayed, recipient.notify) {
                recipients.push(*index);
                told.push(Told {
                    recipient,
                    reply: reply.cloned(),
                    expired: false,
                    remote: Some(remote(hop)),
                    attempted: Some(now),
                    until: None,
                });
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let draft = Draft { kind: Kind::Relayed, to, told: &told, recipients: &recipients, now, dead };
        let id = draft.post(&self.post, &settings, &entry).await?;
        events::notice(Kind::Relayed.action(), key, id, to, recipients.len());
        Ok(())
    }
}
