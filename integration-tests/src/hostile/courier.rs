//! A sender as mail servers are: it sends until it hears a 250, and knows what it did not hear.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use super::Random;
use crate::sample;

/// For one answer; the proxy stalls for less.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the message with this number is: mostly short, some of them as long as a large picture.
#[must_use]
pub fn size_of(seed: usize) -> usize {
    match seed % 61 {
        60 => 300_000 + seed % 1000 * 300,
        step => 250 + step * 180 + seed % 97,
    }
}

/// How a message is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// One command at a time, DATA.
    Plain,
    /// The envelope at once, DATA.
    Pipelined,
    /// Everything at once, BDAT.
    Chunked,
    /// Several chunks.
    Pieces,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// 250, with the id.
    Acknowledged(String),
    /// Refused, by this reply.
    Refused(String),
    /// The end of the content was sent, and no answer came.
    Unknown,
    /// The connection ended before.
    Unsent,
}

/// One attempt to send.
#[derive(Debug)]
pub struct Sender<'a> {
    /// Where to.
    pub port: u16,
    /// MAIL FROM.
    pub sender: &'a str,
    /// RCPT TO.
    pub recipients: &'a [String],
    /// The message's number.
    pub seed: usize,
}

impl Sender<'_> {
    /// Sends once.
    #[must_use]
    pub fn attempt(&self, manner: Manner) -> Attempt {
        let mut ended = false;
        match self.talk(manner, &mut ended) {
            Ok(reply) if reply.starts_with("250 2.0.0 queued as ") => {
                Attempt::Acknowledged(reply["250 2.0.0 queued as ".len()..].trim().to_owned())
            }
            Ok(reply) => Attempt::Refused(reply),
            Err(_) if ended => Attempt::Unknown,
            Err(_) => Attempt::Unsent,
        }
    }

    /// The deciding reply; `ended` once the content's last octets may have gone.
    fn talk(&self, manner: Manner, ended: &mut bool) -> std::io::Result<String> {
        let mut line = Line::connect(self.port)?;
        let content = sample(self.seed, size_of(self.seed));
        let mut envelope = vec![format!("MAIL FROM:<{}>", self.sender)];
        envelope.extend(self.recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>")));
        for start in ["220", "250"] {
            let reply = line.reply()?;
            if !reply.starts_with(start) {
                return Ok(reply);
            }
            if start == "220" {
                line.say(b"EHLO client.example\r\n")?;
            }
        }
        if manner == Manner::Plain {
            for command in &envelope {
                line.say(format!("{command}\r\n").as_bytes())?;
                let reply = line.reply()?;
                if !reply.starts_with("250") {
                    return Ok(reply);
                }
            }
            return line.data(&content, ended, 0);
        }
        let mut octets =
            envelope.iter().map(|command| format!("{command}\r\n")).collect::<String>().into_bytes();
        if manner == Manner::Pipelined {
            line.say(&octets)?;
            return line.data(&content, ended, envelope.len());
        }
        let parts = if manner == Manner::Pieces { 3 } else { 1 };
        let length = content.len().div_ceil(parts);
        for (number, chunk) in content.chunks(length).enumerate() {
            let last = if number + 1 == content.len().div_ceil(length) { " LAST" } else { "" };
            octets.extend_from_slice(format!("BDAT {}{last}\r\n", chunk.len()).as_bytes());
            octets.extend_from_slice(chunk);
        }
        // The last octet may have gone although the call failed.
        *ended = true;
        line.say(&octets)?;
        line.replies(envelope.len() + content.len().div_ceil(length))
    }
}

impl Manner {
    /// One of them.
    #[must_use]
    pub fn any(random: &mut Random) -> Self {
        [Self::Plain, Self::Pipelined, Self::Chunked, Self::Pieces]
            [usize::try_from(random.below(4)).unwrap_or(0)]
    }
}

/// Sends once by swaks, inside TLS.
pub(super) fn by_swaks(port: u16, sender: &str, recipients: &[String], seed: usize) -> Attempt {
    let content = crate::client::stuffed(&sample(seed, size_of(seed)));
    // Nothing of it is touched, so that the end is ours to write.
    let mut swaks = crate::command(crate::Peer::Swaks);
    swaks.args([
        "--server",
        &format!("127.0.0.1:{port}"),
        "--ehlo",
        "swaks.example",
        "--tls",
        "--timeout",
        "15s",
    ]);
    swaks.args(["--from", sender, "--to", &recipients.join(","), "--no-data-fixup", "--data", "-"]);
    swaks.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = swaks.spawn() else { return Attempt::Unsent };
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(&content);
    }
    let said = child.wait_with_output().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    match said.split_once("250 2.0.0 queued as ") {
        Some((_, rest)) => {
            Attempt::Acknowledged(rest.split_whitespace().next().unwrap_or_default().to_owned())
        }
        None if said.contains(" 354 ") => Attempt::Unknown,
        None => Attempt::Unsent,
    }
}

/// Says EHLO and one command; its answer.
///
/// # Errors
/// When the connection breaks, or the greeting is a refusal.
pub fn request(port: u16, command: &str) -> std::io::Result<String> {
    let mut line = Line::connect(port)?;
    for octets in ["", "EHLO primary.example\r\n"] {
        line.say(octets.as_bytes())?;
        let reply = line.reply()?;
        if !reply.starts_with('2') {
            return Err(std::io::Error::other(reply));
        }
    }
    line.say(format!("{command}\r\n").as_bytes())?;
    line.reply()
}

struct Line(BufReader<TcpStream>);

impl Line {
    fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn say(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(octets)
    }

    fn reply(&mut self) -> std::io::Result<String> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if !line.ends_with('\n') {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    /// So many replies that must be good; the first that is not, or the last.
    fn replies(&mut self, count: usize) -> std::io::Result<String> {
        let mut reply = String::new();
        for _ in 0..count {
            reply = self.reply()?;
            if !reply.starts_with('2') {
                break;
            }
        }
        Ok(reply)
    }

    fn data(&mut self, content: &[u8], ended: &mut bool, pending: usize) -> std::io::Result<String> {
        let reply = self.replies(pending)?;
        if pending > 0 && !reply.starts_with('2') {
            return Ok(reply);
        }
        self.say(b"DATA\r\n")?;
        let reply = self.reply()?;
        if !reply.starts_with("354") {
            return Ok(reply);
        }
        *ended = true;
        self.say(&crate::client::stuffed(content))?;
        self.reply()
    }
}
