//! What a granted or refused question does.

use restante_types::Reply;

use super::event::Transaction;
use super::question::{Granted, QueuedAs};
use super::reading::Nowhere;
use super::replies;
use super::session::ServerSession;
use super::state::{AfterSwallow, Asked, Intake, State};
use crate::framing::dot::DotReader;
use crate::framing::meter::Meter;

impl<R: QueuedAs> ServerSession<R> {
    pub(super) fn granted(&mut self, granted: Granted) {
        self.deadlines.answered();
        let State::Asked(asked) = &mut self.state else { return };
        let asked = std::mem::replace(asked, Asked::Queued);
        self.state = match (asked, granted) {
            (Asked::Mail(transaction), Granted::Mail) => {
                self.say(replies::MAIL);
                State::Open(transaction)
            }
            (Asked::Rcpt(mut transaction), Granted::Rcpt(recipient)) => {
                transaction.envelope.recipients.push(recipient);
                self.say(replies::RCPT);
                State::Open(transaction)
            }
            (Asked::Data(transaction, _), Granted::Begin) => {
                self.say(replies::DATA);
                State::Data(self.intake(*transaction), DotReader::default())
            }
            (Asked::FirstChunk(transaction, chunk), Granted::Begin) => {
                State::Chunk(self.intake(*transaction), chunk)
            }
            (Asked::Queued, Granted::Queued(id)) => {
                replies::queued(&mut self.out, id);
                self.achieved();
                State::Idle
            }
            (Asked::Queued, Granted::Taken(reply)) => {
                reply.write(&mut self.out);
                self.achieved();
                State::Idle
            }
            (Asked::StartTls, Granted::StartTls) => {
                self.say(replies::STARTTLS);
                State::Spent
            }
            (Asked::Etrn(target), Granted::Etrn(answer)) => {
                replies::etrn(&mut self.out, answer, &target);
                self.achieved();
                State::Idle
            }
            (Asked::ScramKeys(exchange), Granted::ScramKeys(keys)) => return self.scram_keys(exchange, keys),
            (Asked::Auth(exchange), Granted::Auth(identity)) => return self.agreed(exchange, identity),
            // [2645-5.3] The roles turn right behind this reply: nothing more is read.
            (Asked::Atrn, Granted::Atrn) => {
                self.say(replies::ATRN);
                State::Spent
            }
            (Asked::Turn, Granted::Turn) => {
                self.say(replies::TURN);
                State::Spent
            }
            // The answer belongs to another session: the question stays out.
            (asked, _) => State::Asked(asked),
        };
        if let State::Chunk(_, chunk) = &self.state
            && chunk.is_complete()
        {
            // Nothing has come yet, so nothing is left to go into the sink.
            self.end_of_chunk(&mut Nowhere);
        }
    }

    fn intake(&self, transaction: Transaction) -> Box<Intake> {
        let meter = Meter::new(self.config.message_size, self.config.strict);
        Box::new(Intake { transaction, meter })
    }

    pub(super) fn refused(&mut self, reply: Reply) {
        self.deadlines.answered();
        let State::Asked(asked) = &mut self.state else { return };
        let asked = std::mem::replace(asked, Asked::Queued);
        self.state = State::Idle;
        match asked {
            Asked::Data(transaction, early) => {
                self.state = State::Open(transaction);
                self.refuse_data_with(&reply, early);
            }
            Asked::FirstChunk(_, chunk) => self.swallow(chunk, reply, AfterSwallow::of(chunk)),
            Asked::Rcpt(transaction) => {
                self.state = State::Open(transaction);
                self.refuse_with(&reply);
            }
            Asked::ScramKeys(_) | Asked::Auth(_) => self.not_authenticated(&reply),
            Asked::Mail(_) | Asked::Queued | Asked::StartTls | Asked::Etrn(_) | Asked::Atrn | Asked::Turn => {
                self.refuse_with(&reply)
            }
        }
    }

    /// Writes the caller's refusal; [5321-3.8] 421 closes.
    pub(super) fn refuse_with(&mut self, reply: &Reply) {
        reply.write(&mut self.out);
        if reply.code.get() == 421 {
            self.close();
        }
    }
}
