//! One command at a time, for somebody who hands on a conversation while it happens: each command is answered before
//! the next is known, and the content has no known length, so it goes by DATA.

use std::sync::Arc;
use std::time::Instant;

use restante_types::{Envelope, Recipient, Reply, ReversePath, Severity};

use super::commands;
use super::dots::DotStuffer;
use super::event::{ClientEvent, Stage};
use super::{ClientConfig, ClientSession, Phase};

/// One command of a transaction that is handed on. Each is answered by one
/// [`ClientEvent::Stepped`]; whether it makes sense now is for the caller to know, the server will say.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// MAIL with what the envelope says besides recipients, and the size where it was declared.
    Mail(&'a Envelope, Option<u64>),
    /// RCPT
    Recipient(&'a Recipient),
    /// DATA; after 354 the content goes by [`ClientSession::step_content`] and [`ClientSession::step_end`].
    Data,
    /// RSET
    Reset,
}

impl ClientSession {
    /// A machine for LMTP, RFC 2033: LHLO instead of EHLO. After content such a server answers once for each accepted
    /// recipient ([2033-4.2]), so a transaction may have one only.
    #[must_use]
    pub fn lmtp(config: Arc<ClientConfig>, now: Instant) -> Self {
        Self { lmtp: true, ..Self::new(config, now) }
    }

    /// Says one command. False, and nothing happens, while something else is under way.
    pub fn step(&mut self, now: Instant, step: Step<'_>) -> bool {
        if !self.is_idle() {
            return false;
        }
        let (stage, line) = match step {
            Step::Mail(envelope, size) => {
                let utf8 = envelope.smtputf8
                    || matches!(&envelope.sender, ReversePath::Mailbox(mailbox) if !mailbox.local.is_ascii());
                (Stage::Mail, commands::mail_of(envelope, size, utf8, &self.server))
            }
            Step::Recipient(recipient) => (Stage::Recipient, commands::rcpt(recipient, &self.server)),
            Step::Data => (Stage::Data, "DATA".to_owned()),
            Step::Reset => (Stage::Reset, "RSET".to_owned()),
        };
        self.activity = now;
        self.wire.say(stage, &line);
        true
    }

    /// Takes a piece of content after 354: canonical, not dot-stuffed. False, and nothing happens, where none is wanted.
    pub fn step_content(&mut self, now: Instant, octets: &[u8]) -> bool {
        let Some(dots) = &mut self.relayed else { return false };
        dots.stuff(octets, self.wire.out());
        self.activity = now;
        true
    }

    /// The content is over: the final dot. Its answer comes as [`ClientEvent::Stepped`] with [`Stage::Content`].
    /// False, and nothing happens, where none was under way.
    pub fn step_end(&mut self, now: Instant) -> bool {
        let Some(dots) = self.relayed.take() else { return false };
        dots.finish(self.wire.out());
        self.wire.owe(Stage::Content);
        self.activity = now;
        true
    }

    pub(super) fn handle_step(&mut self, stage: Stage, reply: Reply) {
        if stage == Stage::Data
            && reply.severity() == Severity::Intermediate
            && matches!(self.phase, Phase::Open(_))
        {
            self.relayed = Some(DotStuffer::new());
        }
        self.events.push_back(ClientEvent::Stepped(stage, reply));
    }
}
