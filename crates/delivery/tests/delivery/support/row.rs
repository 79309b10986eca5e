//! One message of the queue in memory.

use std::sync::Arc;

use restante_queue::{Entry, EntryKey, Outcome, RecipientStatus};
use restante_types::{ClientFacts, DeliveryState, Domain, Envelope, QueueId, Reply, UnixMillis, Vouched};

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) client: Arc<ClientFacts>,
    pub(crate) size: u64,
    pub(crate) arrived: UnixMillis,
    pub(crate) next_attempt: Option<UnixMillis>,
    pub(crate) attempts: u32,
    pub(crate) states: Vec<DeliveryState>,
    pub(crate) replies: Vec<Option<Reply>>,
}

impl Row {
    pub(super) fn waiting(&self) -> Vec<u16> {
        let waiting = self.states.iter().enumerate().filter(|(_, state)| state.waits());
        waiting.map(|(index, _)| u16::try_from(index).unwrap()).collect()
    }

    pub(super) fn entry(&self, domain: &Domain, id: QueueId) -> Entry {
        let recipients = self.envelope.recipients.iter().zip(&self.states).zip(&self.replies);
        let recipients = (0..).zip(recipients).map(|(index, ((recipient, state), reply))| RecipientStatus {
            index,
            mailbox: recipient.mailbox.clone(),
            state: *state,
            attempts: self.attempts,
            last_reply: reply.clone(),
        });
        Entry {
            key: EntryKey { domain: domain.clone(), id },
            envelope: self.envelope.clone(),
            client: (*self.client).clone(),
            arrived: self.arrived,
            size: self.size,
            recipients: recipients.collect(),
            state: self.states[0],
            held: None,
            next_attempt: self.next_attempt,
            vouched: Vouched::Unchecked,
        }
    }

    pub(super) fn take(&mut self, index: u16, outcome: &Outcome) {
        let (state, reply) = match outcome {
            Outcome::Delivered => (DeliveryState::Delivered, None),
            Outcome::Deferred { reply, next_attempt } => {
                self.next_attempt = *next_attempt;
                (DeliveryState::Deferred, Some(reply.clone()))
            }
            Outcome::Failed { reply } => (DeliveryState::Failed, Some(reply.clone())),
        };
        self.states[usize::from(index)] = state;
        self.replies[usize::from(index)] = reply;
    }
}

/// Somebody outside.
pub(crate) fn client() -> Arc<ClientFacts> {
    let address = std::net::Ipv4Addr::new(192, 0, 2, 7).into();
    Arc::new(ClientFacts { address, helo: "client.example".to_owned(), identity: None, tls: None })
}
