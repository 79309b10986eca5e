//! The proof that a message is durable.

use restante_types::QueueId;

/// Says that a message and its envelope survive kill -9 and power loss, and that a drain would see it.
///
/// Only this crate can build one, and the server machine's `250` needs it: a forgotten sync does not compile.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    id: QueueId,
}

impl Receipt {
    pub(crate) const fn new(id: QueueId) -> Self {
        Self { id }
    }

    /// The message it stands for.
    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.id
    }
}
