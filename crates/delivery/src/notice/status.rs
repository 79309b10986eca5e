//! The second part of a notice, for programs: message/delivery-status (RFC 3464), and message/global-delivery-status
//! (RFC 6533) where an address needs it and its reader can take it.

use restante_types::{
    ClientFacts, Domain, EnhancedStatusCode, Mailbox, MailboxHost, Printable, QueueId, Recipient, Reply,
    Severity, UnixMillis, Xtext,
};

use super::header;

/// Octets of a reply that are repeated.
const MAX_DIAGNOSTIC: usize = 900;

/// What a notice says became of recipients (RFC 3464 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// They did not get it, and will not.
    Failed,
    /// They did not get it yet.
    Delayed,
    /// It was handed over to a server that tells no more.
    Relayed,
}

impl Kind {
    /// The word of the Action field.
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }
}

/// One recipient and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Told<'a> {
    pub(super) recipient: &'a Recipient,
    /// What was said last about it.
    pub(super) reply: Option<Reply>,
    /// It waited until it was too old.
    pub(super) expired: bool,
    /// The server that said it, by name or as an address literal; `None` where it is not known, or the reply is ours.
    pub(super) remote: Option<String>,
    /// When it was tried last, where that is known.
    pub(super) attempted: Option<UnixMillis>,
    /// Until when it is tried, if that time ever comes.
    pub(super) until: Option<UnixMillis>,
}

/// What holds for the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) hostname: &'a Domain,
    pub(super) id: QueueId,
    pub(super) envid: Option<&'a Xtext>,
    pub(super) client: &'a ClientFacts,
    pub(super) arrived: UnixMillis,
}

/// [3464-2.1] The fields of the message, then of each recipient, each group behind an empty line. `utf8` says that the
/// reader takes addresses beyond ASCII as they are.
pub(super) fn write(out: &mut String, kind: Kind, facts: &Facts<'_>, told: &[Told<'_>], utf8: bool) {
    if let Some(envid) = facts.envid {
        // [3461-6.3-a] [3464-2.2.1] Decoded, in its own spelling; no parameter, no field.
        exact(out, "Original-Envelope-Id", &decoded(envid.as_str()), false);
    }
    // [3461-6.3-b]
    header::field(out, "Reporting-MTA", &format!("dns; {}", facts.hostname));
    header::field(out, "Received-From-MTA", &format!("dns; {}", from_mta(facts.client)));
    header::field(out, "Arrival-Date", &header::date(facts.arrived));
    header::field(out, "X-Restante-Queue-ID", &facts.id.to_string());
    for told in told {
        out.push_str("\r\n");
        recipient(out, kind, told, utf8);
    }
}

fn recipient(out: &mut String, kind: Kind, told: &Told<'_>, utf8: bool) {
    if let Some(original) = &told.recipient.original {
        exact(out, "Original-Recipient", &original_recipient(original, utf8), utf8);
    }
    exact(out, "Final-Recipient", &final_recipient(&told.recipient.mailbox, utf8), utf8);
    header::field(out, "Action", kind.action());
    header::field(out, "Status", &status(kind, told).to_string());
    // [3461-6.3-h]
    if let Some(remote) = &told.remote {
        header::field(out, "Remote-MTA", &format!("dns; {remote}"));
    }
    // [3461-6.3-i]
    if let Some(reply) = &told.reply {
        header::field(out, "Diagnostic-Code", &format!("smtp; {}", diagnostic(reply)));
    }
    if let Some(attempted) = told.attempted {
        header::field(out, "Last-Attempt-Date", &header::date(attempted));
    }
    // [3464-2.3.9] In notices of delay only.
    if let (Kind::Delayed, Some(until)) = (kind, told.until) {
        header::field(out, "Will-Retry-Until", &header::date(until));
    }
}

/// A field whose value is not folded and keeps each of its spaces. What may not stand in it becomes `?`.
fn exact(out: &mut String, name: &str, value: &str, utf8: bool) {
    let may = |c: char| matches!(c, ' '..='~') || (utf8 && !c.is_ascii() && !c.is_control());
    let value: String = value.chars().map(|c| if may(c) { c } else { '?' }).collect();
    out.push_str(name);
    out.push_str(": ");
    out.push_str(header::cut(&value, 900));
    out.push_str("\r\n");
}

/// [3464-2.2.4] What it said in EHLO, and its address in a comment; the address alone where it said no name.
fn from_mta(client: &ClientFacts) -> String {
    let address = MailboxHost::Literal(client.address);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if client.helo.is_empty() || !client.helo.chars().all(is_name) {
        return address.to_string();
    }
    format!("{} ({address})", client.helo)
}

/// [3461-6.3-d] The address type and the address as the sender gave it, decoded.
fn original_recipient(original: &Xtext, utf8: bool) -> String {
    let (kind, address) = original.as_str().split_once(';').unwrap_or(("unknown", original.as_str()));
    if !kind.eq_ignore_ascii_case("utf-8") {
        return format!("{kind}; {}", decoded(address));
    }
    // [6533-4.1] In its 7-bit form, or as the address it stands for where that can be read.
    let plain = utf8.then(|| unitext(address)).flatten();
    format!("utf-8; {}", plain.as_deref().unwrap_or(address))
}

/// [3461-6.3-e] [6533-3-final]
fn final_recipient(mailbox: &Mailbox, utf8: bool) -> String {
    let address = mailbox.to_string();
    match (address.is_ascii(), utf8) {
        (true, _) => format!("rfc822; {address}"),
        (false, true) => format!("utf-8; {address}"),
        (false, false) => format!("utf-8; {}", utf8_addr_xtext(&address)),
    }
}

/// RFC 6533 3: the form of an address that fits into 7 bits.
fn utf8_addr_xtext(address: &str) -> String {
    let mut out = String::with_capacity(2 * address.len());
    for c in address.chars() {
        match c {
            '\\' | '+' | '=' | ' ' => out.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
            '!'..='~' => out.push(c),
            c => out.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
        }
    }
    out
}

/// The address that a form of RFC 6533 3 stands for, if it is one.
fn unitext(coded: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), coded);
    while let Some((before, behind)) = rest.split_once("\\x{") {
        let (digits, behind) = behind.split_once('}')?;
        let is_point =
            (2..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let c =
            char::from_u32(u32::from_str_radix(digits, 16).ok()?).filter(|c| is_point && !c.is_control())?;
        out.push_str(before);
        out.push(c);
        rest = behind;
    }
    out.push_str(rest);
    (!rest.contains('\\')).then_some(out)
}

/// What xtext stands for (RFC 3461 4); what is no UTF-8 then is shown as such.
fn decoded(xtext: &str) -> String {
    let mut octets = Vec::with_capacity(xtext.len());
    let mut rest = xtext.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = match (first, tail) {
            (b'+', [high, low, ..]) => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        octets.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// [3461-6.3-g] The enhanced code where the reply has one of its own class, otherwise what its three digits say (RFC
/// 3463, RFC 5248); 4.0.0 and 5.0.0 where they say nothing more.
pub(super) fn status(kind: Kind, told: &Told<'_>) -> EnhancedStatusCode {
    let Some(reply) = &told.reply else {
        return match kind {
            // RFC 3463 3.5: X.4.7, delivery time expired.
            Kind::Failed if told.expired => EnhancedStatusCode(4, 4, 7),
            Kind::Failed => EnhancedStatusCode(5, 0, 0),
            Kind::Delayed => EnhancedStatusCode(4, 0, 0),
            Kind::Relayed => EnhancedStatusCode(2, 0, 0),
        };
    };
    let class = match (kind, reply.severity()) {
        (Kind::Relayed, _) => 2,
        (Kind::Delayed, _) => 4,
        (Kind::Failed, Severity::Permanent) => 5,
        (Kind::Failed, _) => 4,
    };
    let fits = |code: &EnhancedStatusCode| code.0 == class && code.1 <= 999 && code.2 <= 999;
    reply.enhanced.filter(fits).unwrap_or_else(|| basic(class, reply.code.get()))
}

const fn basic(class: u8, code: u16) -> EnhancedStatusCode {
    let (subject, detail) = match code {
        421 => (3, 2),
        450 => (2, 0),
        451 => (3, 0),
        452 => (3, 1),
        500 => (5, 2),
        502 | 503 => (5, 1),
        501 | 504 | 555 => (5, 4),
        530 | 535 => (7, 0),
        551 => (1, 6),
        552 => (2, 2),
        553 => (1, 3),
        556 => (1, 10),
        _ => (0, 0),
    };
    EnhancedStatusCode(class, subject, detail)
}

/// [3461-9.2] The reply as it came, several lines in one; nothing in it but printable ASCII, bounded.
fn diagnostic(reply: &Reply) -> String {
    let mut out = String::new();
    let mut lines = reply.text.split('\n').peekable();
    while let Some(line) = lines.next() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&reply.code.to_string());
        out.push(if lines.peek().is_some() { '-' } else { ' ' });
        if let Some(enhanced) = reply.enhanced {
            out.push_str(&format!("{enhanced} "));
        }
        out.push_str(&ascii(line));
    }
    header::cut(&out, MAX_DIAGNOSTIC).to_owned()
}

/// Text from the network in printable ASCII.
fn ascii(text: &str) -> String {
    let printable = Printable::from(text).to_string();
    let mut out = String::with_capacity(printable.len());
    for c in printable.chars() {
        if c.is_ascii() { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}
