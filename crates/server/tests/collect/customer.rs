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
        Self { greeting: "220 customer.example ready", answers: Arc::new(|_| None), breath: usize::MAX }
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

    pub(crate) fn breath(self, breath: usize) -> Self {
        Self { breath, ..self }
    }

    /// To the end of the session.
    pub(crate) async fn take(&self, stream: Stream) -> Session {
        let mut session = Session::default();
        self.converse(stream, &mut session).await;
        session
    }

    /// The same; what came so far can be looked at when it is dropped in the middle.
    pub(crate) async fn converse(&self, stream: Stream, session: &mut Session) {
        let mut stream = BufReader::new(stream);
        let mut answer = format!("{}\r\n", self.greeting);
        let (mut recipients, mut line) = (Vec::new(), String::new());
        let mut acknowledges = false;
        loop {
            if session.said == self.breath {
                // Not a reset: that would take answers with it that were given long before.
                let _ = stream.shutdown().await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                return;
            }
            if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            session.said += 1;
            if std::mem::take(&mut acknowledges)
                && let Some(last) = session.taken.last_mut()
            {
                last.acknowledged = answer.starts_with("250");
            }
            if answer.starts_with("221") || answer.starts_with("421") {
                let _ = stream.shutdown().await;
                return;
            }
            line.clear();
            if !matches!(timeout(LIMIT, stream.read_line(&mut line)).await.unwrap(), Ok(1..)) {
                return;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            session.heard.push(line.trim_end().to_owned());
            answer = match words[0] {
                "EHLO" => "250-customer.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
                "MAIL" | "RSET" => {
                    recipients.clear();
                    "250 ok\r\n"
                }
                "RCPT" => {
                    recipients.push(words[1].trim_start_matches("TO:").trim_matches(['<', '>']).to_owned());
                    "250 ok\r\n"
                }
                "BDAT" => {
                    let mut chunk = vec![0; words[1].parse().unwrap()];
                    if stream.read_exact(&mut chunk).await.is_err() {
                        return;
                    }
                    assert_eq!(words[2], "LAST");
                    let answer = (self.answers)(session.taken.len());
                    let content = String::from_utf8(chunk).unwrap();
                    let recipients = std::mem::take(&mut recipients);
                    session.taken.push(Taken { recipients, content, acknowledged: false });
                    if answer == Some("") {
                        return std::future::pending().await;
                    }
                    acknowledges = true;
                    answer.unwrap_or("250 taken\r\n")
                }
                "QUIT" => "221 bye\r\n",
                _ => "502 no\r\n",
            }
            .to_owned();
        }
    }
}
