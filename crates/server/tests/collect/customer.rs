//! A customer after the turn: an SMTP server of few words.

use std::sync::Arc;

use restante_net::Stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::caller::LIMIT;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) recipients: Vec<String>,
    pub(crate) content: String,
    /// The 250 went out.
    pub(crate) acknowledged: bool,
}

/// What it says to the content of a message, by its number, in place of 250; `""` makes it silent for ever.
type Answers = Arc<dyn Fn(usize) -> Option<&'static str> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Customer {
    greeting: &'static str,
    answers: Answers,
    /// Recipients of this domain are refused.
    refuses: &'static str,
    /// The line is dead after so many replies, the greeting included.
    breath: usize,
}

/// What came of a session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) taken: Vec<Taken>,
    /// Command lines, without content.
    pub(crate) heard: Vec<String>,
    /// Replies that went out.
    pub(crate) said: usize,
}

impl Session {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.taken.iter().map(|taken| taken.content.as_str()).collect()
    }
}

impl Customer {
    pub(crate) fn new() -> Self {
        let (greeting, breath) = ("220 customer.example ready", usize::MAX);
        Self { greeting, answers: Arc::new(|_| None), refuses: "nobody", breath }
    }

    pub(crate) fn greeting(self, greeting: &'static str) -> Self {
        Self { greeting, ..self }
    }

    pub(crate) fn saying(
        self,
        answers: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        Self { answers: Arc::new(answers), ..self }
    }

    pub(crate) fn refusing(self, refuses: &'static str) -> Self {
        Self { refuses, ..self }
    }

    pub(crate) fn breath(self, breath: usize) -> Self {
        Self { breath, ..self }
    }

    /// To the end of the session.
    pub(crate) async fn take(&self, stream: Stream) -> Session {
        let mut session = Session::default();
        let mut line = Line { stream: BufReader::new(stream), recipients: Vec::new(), acknowledges: false };
        let mut answer = format!("{}\r\n", self.greeting);
        loop {
            if session.said == self.breath {
                line.die().await;
                return session;
            }
            if !line.say(&answer, &mut session).await {
                return session;
            }
            let Some(command) = line.hear().await else { return session };
            session.heard.push(command.clone());
            match self.answer(&mut line, &command, &mut session).await {
                Some(next) => answer = next,
                None => return session,
            }
        }
    }

    async fn answer(&self, line: &mut Line, command: &str, session: &mut Session) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let answer = match words[0] {
            "EHLO" => "250-customer.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
            "MAIL" | "RSET" => {
                line.recipients.clear();
                "250 ok\r\n"
            }
            "RCPT" if words[1].contains(self.refuses) => "550 5.1.1 no such user\r\n",
            "RCPT" => {
                line.recipients.push(words[1].trim_start_matches("TO:").trim_matches(['<', '>']).to_owned());
                "250 ok\r\n"
            }
            "BDAT" => {
                assert_eq!(words[2], "LAST");
                let mut chunk = vec![0; words[1].parse().unwrap()];
                line.stream.read_exact(&mut chunk).await.ok()?;
                let answer = (self.answers)(session.taken.len());
                let content = String::from_utf8(chunk).unwrap();
                let recipients = std::mem::take(&mut line.recipients);
                session.taken.push(Taken { recipients, content, acknowledged: false });
                if answer == Some("") {
                    return std::future::pending().await;
                }
                line.acknowledges = true;
                answer.unwrap_or("250 taken\r\n")
            }
            "QUIT" => "221 bye\r\n",
            _ => "502 no\r\n",
        };
        Some(answer.to_owned())
    }
}

/// The stream, and what was said on it of the message that is coming.
struct Line {
    stream: BufReader<Stream>,
    recipients: Vec<String>,
    /// The next answer is one to content.
    acknowledges: bool,
}

impl Line {
    /// False when that was the last word.
    async fn say(&mut self, answer: &str, session: &mut Session) -> bool {
        let written = self.stream.write_all(answer.as_bytes()).await;
        if written.is_err() || self.stream.flush().await.is_err() {
            return false;
        }
        session.said += 1;
        if std::mem::take(&mut self.acknowledges)
            && let Some(last) = session.taken.last_mut()
        {
            last.acknowledged = answer.starts_with("250");
        }
        let over = answer.starts_with("221") || answer.starts_with("421");
        if over {
            let _ = self.stream.shutdown().await;
        }
        !over
    }

    async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(LIMIT, self.stream.read_line(&mut line)).await.unwrap();
        matches!(read, Ok(1..)).then(|| line.trim_end().to_owned())
    }

    /// Not by a reset: that would take answers with it that were given long before.
    async fn die(&mut self) {
        let _ = self.stream.shutdown().await;
        let _ = tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await;
    }
}
