//! One message on its way in.

use restante_queue::{ContentBuffer, Receipt, StoreError};
use restante_senders::{Check, Unforged};
use restante_smtp::QueuedAs;
use restante_types::{QueueId, Reply, UnixMillis};

use crate::events;
use crate::hops::Hops;
use crate::replies;

/// A message whose content is coming.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) id: QueueId,
    pub(crate) arrived: UnixMillis,
    hops: Hops,
    hop_limit: usize,
    check: Option<Box<Check>>,
    unforged: Option<Unforged>,
    body: Body,
}

/// A message whose content has come.
#[derive(Debug)]
pub(crate) struct Complete {
    pub(crate) buffer: ContentBuffer,
    /// What is being found out about its sender.
    pub(crate) check: Option<Box<Check>>,
    /// How many fields were taken out that somebody wrote in our name.
    pub(crate) forged: u32,
}

/// What there is of it.
#[derive(Debug)]
enum Body {
    /// Everything so far.
    Coming(ContentBuffer),
    /// Nothing any more, and why; the machine has yet to hear of it.
    Refused(Reply),
    /// As before, and the machine has heard.
    Told(Reply),
}

impl Incoming {
    /// Begins with our own line.
    pub(crate) fn begin(
        id: QueueId,
        arrived: UnixMillis,
        mut buffer: ContentBuffer,
        received: &str,
        hop_limit: usize,
    ) -> Self {
        buffer.append(received.as_bytes());
        let (hops, body) = (Hops::default(), Body::Coming(buffer));
        Self { id, arrived, hops, hop_limit, check: None, unforged: None, body }
    }

    /// What comes is looked at by these: the sender's signatures cover it as it comes, with what is then taken out.
    pub(crate) fn watched(self, check: Option<Box<Check>>, unforged: Unforged) -> Self {
        Self { check, unforged: Some(unforged), ..self }
    }

    /// Takes the next octets, unless it is refused already.
    pub(crate) fn append(&mut self, octets: &[u8]) {
        let Body::Coming(buffer) = &mut self.body else { return };
        if self.hops.pass(octets) > self.hop_limit {
            self.body = Body::Refused(replies::loops());
            return;
        }
        if let Some(check) = &mut self.check {
            check.content(octets);
        }
        match &mut self.unforged {
            Some(unforged) => unforged.pass(octets, |octets| buffer.append(octets)),
            None => buffer.append(octets),
        }
    }

    /// Brings the buffer back to its bound; what goes wrong becomes the refusal.
    pub(crate) async fn relieve(&mut self) {
        let Body::Coming(buffer) = &mut self.body else { return };
        if !buffer.wants_relief() {
            return;
        }
        if let Err(error) = buffer.relieve().await {
            self.body = Body::Refused(store_failed(self.id, &error));
        }
    }

    /// The refusal, the first time it is asked for.
    pub(crate) fn newly_refused(&mut self) -> Option<Reply> {
        let Body::Refused(reply) = &self.body else { return None };
        let reply = reply.clone();
        self.body = Body::Told(reply.clone());
        Some(reply)
    }

    /// Everything that came, or why it is not kept.
    pub(crate) fn complete(self) -> Result<Complete, Reply> {
        match self.body {
            Body::Coming(mut buffer) => {
                let mut forged = 0;
                if let Some(mut unforged) = self.unforged {
                    unforged.end(|octets| buffer.append(octets));
                    forged = unforged.removed();
                }
                Ok(Complete { buffer, check: self.check, forged })
            }
            Body::Refused(reply) | Body::Told(reply) => Err(reply),
        }
    }
}

/// The cause is for the log, the reply is bland.
pub(crate) fn store_failed(id: QueueId, error: &StoreError) -> Reply {
    events::store_failed(id, error);
    replies::store(error)
}

/// The queue's receipt, in the form that the machine's 250 wants. Nothing else makes one.
#[derive(Debug)]
pub(crate) struct Stored(pub(crate) Receipt);

impl QueuedAs for Stored {
    fn queue_id(&self) -> QueueId {
        self.0.id()
    }
}
