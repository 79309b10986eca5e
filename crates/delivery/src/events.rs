//! One function per event that an operator greps for; `event=` names and fields are stable.

use restante_queue::StoreError;
use restante_types::{Domain, Mailbox, Printable, QueueId, Reply};

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

/// Outcomes could not be recorded: the messages may be sent a second time.
pub(crate) fn settle_failed(domain: &Domain, messages: usize, error: &StoreError) {
    tracing::error!(event = "settle_failed", %domain, messages, %error);
}
