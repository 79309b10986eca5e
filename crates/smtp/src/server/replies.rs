//! The machine's own replies. RFC 5321 4.2 and 4.3.2, RFC 2034; [3463-3] [5248-2.4] for the enhanced codes.
//!
//! [2034-4] The enhanced code is written to HELO clients too: to them it is the beginning of the text.

use std::io::Write as _;

use restante_types::{Domain, QueueId, Reply};

use super::config::{ServerConfig, Service};
use super::event::{EtrnAnswer, EtrnTarget};
use crate::framing::line::LineFault;
use crate::grammar::Fault;
use crate::grammar::verb::Verb;
use crate::sasl::{self, Mechanisms};

// Those of every message stand ready; [2920-3.2] their texts name the command that they answer.
pub(super) const MAIL: &[u8] = b"250 2.1.0 Sender ok\r\n";
pub(super) const RCPT: &[u8] = b"250 2.1.5 Recipient ok\r\n";
pub(super) const DATA: &[u8] = b"354 End data with <CR><LF>.<CR><LF>\r\n";
pub(super) const RSET: &[u8] = b"250 2.0.0 Reset ok\r\n";
pub(super) const NOOP: &[u8] = b"250 2.0.0 Noop ok\r\n";
pub(super) const STARTTLS: &[u8] = b"220 2.0.0 Ready to start TLS\r\n";
pub(super) const ATRN: &[u8] = b"250 2.0.0 OK now reversing the connection\r\n";
pub(super) const TURN: &[u8] = b"250 2.0.0 OK, turning the connection\r\n";
pub(super) const AUTHENTICATED: &[u8] = b"235 2.7.0 Authentication successful\r\n";
pub(super) const VRFY: &[u8] = b"252 2.0.0 Cannot verify, but will take mail for it and try\r\n";
pub(super) const HELP: &[u8] =
    b"214-2.0.0 HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS ETRN\r\n214 2.0.0 See RFC 5321\r\n";

/// 250 after the content.
pub(super) fn queued(out: &mut Vec<u8>, id: QueueId) {
    put(out, format_args!("250 2.0.0 queued as {id}\r\n"));
}

/// 250 after a chunk that is not the last.
pub(super) fn chunk(out: &mut Vec<u8>, size: u64) {
    put(out, format_args!("250 2.0.0 {size} octets received\r\n"));
}

/// 220
pub(super) fn greeting(out: &mut Vec<u8>, hostname: &Domain) {
    put(out, format_args!("220 {hostname} ESMTP\r\n"));
}

/// 250 to HELO.
pub(super) fn helo(out: &mut Vec<u8>, hostname: &Domain) {
    put(out, format_args!("250 {hostname}\r\n"));
}

/// 250 to EHLO, with the keywords; `tls` is on, AUTH is offered by these mechanisms.
pub(super) fn ehlo(out: &mut Vec<u8>, config: &ServerConfig, tls: bool, auth: Mechanisms) {
    let mail = config.service != Service::Odmr;
    put(out, format_args!("250-{}\r\n", config.hostname));
    if mail {
        out.extend_from_slice(b"250-PIPELINING\r\n");
    }
    if config.offers_size() {
        put(out, format_args!("250-SIZE {}\r\n", config.message_size));
    }
    let turned = matches!(config.service, Service::Collected { .. });
    keywords(
        out,
        &[
            (config.takes(Verb::Etrn, tls), b"250-ETRN\r\n"),
            (config.starttls && !tls && !turned, b"250-STARTTLS\r\n"),
        ],
    );
    // [4954-3] [2645-5.1.1] Where TLS comes first both are announced inside it only.
    if !auth.is_empty() {
        out.extend_from_slice(b"250-AUTH");
        for mechanism in auth.iter() {
            put(out, format_args!(" {mechanism}"));
        }
        out.extend_from_slice(b"\r\n");
    }
    keywords(
        out,
        &[
            (!auth.is_empty() && config.takes(Verb::Atrn, tls), b"250-ATRN\r\n"),
            (mail, b"250-ENHANCEDSTATUSCODES\r\n"),
            (config.offers_eight_bit_mime(), b"250-8BITMIME\r\n"),
            (mail && config.smtputf8, b"250-SMTPUTF8\r\n"),
            (config.offers_dsn(), b"250-DSN\r\n"),
            (mail, b"250-HELP\r\n250 CHUNKING\r\n"),
            (!mail, b"250 ENHANCEDSTATUSCODES\r\n"),
        ],
    );
}

fn keywords(out: &mut Vec<u8>, lines: &[(bool, &[u8])]) {
    for (_, line) in lines.iter().filter(|(offered, _)| *offered) {
        out.extend_from_slice(line);
    }
}

/// 334 with a challenge; [4954-4-334] without one the space stays.
pub(super) fn challenge(out: &mut Vec<u8>, challenge: &[u8]) {
    put(out, format_args!("334 {}\r\n", sasl::encode(challenge)));
}

/// 221
pub(super) fn quit(out: &mut Vec<u8>, hostname: &Domain) {
    put(out, format_args!("221 2.0.0 {hostname} closing connection\r\n"));
}

/// 250 to 253 of RFC 1985 5.1.
pub(super) fn etrn(out: &mut Vec<u8>, answer: EtrnAnswer, target: &EtrnTarget) {
    let (option, node) = match target {
        EtrnTarget::Node(domain) => ("", domain.as_str()),
        EtrnTarget::Subtree(domain) => ("@", domain.as_str()),
        EtrnTarget::Group(name) => ("#", name.as_str()),
    };
    match answer {
        EtrnAnswer::Started => {
            put(out, format_args!("250 2.0.0 OK, queuing for node {option}{node} started\r\n"))
        }
        EtrnAnswer::NothingWaiting => {
            put(out, format_args!("251 2.0.0 OK, no messages waiting for node {option}{node}\r\n"));
        }
        EtrnAnswer::Pending => {
            put(out, format_args!("252 2.0.0 OK, pending messages for node {option}{node} started\r\n"));
        }
        EtrnAnswer::PendingCount(count) => {
            put(
                out,
                format_args!("253 2.0.0 OK, {count} pending messages for node {option}{node} started\r\n"),
            );
        }
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes everything");
}

pub(super) fn line_fault(fault: LineFault) -> Reply {
    match fault {
        LineFault::TooLong => Reply::new(500, (5, 5, 2), "Line too long"),
        LineFault::Octet => Reply::new(500, (5, 5, 2), "NUL or bare CR in a command"),
        LineFault::BareLf => Reply::new(500, (5, 5, 2), "Lines end with CR LF"),
    }
}

pub(super) fn not_utf8() -> Reply {
    Reply::new(500, (5, 5, 2), "Command is not UTF-8")
}

pub(super) fn unknown_verb() -> Reply {
    Reply::new(500, (5, 5, 1), "Command unrecognised")
}

/// The reply to a fault in the arguments of MAIL or RCPT, or of another command.
pub(super) fn fault(fault: Fault, verb: &'static str) -> Reply {
    match fault {
        Fault::Argument => Reply::new(501, (5, 5, 4), format!("{verb}: bad argument")),
        Fault::Keyword if verb == "MAIL" => Reply::new(501, (5, 5, 4), "Syntax: MAIL FROM:<address>"),
        Fault::Keyword => Reply::new(501, (5, 5, 4), "Syntax: RCPT TO:<address>"),
        Fault::Sender => Reply::new(501, (5, 1, 7), "Bad sender address syntax"),
        Fault::Recipient => Reply::new(501, (5, 1, 3), "Bad recipient address syntax"),
        Fault::Parameter => Reply::new(501, (5, 5, 4), format!("{verb}: bad parameter")),
        Fault::UnknownParameter => Reply::new(555, (5, 5, 4), format!("{verb}: parameter not recognised")),
        Fault::TooLarge => too_large(),
        Fault::NotAscii => Reply::new(553, (5, 6, 7), "Non-ASCII addresses need SMTPUTF8"),
    }
}

pub(super) fn too_large() -> Reply {
    Reply::new(552, (5, 3, 4), "Message size exceeds the limit")
}

pub(super) fn bare_line_end() -> Reply {
    Reply::new(550, (5, 6, 0), "Bare CR or LF in the message")
}

pub(super) fn bad_sequence(text: &'static str) -> Reply {
    Reply::new(503, (5, 5, 1), text)
}

pub(super) fn not_implemented() -> Reply {
    Reply::new(502, (5, 5, 1), "Command not implemented")
}

pub(super) fn tls_first() -> Reply {
    Reply::new(530, (5, 7, 0), "Must issue a STARTTLS command first")
}

pub(super) fn authenticate_first() -> Reply {
    Reply::new(530, (5, 7, 0), "Authentication required")
}

pub(super) fn auth_failed() -> Reply {
    Reply::new(535, (5, 7, 8), "Authentication credentials invalid")
}

pub(super) fn auth_malformed() -> Reply {
    Reply::new(501, (5, 5, 2), "Not base64, or not what the mechanism wants")
}

pub(super) fn auth_cancelled() -> Reply {
    Reply::new(501, (5, 7, 0), "Authentication cancelled")
}

pub(super) fn auth_line_too_long() -> Reply {
    Reply::new(500, (5, 5, 6), "Authentication exchange line is too long")
}

pub(super) fn no_initial_response() -> Reply {
    Reply::new(501, (5, 7, 0), "This mechanism takes no initial response")
}

pub(super) fn mechanism_not_offered() -> Reply {
    Reply::new(504, (5, 5, 4), "Authentication mechanism not offered here")
}

pub(super) fn too_many_auth_failures(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} too many failed authentications, closing connection"))
}

pub(super) fn no_valid_recipients() -> Reply {
    Reply::new(554, (5, 5, 1), "No valid recipients")
}

pub(super) fn too_many_recipients() -> Reply {
    Reply::new(452, (4, 5, 3), "Too many recipients")
}

pub(super) fn etrn_without_node() -> Reply {
    Reply::new(500, (5, 5, 2), "Syntax: ETRN node")
}

pub(super) fn too_early() -> Reply {
    Reply::new(554, (5, 5, 0), "SMTP synchronisation error")
}

pub(super) fn too_many_bad_commands(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} too many bad commands, closing connection"))
}

pub(super) fn timeout(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 4, 2), format!("{hostname} timeout, closing connection"))
}

pub(super) fn shutting_down(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 3, 2), format!("{hostname} shutting down, closing connection"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Reply> {
        let hostname = Domain::parse("mx2.example.net").unwrap();
        let mut all = vec![
            not_utf8(),
            unknown_verb(),
            too_large(),
            bare_line_end(),
            bad_sequence("x"),
            not_implemented(),
            tls_first(),
            no_valid_recipients(),
            too_many_recipients(),
            etrn_without_node(),
            too_early(),
            too_many_bad_commands(&hostname),
            timeout(&hostname),
            shutting_down(&hostname),
        ];
        all.extend([LineFault::TooLong, LineFault::Octet, LineFault::BareLf].map(line_fault));
        for verb in ["MAIL", "RCPT"] {
            let faults = [Fault::Argument, Fault::Keyword, Fault::Sender, Fault::Recipient, Fault::Parameter];
            all.extend(faults.map(|each| fault(each, verb)));
            all.extend(
                [Fault::UnknownParameter, Fault::TooLarge, Fault::NotAscii].map(|each| fault(each, verb)),
            );
        }
        all
    }

    /// [3463-3] [5248-2.4] own codes are among those that are registered.
    #[test]
    fn enhanced_codes_are_registered() {
        let details = [(1, 10), (2, 4), (3, 5), (4, 7), (5, 6), (6, 9), (7, 30)];
        for reply in own() {
            let code = reply.enhanced.unwrap();
            assert!(details.iter().any(|(subject, last)| *subject == code.1 && code.2 <= *last), "{reply}");
        }
    }

    /// [2034-4] the class of the enhanced code is the first digit of the code, on every line of every reply.
    #[test]
    fn enhanced_codes_agree_with_codes() {
        let mut wire = Vec::new();
        own().iter().for_each(|reply| reply.write(&mut wire));
        for ready in [MAIL, RCPT, RSET, NOOP, STARTTLS, VRFY, HELP] {
            wire.extend_from_slice(ready);
        }
        let target = EtrnTarget::Group("g".into());
        for answer in [
            EtrnAnswer::Started,
            EtrnAnswer::NothingWaiting,
            EtrnAnswer::Pending,
            EtrnAnswer::PendingCount(u64::MAX),
        ] {
            etrn(&mut wire, answer, &target);
        }
        queued(&mut wire, QueueId::MIN);
        chunk(&mut wire, u64::MAX);
        quit(&mut wire, &Domain::parse("mx2.example.net").unwrap());
        let wire = String::from_utf8(wire).unwrap();
        for line in wire.split_terminator("\r\n") {
            let (code, text) = line.split_at(4);
            let enhanced: Vec<_> = text.split(' ').next().unwrap().split('.').collect();
            assert_eq!((enhanced.len(), enhanced[0]), (3, &code[..1]), "{line}");
            assert!(line.len() + 2 <= 512, "[5321-4.5.3.1.5] {line}");
        }
        assert_eq!(wire.lines().count(), own().len() + 15);
    }
}
