//! BDAT, RFC 3030 2.

use restante_types::Reply;

use crate::ask::Ask;
use crate::grammar::{Fault, chunk};
use crate::limits::MAX_SWALLOWED;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::{Content, ServerSession};
use crate::server::state::{AfterSwallow, Asked, State};

impl<R: QueuedAs> ServerSession<R> {
    /// [3030-2a] Chunks up to the last are one message. Octets follow the command, wanted or not, so whatever is wrong is
    /// said behind them.
    pub(in crate::server) fn bdat(&mut self, arguments: &str, refusal: Option<Reply>, content: Content<'_>) {
        let Ok(chunk) = chunk::parse(arguments) else {
            // [smuggling-f] nobody knows how many octets of content follow, and none of them may become a command.
            self.reject_bad(replies::fault(Fault::Argument, "BDAT"));
            return self.close();
        };
        if chunk.size > self.config.message_size.saturating_add(MAX_SWALLOWED) {
            self.reject(replies::too_large());
            return self.close();
        }
        if let Some(reply) = refusal {
            let idle = matches!(self.state, State::Idle);
            let after = if idle { AfterSwallow::Idle } else { AfterSwallow::of(chunk) };
            return self.swallow(chunk, reply, after);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::BetweenChunks(intake) => {
                self.state = State::Chunk(intake, chunk);
                if chunk.is_complete() {
                    self.end_of_chunk(content);
                }
            }
            State::Open(transaction) if !transaction.envelope.recipients.is_empty() => {
                self.ask(Asked::FirstChunk(transaction, chunk), Event::Begin(Ask::new()));
            }
            _ => self.swallow(chunk, replies::no_valid_recipients(), AfterSwallow::of(chunk)),
        }
    }
}
