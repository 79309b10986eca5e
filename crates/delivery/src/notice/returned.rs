//! The third part of a notice: what it is about (RFC 6522 3, RFC 6533 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::header;
use super::original::Original;

/// Octets of a line of a message at most, without CRLF (RFC 5322 2.1.1).
const MAX_LINE: usize = 998;

/// The part: its fields, with an empty line to come, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Returned {
    pub(super) fields: String,
    pub(super) octets: Vec<u8>,
}

/// Writes it. `smtputf8` says that the original was sent with SMTPUTF8, `utf8` that its sender reads such mail.
pub(super) fn part(original: &Original, smtputf8: bool, utf8: bool) -> Returned {
    // What has longer lines than mail may have can be labelled with none of the encodings of a message part.
    if original.whole && longest_line(original.content()) <= MAX_LINE && !original.content().contains(&0) {
        return whole(original, smtputf8, utf8);
    }
    headers(original.header(), smtputf8, utf8)
}

/// [6522-4] The header section alone: `text/rfc822-headers`, in quoted-printable where it is broken.
fn headers(header: &[u8], smtputf8: bool, utf8: bool) -> Returned {
    let international = smtputf8 && !header.is_ascii();
    let clean = longest_line(header) <= MAX_LINE
        && !header.iter().any(|octet| octet.is_ascii_control() && !matches!(octet, b'\r' | b'\n' | b'\t'));
    let kind = if international { "message/global-headers" } else { "text/rfc822-headers" };
    match (header.is_ascii(), clean) {
        (true, true) => returned(kind, "7bit", header.to_vec()),
        // [6533-4.3]
        (false, true) if international && utf8 => returned(kind, "8bit", header.to_vec()),
        _ => returned(kind, "quoted-printable", quoted(header)),
    }
}

/// [3461-6.2] All of it.
fn whole(original: &Original, smtputf8: bool, utf8: bool) -> Returned {
    let content = original.content();
    let international = smtputf8 && !original.header().is_ascii();
    match (content.is_ascii(), international) {
        (true, _) => returned("message/rfc822", "7bit", content.to_vec()),
        // [2046-5.2.1] No other encoding may be used.
        (false, false) => returned("message/rfc822", "8bit", content.to_vec()),
        // [6533-4.2]
        (false, true) if utf8 => returned("message/global", "8bit", content.to_vec()),
        (false, true) => returned("message/global", "base64", base64_lines(content)),
    }
}

fn returned(kind: &str, encoding: &str, octets: Vec<u8>) -> Returned {
    let what = if kind.ends_with("headers") { "Headers of the message" } else { "Undelivered message" };
    let fields = format!(
        "Content-Description: {what}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    );
    Returned { fields, octets }
}

fn longest_line(octets: &[u8]) -> usize {
    let length = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).len();
    octets.split(|octet| *octet == b'\n').map(length).max().unwrap_or(0)
}

fn quoted(octets: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(octets.len() * 2);
    let octets = octets.strip_suffix(b"\r\n").unwrap_or(octets);
    for line in octets.split(|octet| *octet == b'\n') {
        header::quoted_line(&mut out, line.strip_suffix(b"\r").unwrap_or(line));
        out.push_str("\r\n");
    }
    out.into_bytes()
}

fn base64_lines(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() * 7 / 5);
    // 57 octets are 76 columns.
    for line in octets.chunks(57) {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(content: &[u8], whole: bool, smtputf8: bool, utf8: bool) -> String {
        let part = part(&Original::new(content.to_vec(), whole), smtputf8, utf8);
        let value = |name: &str| {
            let line = part.fields.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        format!("{} {}", value("Content-Type:"), value("Content-Transfer-Encoding:"))
    }

    // [6522-4] [6533-4.2] [6533-4.3] [2046-5.2.1]
    #[test]
    fn each_message_goes_under_its_label() {
        let ascii = b"Subject: a\r\n\r\nbody\r\n";
        let body = "Subject: a\r\n\r\nbödy\r\n".as_bytes();
        let both = "Subject: ä\r\n\r\nbödy\r\n".as_bytes();
        assert_eq!(kind(ascii, false, false, false), "text/rfc822-headers 7bit");
        assert_eq!(kind(body, false, true, true), "text/rfc822-headers 7bit");
        assert_eq!(kind(both, false, false, true), "text/rfc822-headers quoted-printable");
        assert_eq!(kind(both, false, true, false), "message/global-headers quoted-printable");
        assert_eq!(kind(both, false, true, true), "message/global-headers 8bit");
        assert_eq!(kind(ascii, true, true, true), "message/rfc822 7bit");
        assert_eq!(kind(body, true, true, false), "message/rfc822 8bit");
        assert_eq!(kind(both, true, false, false), "message/rfc822 8bit");
        assert_eq!(kind(both, true, true, true), "message/global 8bit");
        assert_eq!(kind(both, true, true, false), "message/global base64");
    }

    #[test]
    fn what_no_label_fits_comes_back_as_its_header() {
        let long = format!("Subject: a\r\n\r\n{}\r\n", "x".repeat(999));
        assert_eq!(kind(long.as_bytes(), true, false, false), "text/rfc822-headers 7bit");
        assert_eq!(kind(b"Subject: a\r\n\r\n\0\r\n", true, false, false), "text/rfc822-headers 7bit");
        let header = format!("Subject: {}\r\n\r\n", "x".repeat(2000));
        assert_eq!(kind(header.as_bytes(), false, false, false), "text/rfc822-headers quoted-printable");
        assert_eq!(
            kind(b"Subject: a\x1b\r\n\r\n", false, false, false),
            "text/rfc822-headers quoted-printable"
        );
    }
}
