//! A notice, written: multipart/report with its three parts (RFC 6522, 3464).

use restante_types::{Body, Mailbox, Printable, Reply};

use super::NoticeSettings;
use super::header;
use super::letter::Sender;
use super::original::Original;
use super::returned::{self, Returned};
use super::status::{self, Facts, Kind, Told};
use super::template::{Place, Template};

/// Columns of the text for people.
const WIDTH: usize = 76;
/// Characters of an original's subject that are shown.
const MAX_SUBJECT: usize = 200;
/// Recipients that the text for people lists; programs are told all of them.
const LISTED: usize = 100;

/// Everything that a notice is written from.
pub(super) struct Report<'a> {
    pub(super) kind: Kind,
    pub(super) sender: Sender<'a>,
    pub(super) settings: &'a NoticeSettings,
    /// Whom it goes to: who sent the original.
    pub(super) to: &'a Mailbox,
    pub(super) facts: Facts<'a>,
    /// SMTPUTF8 was said with the original.
    pub(super) smtputf8: bool,
    /// Never empty.
    pub(super) told: &'a [Told<'a>],
    /// `None` where it cannot be read any more.
    pub(super) original: Option<&'a Original>,
}

/// A notice as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) content: Vec<u8>,
    pub(super) body: Body,
}

impl Report<'_> {
    /// [3461-6.2] Writes it. The parts need no more than 7 bits, except where the reader's own address says that it takes
    /// more ([6533-4.5]), and where the whole of an 8-bit message is returned.
    pub(super) fn write(&self) -> Notice {
        let utf8 = !self.to.local.is_ascii();
        let mut text = String::new();
        header::text_part(&mut text, &self.text());
        let mut status = String::new();
        status::write(&mut status, self.kind, &self.facts, self.told, utf8);
        let returned = self.original.map(|original| returned::part(original, self.smtputf8, utf8));
        let eight_bit = !status.is_ascii() || returned.as_ref().is_some_and(|part| !part.octets.is_ascii());
        let parts = [text.as_bytes(), status.as_bytes(), returned_octets(returned.as_ref())];
        let boundary = boundary(&self.sender.id.to_string(), parts);

        let mut content = self.header(&boundary, eight_bit).into_bytes();
        let dash = format!("--{boundary}\r\n");
        content.extend_from_slice(format!("{dash}Content-Description: Notification\r\n{text}").as_bytes());
        content.extend_from_slice(format!("\r\n{dash}{}\r\n{status}", status_type(&status)).as_bytes());
        if let Some(Returned { fields, octets }) = &returned {
            content.extend_from_slice(format!("\r\n{dash}{fields}\r\n").as_bytes());
            content.extend_from_slice(octets);
        }
        content.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Notice { content, body: if eight_bit { Body::EightBitMime } else { Body::SevenBit } }
    }

    fn header(&self, boundary: &str, eight_bit: bool) -> String {
        let mut out = String::with_capacity(1024);
        self.sender.fields(&mut out, self.to);
        let subject = match self.kind {
            Kind::Failed => "Undelivered mail: your message could not be delivered",
            Kind::Delayed => "Delayed mail: your message still waits",
            Kind::Relayed => "Your message was handed over",
        };
        header::field(&mut out, "Subject", subject);
        // [3834-3.1.5] It belongs to the conversation that it is about.
        if let Some(id) = self.original.and_then(Original::message_id) {
            header::field(&mut out, "In-Reply-To", &id);
            header::field(&mut out, "References", &id);
        }
        // [3834-5.2] Notices are replied automatically, and never "generated".
        header::field(&mut out, "Auto-Submitted", "auto-replied");
        header::field(&mut out, "MIME-Version", "1.0");
        // [6522-3] [3464-2-a]
        let report = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
        header::field(&mut out, "Content-Type", &report);
        if eight_bit {
            header::field(&mut out, "Content-Transfer-Encoding", "8bit");
        }
        out.push_str("\r\nThis is a notice in MIME format.\r\n\r\n");
        out
    }

    /// [3464-2-b] What people read.
    fn text(&self) -> String {
        let template: &Template = match self.kind {
            Kind::Failed => &self.settings.templates.failed,
            Kind::Delayed => &self.settings.templates.delayed,
            Kind::Relayed => &self.settings.templates.relayed,
        };
        let text = template.fill(|place| match place {
            Place::Recipients => self.recipients(),
            Place::Reason => self.reason(),
            Place::Hostname => self.facts.hostname.to_string(),
            Place::Domain => self.domain(),
            Place::Sender => printable(&self.to.to_string()),
            Place::Arrived => header::date(self.facts.arrived),
            Place::Expires => self.expires(),
            Place::Subject => self.subject(),
        });
        text.lines().map(|line| wrapped(line) + "\n").collect()
    }

    fn recipients(&self) -> String {
        let mut lines = Vec::new();
        for told in self.told.iter().take(LISTED) {
            lines.push(format!("    <{}>", printable(&told.recipient.mailbox.to_string())));
            if let Some(reply) = &told.reply {
                lines.push(format!("        {reply}"));
            }
        }
        if self.told.len() > LISTED {
            lines.push(format!("    and {} more", self.told.len() - LISTED));
        }
        lines.join("\n")
    }

    /// One sentence.
    fn reason(&self) -> String {
        let Some(first) = self.told.first() else { return String::new() };
        let same = self.told.iter().all(|told| told.reply == first.reply);
        let last = match &first.reply {
            Some(reply) if same => Some(reply.to_string()),
            _ => None,
        };
        let domain = self.domain();
        match (self.kind, last) {
            (Kind::Failed, last) if first.expired => {
                let said =
                    last.map(|reply| format!(" The last attempt ended with: {reply}")).unwrap_or_default();
                format!("it was kept as long as mail is kept here, and {domain} did not take it.{said}")
            }
            (Kind::Failed, Some(reply)) => match &first.remote {
                Some(remote) => format!("the mail server {remote} refused it: {reply}"),
                None => format!("it was refused: {reply}"),
            },
            (Kind::Failed, None) => "it was refused; the reasons stand beside the addresses.".to_owned(),
            (Kind::Delayed, Some(reply)) => format!("the last attempt ended with: {reply}"),
            (Kind::Delayed, None) => format!("the mail server of {domain} has not asked for it."),
            (Kind::Relayed, Some(reply)) => reply,
            (Kind::Relayed, None) => "it took the message.".to_owned(),
        }
    }

    fn domain(&self) -> String {
        let domain = self.told.first().and_then(|told| told.recipient.mailbox.domain());
        domain.map_or_else(|| self.facts.hostname.to_string(), ToString::to_string)
    }

    fn expires(&self) -> String {
        let until = self.told.iter().filter_map(|told| told.until).max();
        until.map_or_else(|| "it is collected".to_owned(), header::date)
    }

    fn subject(&self) -> String {
        let subject = self.original.and_then(Original::subject);
        subject.map_or_else(
            || "(none)".to_owned(),
            |subject| printable(&subject.chars().take(MAX_SUBJECT).collect::<String>()),
        )
    }
}

fn printable(text: &str) -> String {
    Printable::from(text).to_string()
}

fn returned_octets(returned: Option<&Returned>) -> &[u8] {
    returned.map_or(&[], |part| &part.octets)
}

/// The Content-Type of the second part, with an empty line to come.
fn status_type(status: &str) -> &'static str {
    if status.is_ascii() {
        // [3464-2.1] In 7 bits, always.
        "Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n"
    } else {
        // [6533-4.1]
        "Content-Description: Delivery report\r\nContent-Type: message/global-delivery-status\r\n\
         Content-Transfer-Encoding: 8bit\r\n"
    }
}

/// [2046-5.1.1] What stands in no part.
fn boundary(id: &str, parts: [&[u8]; 3]) -> String {
    let mut boundary = format!("=_{id}");
    while parts.iter().any(|part| memchr::memmem::find(part, boundary.as_bytes()).is_some()) {
        boundary.push('_');
    }
    boundary
}

/// A line in lines of [`WIDTH`], each with the indentation of the first. A word that is longer stays whole.
fn wrapped(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let text = line.trim_start();
    let indent: String = line[..line.len() - text.len()].chars().take(WIDTH / 2).collect();
    let (mut out, mut column) = (indent.clone(), indent.len());
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&indent);
            column = indent.len();
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// Whether a reply came from the next hop, as far as it shows: ours for a next hop that was not reached says so by its
/// enhanced code (RFC 3463 3.5: X.4.z, network and routing).
pub(super) fn is_from_next_hop(reply: &Reply) -> bool {
    reply.enhanced.is_none_or(|code| code.1 != 4)
}

#[cfg(test)]
mod tests;
