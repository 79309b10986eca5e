//! What was said on a connection, for whoever asks why it went wrong: bounded, without content, without secrets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_types::{Reply, Severity};

use super::event::Stage;
use super::limits::{TRANSCRIPT_BEHIND, TRANSCRIPT_FIRST, TRANSCRIPT_LAST, TRANSCRIPT_LINE};

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// We, the client.
    Client,
    /// The server.
    Server,
    /// Nobody: what was left out here.
    Nobody,
}

/// The beginning of a conversation and its end; of one in which mail was refused, what led to the first refusal.
///
/// Clones share it, so that it can be read when the machine is gone, and goes on with the machine behind STARTTLS.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    first: Vec<(Speaker, String)>,
    last: VecDeque<(Speaker, String)>,
    left_out: u64,
    /// Lines that are still kept once mail was refused.
    rest: Option<usize>,
    /// The first refusal of mail.
    refusal: Option<(Stage, String)>,
}

impl Transcript {
    /// The lines, as they came: text from the network, to be escaped where it is shown.
    #[must_use]
    pub fn lines(&self) -> Vec<(Speaker, String)> {
        let kept = self.kept();
        let mut lines = kept.first.clone();
        if kept.left_out > 0 {
            lines.push((Speaker::Nobody, format!("({} lines)", kept.left_out)));
        }
        lines.extend(kept.last.iter().cloned());
        lines
    }

    /// What was refused first, and with which words: MAIL, RCPT, DATA or content. Also text from the network.
    #[must_use]
    pub fn refusal(&self) -> Option<(Stage, String)> {
        self.kept().refusal.clone()
    }

    /// No line is left half written by whoever panicked.
    fn kept(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sent(&self, stage: Stage, line: &str) {
        self.kept().sent(stage, line);
    }

    pub(super) fn content(&self) {
        self.kept().keep(Speaker::Nobody, "(the content)");
    }

    pub(super) fn heard(&self, stage: Option<Stage>, reply: &Reply) {
        self.kept().heard(stage, reply);
    }
}

impl Lines {
    fn sent(&mut self, stage: Stage, line: &str) {
        // What stands behind AUTH and its mechanism, and every line of the exchange, may be a password.
        let shown = match (stage, line.strip_prefix("AUTH ")) {
            (Stage::Auth, Some(rest)) => {
                return self.keep(
                    Speaker::Client,
                    &format!("AUTH {} …", rest.split(' ').next().unwrap_or_default()),
                );
            }
            (Stage::Auth, None) => "…",
            _ => line,
        };
        self.keep(Speaker::Client, shown);
    }

    fn heard(&mut self, stage: Option<Stage>, reply: &Reply) {
        let refused = matches!(reply.severity(), Severity::Transient | Severity::Permanent);
        if stage == Some(Stage::Auth) && !refused {
            return self.keep(Speaker::Server, &format!("{} …", reply.code.get()));
        }
        self.keep(Speaker::Server, &reply.to_string());
        let mail = stage
            .filter(|stage| matches!(stage, Stage::Mail | Stage::Recipient | Stage::Data | Stage::Content));
        if let Some(stage) = mail.filter(|_| refused && self.rest.is_none()) {
            self.rest = Some(TRANSCRIPT_BEHIND);
            self.refusal = Some((stage, reply.to_string()));
        }
    }

    fn keep(&mut self, who: Speaker, text: &str) {
        match &mut self.rest {
            Some(0) => return,
            Some(rest) => *rest -= 1,
            None => {}
        }
        let text = &text[..text.floor_char_boundary(TRANSCRIPT_LINE)];
        if self.first.len() < TRANSCRIPT_FIRST {
            return self.first.push((who, text.to_owned()));
        }
        // The room of the line that goes is that of the one that comes.
        let mut line = if self.last.len() < TRANSCRIPT_LAST {
            (who, String::new())
        } else {
            self.left_out += 1;
            self.last.pop_front().unwrap_or((who, String::new()))
        };
        line.0 = who;
        line.1.clear();
        line.1.push_str(text);
        self.last.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(transcript: &Transcript) -> Vec<String> {
        transcript.lines().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn no_password_is_kept() {
        let transcript = Transcript::default();
        transcript.sent(Stage::Auth, "AUTH PLAIN AGEAYg==");
        transcript.heard(Some(Stage::Auth), &Reply::bare(334, "cj1hYmM="));
        transcript.sent(Stage::Auth, "c2VjcmV0");
        transcript.heard(Some(Stage::Auth), &Reply::new(535, (5, 7, 8), "no"));
        assert_eq!(texts(&transcript), ["AUTH PLAIN …", "334 …", "…", "535 5.7.8 no"]);
    }

    #[test]
    fn a_long_conversation_keeps_its_ends() {
        let transcript = Transcript::default();
        for number in 0..1000 {
            transcript.sent(Stage::Reset, &format!("{number} {}", "x".repeat(10_000)));
        }
        let lines = texts(&transcript);
        assert_eq!(lines.len(), TRANSCRIPT_FIRST + 1 + TRANSCRIPT_LAST);
        assert!(lines[0].starts_with("0 ") && lines.last().unwrap().starts_with("999 "));
        assert!(lines.iter().all(|line| line.len() <= TRANSCRIPT_LINE));
    }

    #[test]
    fn what_led_to_the_first_refusal_stays() {
        let transcript = Transcript::default();
        transcript.heard(Some(Stage::Recipient), &Reply::new(550, (5, 1, 1), "nobody"));
        (0..1000).for_each(|_| transcript.sent(Stage::Mail, "MAIL FROM:<>"));
        let lines = texts(&transcript);
        assert_eq!((lines[0].as_str(), lines.len()), ("550 5.1.1 nobody", 1 + TRANSCRIPT_BEHIND));
    }
}
