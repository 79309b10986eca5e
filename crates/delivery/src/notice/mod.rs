//! Mail of our own: notices to senders about what became of their mail (RFC 3461, 3464), and letters to a domain's
//! owner.
//!
//! A notice waits in the queue of the place it goes to, apart from the held domains' own
//! (`example.net.notices.invalid`), and leaves by the ordinary machinery. It comes from `<>`, so that none is ever
//! written about it (RFC 3461 6.1).

mod clerk;
mod compose;
mod delayed;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod header;
mod letter;
mod notifier;
mod original;
mod policy;
mod post;
mod relayed;
mod returned;
mod status;
mod template;
mod words;
mod write;

pub(crate) use clerk::Clerk;
pub(crate) use delayed::Delayed;
pub use letter::Letter;
pub(crate) use notifier::Notifier;
pub use post::{PostError, PostRoom};
pub use template::{MAX_TEMPLATE, Template, TemplateError, TemplateKind, Templates};

/// How notices are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeSettings {
    /// The name in their From field; `None`: `Mail Delivery System`.
    pub from_name: Option<String>,
    /// What they say.
    pub templates: Templates,
}

#[cfg(test)]
mod tests;
