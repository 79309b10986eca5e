//! One transaction while it is under way, and what its replies mean for its recipients.

use std::time::Instant;

use restante_types::{EnhancedStatusCode, Reply, Severity};

use super::event::{Fate, Finished, ProtocolError, Stage, TransactionId};
use super::job::MailJob;
use super::limits::MAX_KEPT_TEXT;
use super::window::Load;

/// What RCPT was answered.
#[derive(Debug)]
enum Answer {
    Accepted,
    TooMany(Reply),
    Refused(Reply),
}

/// One transaction from MAIL to the answer to its content.
#[derive(Debug)]
pub(super) struct Transaction {
    id: TransactionId,
    job: MailJob,
    begun: Instant,
    refused: Option<Reply>,
    answers: Vec<Answer>,
    accepted: usize,
    opened: bool,
    /// DATA was refused: the server never saw the content.
    unseen: bool,
}

impl Transaction {
    pub(super) fn new(id: TransactionId, job: MailJob, begun: Instant) -> Self {
        let answers = Vec::with_capacity(job.recipients.len());
        Self { id, job, begun, refused: None, answers, accepted: 0, opened: false, unseen: false }
    }

    pub(super) const fn id(&self) -> TransactionId {
        self.id
    }

    pub(super) const fn job(&self) -> &MailJob {
        &self.job
    }

    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// What it takes of the window.
    pub(super) fn load(&self) -> Load {
        Load { octets: self.job.size, recipients: self.job.recipients.len() }
    }

    /// How many RCPTs were answered so far.
    pub(super) fn answered(&self) -> usize {
        self.answers.len()
    }

    /// Whether all were.
    pub(super) fn all_answered(&self) -> bool {
        self.answers.len() == self.job.recipients.len()
    }

    /// Whether the server has it open and takes it for at least one recipient.
    pub(super) const fn is_wanted(&self) -> bool {
        self.opened && self.accepted > 0
    }

    /// Whether MAIL was accepted, so that something is open that RSET would close.
    pub(super) const fn is_open(&self) -> bool {
        self.opened
    }

    /// The answer to MAIL.
    pub(super) fn handle_mail(&mut self, reply: Reply) -> Result<(), ProtocolError> {
        match reply.severity() {
            Severity::Completed => self.opened = true,
            Severity::Intermediate => return Err(ProtocolError::OutOfPlace(Stage::Mail, reply)),
            Severity::Transient | Severity::Permanent => self.refused = Some(kept(reply)),
        }
        Ok(())
    }

    /// The answer to the next RCPT.
    pub(super) fn handle_rcpt(&mut self, reply: Reply) -> Result<(), ProtocolError> {
        let answer = match reply.severity() {
            Severity::Completed => Answer::Accepted,
            Severity::Intermediate => return Err(ProtocolError::OutOfPlace(Stage::Recipient, reply)),
            _ if self.accepted > 0 && says_too_many(&reply) => Answer::TooMany(kept(reply)),
            _ => Answer::Refused(kept(reply)),
        };
        self.accepted += usize::from(matches!(answer, Answer::Accepted));
        self.answers.push(answer);
        Ok(())
    }

    /// [5321-4.2.1] DATA was refused. It names no recipient, and the content was not seen: whoever was accepted before
    /// stays, also after 5yz.
    pub(super) const fn refuse_data(&mut self) {
        self.unseen = true;
    }

    /// Ends it. `last` is the answer to its content, or to DATA where that was a refusal; `None` where it never came
    /// so far.
    pub(super) fn finish(self, last: Option<Reply>) -> Finished {
        let last = last.map(kept);
        let taken = last.as_ref().filter(|reply| reply.severity() == Severity::Completed && self.is_wanted());
        let delivered = taken.is_some();
        // [5321-4.2.1]: what is not accepted stays; 5yz to MAIL is no word about a recipient (see `refusal`), and none
        // about the next message ([5321-4.5.4.1-mail]).
        let fates = match (self.refused, &last) {
            (Some(reply), _) => vec![Fate::Deferred(reply); self.job.recipients.len()],
            (None, last) => {
                let fate = |answer| match (answer, last) {
                    (Answer::Accepted, Some(reply)) if self.unseen => Fate::Deferred(reply.clone()),
                    (answer, last) => fate(answer, last.as_ref(), delivered),
                };
                self.answers.into_iter().map(fate).collect()
            }
        };
        Finished { id: self.id, fates, reply: last }
    }

    /// Ends it with 421 to one of its commands: whoever was not refused before stays with that reply.
    pub(super) fn interrupt(self, reply: Reply) -> Finished {
        let reply = kept(reply);
        let all = self.job.recipients.len();
        let mut fates = match self.refused {
            Some(refused) => vec![Fate::Deferred(refused); all],
            None => self.answers.into_iter().map(|answer| fate(answer, Some(&reply), false)).collect(),
        };
        fates.resize(all, Fate::Deferred(reply.clone()));
        Finished { id: self.id, fates, reply: Some(reply) }
    }
}

fn fate(answer: Answer, last: Option<&Reply>, delivered: bool) -> Fate {
    match (answer, last) {
        (Answer::Accepted, Some(_)) if delivered => Fate::Delivered,
        (Answer::Accepted, Some(reply)) => refusal(reply.clone()),
        (Answer::Accepted, None) => Fate::Deferred(Reply::new(451, (4, 5, 0), "no answer about the content")),
        (Answer::TooMany(_), _) if delivered => Fate::AnotherTransaction,
        (Answer::TooMany(reply), _) => Fate::Deferred(reply),
        (Answer::Refused(reply), _) => refusal(reply),
    }
}

/// What a refusal of a recipient or of content means. [5321-4.2.1]: 4yz stays, 5yz is final; but a complaint about
/// the dialogue itself (command unknown or out of place, STARTTLS or AUTH wanted first) says nothing about the mail.
fn refusal(reply: Reply) -> Fate {
    match (reply.severity(), reply.code.get()) {
        (Severity::Permanent, 500 | 502 | 503 | 530) => Fate::Deferred(reply),
        (Severity::Permanent, _) => Fate::Failed(reply),
        _ => Fate::Deferred(reply),
    }
}

/// [5321-4.5.3.1.10-client]: 452 to RCPT after others were accepted means "in another transaction", and so does the 552 of
/// older servers; unless the enhanced code says that it is about this mailbox or the message.
fn says_too_many(reply: &Reply) -> bool {
    let agrees = |class| reply.enhanced.is_none_or(|code| code == EnhancedStatusCode(class, 5, 3));
    match reply.code.get() {
        452 => agrees(4),
        552 => agrees(5),
        _ => false,
    }
}

fn kept(mut reply: Reply) -> Reply {
    if reply.text.len() > MAX_KEPT_TEXT {
        reply.text = reply.text[..reply.text.floor_char_boundary(MAX_KEPT_TEXT)].to_owned().into();
    }
    reply
}
