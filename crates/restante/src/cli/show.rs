//! `restante show`

use clap::Args;
use restante_api::{Client, EntryView, MessageView};
use restante_types::{Printable, QueueId};
use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{number, or_nothing, safe, size};
use super::list::sender;
use super::output::Output;

/// Show one message: its envelope, what became of each recipient, its headers
///
/// With --content the message's content and nothing else is printed: byte for byte into a pipe or a file; on a
/// terminal, characters that could steer it are escaped, unless --raw is given.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante show 01890a5d-ac96-774b-bcce-b302099a8057
  restante show --content 01890a5d-ac96-774b-bcce-b302099a8057 > message.eml")]
pub(crate) struct Show {
    /// The message's id, as `list` shows it
    pub(crate) id: QueueId,
    /// Print the content instead, byte for byte
    #[arg(long)]
    pub(crate) content: bool,
    /// Do not escape content on a terminal
    #[arg(long, requires = "content")]
    pub(crate) raw: bool,
}

/// One line of JSON: an entry as `list` tells it, and the headers of its message.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    entry: &'a EntryView,
    headers: Option<&'a str>,
    headers_cut: bool,
}

/// Shows it.
pub(crate) async fn run(verb: Show, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    if verb.content {
        content(&verb, client, output).await?;
        return Ok(Exit::Ok);
    }
    let message = client.message(verb.id).await?;
    if output.json {
        for entry in &message.entries {
            let headers = message.headers.as_deref();
            output.object(&Shown { entry, headers, headers_cut: message.headers_cut })?;
        }
    } else {
        describe(&message, output)?;
    }
    Ok(Exit::Ok)
}

async fn content(verb: &Show, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let mut content = client.content(verb.id, None).await?;
    let mut lines = output.terminal.then(Lines::default).filter(|_| !verb.raw);
    while let Some(piece) = content.next().await? {
        match &mut lines {
            Some(lines) => lines.write(&piece, output)?,
            None => output.octets(&piece)?,
        }
    }
    if let Some(lines) = lines {
        lines.finish(output)?;
    }
    output.flush()
}

/// Shows content to a terminal, line by line and with everything escaped that could steer it. A line without an end is
/// cut into pieces, so that it costs no memory; a character that is cut in two then shows as octets.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

/// Octets of a line before it is cut.
const MAX_SHOWN: usize = 64 * 1024;

impl Lines {
    fn write(&mut self, piece: &[u8], output: &mut Output) -> Result<(), Failure> {
        for part in piece.split_inclusive(|octet| *octet == b'\n') {
            self.rest.extend_from_slice(part);
            if let Some(line) = self.rest.strip_suffix(b"\n") {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                output.line(&shown(line))?;
                self.rest.clear();
            } else if self.rest.len() > MAX_SHOWN {
                output.octets(shown(&self.rest).as_bytes())?;
                self.rest.clear();
            }
        }
        Ok(())
    }

    fn finish(self, output: &mut Output) -> Result<(), Failure> {
        if self.rest.is_empty() { Ok(()) } else { output.line(&shown(&self.rest)) }
    }
}

/// Tabs are for indenting, and steer nothing.
fn shown(line: &[u8]) -> String {
    let parts: Vec<String> =
        line.split(|octet| *octet == b'\t').map(|part| Printable(part).to_string()).collect();
    parts.join("\t")
}

fn describe(message: &MessageView, output: &mut Output) -> Result<(), Failure> {
    if let Some(first) = message.entries.first() {
        envelope(first, output)?;
    }
    for entry in &message.entries {
        output.line("")?;
        standing(entry, output)?;
    }
    output.line("")?;
    let Some(headers) = &message.headers else {
        return output.line("The headers cannot be read.");
    };
    for line in headers.lines() {
        output.line(&shown(line.as_bytes()))?;
    }
    if message.headers_cut {
        output.line("(there are more headers; see --content)")?;
    }
    output.flush()
}

fn envelope(entry: &EntryView, output: &mut Output) -> Result<(), Failure> {
    let arrived = output.clock.exact(entry.arrived);
    let tls = entry
        .tls
        .as_ref()
        .map_or_else(String::new, |tls| format!(", {} {}", safe(&tls.version), safe(&tls.cipher)));
    let identity = entry.identity.as_ref().map_or_else(String::new, |name| format!(", as {}", safe(name)));
    let eight_bit = entry.eight_bit.then(|| "BODY=8BITMIME".to_owned());
    let utf8 = entry.smtputf8.then(|| "SMTPUTF8".to_owned());
    let ret = entry.ret.as_ref().map(|ret| format!("RET={}", safe(ret)));
    let envid = entry.envid.as_ref().map(|envid| format!("ENVID={}", safe(envid)));
    let parameters: Vec<String> = [eight_bit, utf8, ret, envid].into_iter().flatten().collect();
    output.line(&format!("id            {}", entry.id))?;
    output.line(&format!("from          {}", sender(&entry.sender)))?;
    output.line(&format!("size          {} ({} octets)", size(entry.size), number(entry.size)))?;
    output.line(&format!("arrived       {arrived}"))?;
    output.line(&format!("client        {} ({}){identity}{tls}", safe(&entry.client), safe(&entry.helo)))?;
    output.line(&format!("vouched       {}", vouched(&entry.vouched)))?;
    if !parameters.is_empty() {
        output.line(&format!("parameters    {}", parameters.join(" ")))?;
    }
    Ok(())
}

/// Whether a notice may go to the sender.
fn vouched(word: &str) -> String {
    match word {
        "spf" => "yes: SPF passed for the sender".to_owned(),
        "dkim" => "yes: a DKIM signature of the sender's domain passed".to_owned(),
        "no" => "no: neither SPF nor DKIM vouches for the sender".to_owned(),
        "" | "unchecked" => "unchecked".to_owned(),
        other => safe(other),
    }
}

fn standing(entry: &EntryView, output: &mut Output) -> Result<(), Failure> {
    let clock = output.clock.clone();
    let time = |time: Option<jiff::Timestamp>| or_nothing(time.map(|time| clock.exact(time)));
    output.line(&format!("domain        {}", entry.domain))?;
    output.line(&format!("state         {}", entry.state))?;
    if entry.held {
        let reason =
            entry.hold_reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("by the operator");
        output.line(&format!("held          {}", safe(reason)))?;
    }
    output.line(&format!("expires       {}", time(entry.expires)))?;
    output.line(&format!("next attempt  {}", time(entry.next_attempt)))?;
    for recipient in &entry.recipients {
        let tried = if recipient.attempts == 1 {
            "1 attempt".to_owned()
        } else {
            format!("{} attempts", recipient.attempts)
        };
        output.line(&format!("to            {}  {}, {tried}", safe(&recipient.address), recipient.state))?;
        if let Some(reply) = &recipient.last_reply {
            output.line(&format!("              {}", safe(reply)))?;
        }
        if let Some(notify) = &recipient.notify {
            output.line(&format!("              NOTIFY={}", safe(notify)))?;
        }
        if let Some(original) = &recipient.original {
            output.line(&format!("              ORCPT={}", safe(original)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::list::tests::example;
    use crate::cli::output::Shared;

    fn output() -> (Shared, Output) {
        let shared = Shared::default();
        (shared.clone(), Output::to(shared, false, "2026-01-31T12:00:00Z".parse().unwrap()))
    }

    #[test]
    fn a_message_is_told_whole_and_safely() {
        let headers = Some("Received: from x\r\n\tby y\r\nSubject: \u{1b}]0;gotcha\u{7}\r\n".to_owned());
        let (shared, mut output) = output();
        describe(&MessageView { entries: vec![example()], headers, headers_cut: false }, &mut output)
            .unwrap();
        let expected = "\
id            01890a5d-ac96-774b-bcce-b302099a8057
from          <>
size          4.3 kB (4,321 octets)
arrived       2026-01-31 11:00:00 +00:00 (1h ago)
client        192.0.2.1 (mx.example.net\\u{202e})
vouched       no: neither SPF nor DKIM vouches for the sender
parameters    BODY=8BITMIME

domain        example.org
state         deferred
held          by the operator
expires       2026-02-14 11:00:00 +00:00 (in 13d)
next attempt  -
to            a@example.org  deferred, 2 attempts
              450 4.2.1 later
to            b@example.org  deferred, 2 attempts

Received: from x
\tby y
Subject: \\u{1b}]0;gotcha\\u{7}
";
        assert_eq!(shared.text(), expected);
    }

    #[test]
    fn content_is_the_same_wherever_it_is_cut() {
        let text = b"Subject: \x1b[2J\r\n\r\n\ttab \xff\r\nno end";
        for width in 1..=text.len() {
            let (shared, mut output) = output();
            let mut lines = Lines::default();
            for piece in text.chunks(width) {
                lines.write(piece, &mut output).unwrap();
            }
            lines.finish(&mut output).unwrap();
            assert_eq!(shared.text(), "Subject: \\u{1b}[2J\n\n\ttab \\xff\nno end\n", "cut every {width}");
        }
    }
}
