//! A primary that answers by a script, over a line with a delay, and counts how often it had to wait.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) recipients: Vec<String>,
    pub(super) content: String,
    /// Whom the session was taken for by XCLIENT; nobody: for ours.
    pub(super) introduced: Option<String>,
}

type Script = dyn Fn(&str) -> Option<&'static str> + Send + Sync;

/// Cheap to clone; clones share what was taken.
#[derive(Clone)]
pub(super) struct Primary {
    keywords: &'static [&'static str],
    script: Arc<Script>,
    greeting: &'static str,
    heard: Vec<u8>,
    delay: Duration,
    /// Octets that it says before its line goes dead.
    breath: usize,
    /// It says nothing while content that has begun is not there to its end.
    hoards: bool,
    pub(super) taken: Arc<Mutex<Vec<Taken>>>,
    pub(super) commands: Arc<Mutex<Vec<String>>>,
    /// How often it waited for the client and then heard something.
    pub(super) turns: Arc<Mutex<usize>>,
}

/// One conversation.
#[derive(Default)]
struct Talk {
    input: Vec<u8>,
    out: Vec<u8>,
    chunk: Option<usize>,
    dots: bool,
    recipients: Vec<String>,
    content: Vec<u8>,
    introduced: Option<String>,
    over: bool,
    mute: bool,
}

pub(super) const ALL: &[&str] = &["PIPELINING", "8BITMIME", "CHUNKING"];

impl Primary {
    /// Says yes to everything.
    pub(super) fn new(keywords: &'static [&'static str]) -> Self {
        let (taken, commands, turns) = Default::default();
        let greeting = "220 primary.example\r\n";
        let (script, heard) = (Arc::new(|_: &str| None), Vec::new());
        let delay = Duration::from_millis(300);
        let (breath, hoards) = (usize::MAX, false);
        Self { keywords, delay, script, greeting, heard, breath, hoards, taken, commands, turns }
    }

    /// Asks the script for the answer to a command line, or to `CONTENT` with the number of the message: an answer
    /// in place of yes. 421 ends it, `mute` makes it fall silent.
    pub(super) fn saying(
        mut self,
        script: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        self.script = Arc::new(script);
        self
    }

    /// As after STARTTLS, and on a line without delay.
    pub(super) fn without_greeting(mut self) -> Self {
        self.greeting = "";
        self.delay = Duration::ZERO;
        self
    }

    /// Somebody else read this already.
    pub(super) fn having_heard(mut self, octets: &[u8]) -> Self {
        self.heard = octets.to_vec();
        self
    }

    pub(super) fn with_breath(mut self, octets: usize) -> Self {
        self.breath = octets;
        self
    }

    pub(super) const fn hoarding(mut self, hoards: bool) -> Self {
        self.hoards = hoards;
        self
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    pub(super) async fn converse(mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let input = std::mem::take(&mut self.heard);
        let mut talk = Talk { out: self.greeting.into(), input, ..Talk::default() };
        let mut buffer = vec![0; 256 * 1024];
        while self.speak(&mut talk, &mut stream).await && !talk.over {
            let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
            talk.input.extend_from_slice(&buffer[..count]);
            *self.turns.lock().unwrap() += 1;
            // The line's delay: whatever the client sends without an answer is here after it.
            sleep(self.delay).await;
            while let Ok(Ok(count @ 1..)) = timeout(Duration::ZERO, stream.read(&mut buffer)).await {
                talk.input.extend_from_slice(&buffer[..count]);
            }
            while !talk.over && self.step(&mut talk) {}
        }
        self.speak(&mut talk, &mut stream).await;
    }

    /// False when it is out of breath.
    async fn speak(&mut self, talk: &mut Talk, stream: &mut (impl AsyncWrite + Unpin)) -> bool {
        if self.hoards && talk.chunk.is_some() {
            return true;
        }
        let whole = talk.out.len();
        talk.out.truncate(self.breath);
        self.breath -= talk.out.len();
        stream.write_all(&talk.out).await.is_ok() && std::mem::take(&mut talk.out).len() == whole
    }

    fn say(&self, talk: &mut Talk, asked: &str, yes: &str) -> bool {
        let answer = (self.script)(asked).unwrap_or(yes);
        talk.mute |= answer == "mute";
        if talk.mute {
            return false;
        }
        talk.out.extend_from_slice(answer.as_bytes());
        talk.out.extend_from_slice(b"\r\n");
        talk.over |= answer.starts_with("421");
        answer.starts_with(['2', '3'])
    }

    /// One command, or one piece of content; false when more is needed.
    fn step(&self, talk: &mut Talk) -> bool {
        if let Some(size) = talk.chunk {
            if talk.input.len() < size {
                return false;
            }
            talk.content = talk.input.drain(..size).collect();
            self.end(talk);
            return true;
        }
        let Some(end) = talk.input.windows(2).position(|pair| pair == b"\r\n") else { return false };
        let line = String::from_utf8(talk.input.drain(..end + 2).collect()).unwrap();
        let line = line.trim_end();
        if talk.dots {
            if line == "." {
                self.end(talk);
            } else {
                let line = line.strip_prefix('.').unwrap_or(line);
                talk.content.extend_from_slice(format!("{line}\r\n").as_bytes());
            }
            return true;
        }
        self.commands.lock().unwrap().push(line.to_owned());
        self.answer(talk, line);
        true
    }

    fn answer(&self, talk: &mut Talk, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "EHLO" => {
                let lines: Vec<String> = self.keywords.iter().map(|word| format!("250-{word}\r\n")).collect();
                let yes = format!("250-primary.example\r\n{}250 HELP", lines.concat());
                self.say(talk, line, &yes);
            }
            "RSET" | "MAIL" => {
                talk.recipients.clear();
                self.say(talk, line, "250 ok");
            }
            "RCPT" => {
                if self.say(talk, line, "250 ok") {
                    talk.recipients.push(words[1].trim_matches(['T', 'O', ':', '<', '>']).to_owned());
                }
            }
            "XCLIENT" => {
                if self.say(talk, line, self.greeting.trim_end()) {
                    let address = words.iter().find_map(|word| word.strip_prefix("ADDR="));
                    talk.introduced = address.map(str::to_owned);
                }
            }
            "XFORWARD" => drop(self.say(talk, line, "250 ok")),
            "DATA" => talk.dots = self.say(talk, line, "354 go"),
            "BDAT" => talk.chunk = Some(words[1].parse().unwrap()),
            "QUIT" => {
                self.say(talk, line, "221 bye");
                talk.over = true;
            }
            other => panic!("{other}"),
        }
    }

    fn end(&self, talk: &mut Talk) {
        (talk.chunk, talk.dots) = (None, false);
        let content = String::from_utf8(std::mem::take(&mut talk.content)).unwrap();
        let recipients = std::mem::take(&mut talk.recipients);
        if recipients.is_empty() {
            self.say(talk, "NOBODY", "554 no recipients");
            return;
        }
        let (number, introduced) = (self.taken.lock().unwrap().len(), talk.introduced.clone());
        if self.say(talk, &format!("CONTENT {number}"), "250 taken") {
            self.taken.lock().unwrap().push(Taken { recipients, content, introduced });
        }
    }
}
