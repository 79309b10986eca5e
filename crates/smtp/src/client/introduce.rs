//! XCLIENT: the session is to be taken for that of the client that handed the message in.

use std::time::Instant;

use restante_types::{Reply, Severity};

use super::event::{ClientEvent, ProtocolError, Stage};
use super::transcript::Transcript;
use super::{ClientSession, End, Phase};
use crate::origin::Origin;

impl ClientSession {
    /// [xclient-command] Says who handed the next messages in. False, and nothing happens, where XCLIENT is not offered or something is
    /// under way. The answer is [`ClientEvent::Ready`], after EHLO was said and answered again, or
    /// [`ClientEvent::IntroductionRefused`].
    pub fn introduce(&mut self, now: Instant, origin: &Origin) -> bool {
        let takes = self.server.xclient;
        if !takes.is_offered() || !self.is_idle() {
            return false;
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Open(pipeline) => Phase::Introducing(pipeline, origin.hello(&self.config.hostname)),
            other => other,
        };
        self.activity = now;
        self.wire.say(Stage::Introduction, &origin.xclient(takes));
        true
    }

    /// [xclient-again] 220 puts everything back to where it was after the greeting: EHLO comes again, in the client's name (it would
    /// overwrite the attribute), and what it offers may be different.
    pub(super) fn handle_introduction(&mut self, reply: Reply) {
        match (reply.severity(), std::mem::replace(&mut self.phase, Phase::Ended)) {
            (Severity::Completed, Phase::Introducing(_, name)) => {
                self.phase = Phase::Hello;
                self.wire.say(Stage::Ehlo, &format!("EHLO {name}"));
            }
            // [xclient-refused]
            (Severity::Transient | Severity::Permanent, Phase::Introducing(pipeline, _)) => {
                self.phase = Phase::Open(pipeline);
                self.events.push_back(ClientEvent::IntroductionRefused(reply));
            }
            (_, phase) => {
                self.phase = phase;
                self.end(End::Protocol(ProtocolError::OutOfPlace(Stage::Introduction, reply)));
            }
        }
    }

    /// Keeps what is said from now on, behind what stands there from the machine before STARTTLS.
    pub fn record(&mut self, transcript: Transcript) {
        // A machine that goes on inside TLS has said it already.
        if self.wire.awaited() == Some(Stage::Ehlo) {
            transcript.sent(Stage::Ehlo, &format!("EHLO {}", self.config.hostname));
        }
        self.wire.record(transcript);
    }
}
