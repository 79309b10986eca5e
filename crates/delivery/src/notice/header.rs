//! Writing mail: header fields that hold what they are given and nothing more, and text in lines that every server
//! takes. Whatever is handed in, no line end leaves but our own.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use restante_types::UnixMillis;

/// Columns at which lines are folded (RFC 5322 2.1.1).
const FOLD_AT: usize = 76;
/// Octets of a value between two places to fold: a line has at most 998 (RFC 5322 2.1.1).
const LONGEST_WORD: usize = 900;

/// [5322-2.1.1] Appends a field, folded at its spaces. What is not printable ASCII in the value becomes `?`, what is
/// too long for a line is cut.
pub(super) fn field(out: &mut String, name: &str, value: &str) {
    let value: String = value.chars().map(|c| if is_printable_ascii(c) { c } else { '?' }).collect();
    folded(out, name, &value);
}

/// The same for fields that may hold UTF-8 (RFC 6532): only control characters become `?`.
pub(super) fn utf8_field(out: &mut String, name: &str, value: &str) {
    let value: String = value.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    folded(out, name, &value);
}

const fn is_printable_ascii(c: char) -> bool {
    matches!(c, ' '..='~')
}

fn folded(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    let mut column = name.len() + 1;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let word = cut(word, LONGEST_WORD);
        if column + 1 + word.len() > FOLD_AT && column > name.len() + 1 {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push_str("\r\n");
}

/// At most so many octets of a text, whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// [2047-5] Text for a field that people read, such as Subject: as it is where it is plain, in encoded words where it
/// is not.
pub(super) fn text_field(out: &mut String, name: &str, value: &str) {
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.chars().all(is_printable_ascii) && !value.contains("=?") {
        return field(out, name, &value);
    }
    field(out, name, &encoded_words(&value));
}

/// RFC 2047 2: an encoded word has at most 75 characters, and a character is never divided.
fn encoded_words(text: &str) -> String {
    // 48 columns, so that the first one fits beside the name of the field too.
    const OCTETS: usize = 36;
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let piece = cut(rest, OCTETS);
        rest = &rest[piece.len()..];
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(piece)));
    }
    words.join(" ")
}

/// A display name for From: quoted, or in encoded words.
pub(super) fn phrase(text: &str) -> String {
    if !text.chars().all(is_printable_ascii) {
        return encoded_words(text);
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// [5322-3.3] A date in UTC, with a numeric zone as RFC 3464 2.3.7 wants it.
pub(super) fn date(time: UnixMillis) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    // Beyond the year 9999 there is no such date.
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC);
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Appends the fields and the text of a `text/plain` part, or of a message that is nothing more. Plain lines go as they
/// are, others in quoted-printable (RFC 2045 6.7), so that 7 bits are enough for every text.
pub(super) fn text_part(out: &mut String, text: &str) {
    let text: String =
        text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '?' } else { c }).collect();
    let plain = text.lines().all(|line| line.is_ascii() && line.len() <= 78);
    let charset = if text.is_ascii() { "us-ascii" } else { "utf-8" };
    let _ = write!(out, "Content-Type: text/plain; charset={charset}\r\n");
    out.push_str(if plain {
        "Content-Transfer-Encoding: 7bit\r\n\r\n"
    } else {
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    });
    for line in text.lines() {
        if plain {
            out.push_str(line);
        } else {
            quoted_line(out, line.as_bytes());
        }
        out.push_str("\r\n");
    }
}

/// [2045-6.7] One line in quoted-printable, broken softly at 76 columns.
pub(super) fn quoted_line(out: &mut String, line: &[u8]) {
    let mut column = 0;
    for (index, octet) in line.iter().enumerate() {
        let last = index + 1 == line.len();
        // A space at the end of a line may be lost on the way.
        let plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~') || (matches!(octet, b' ' | b'\t') && !last);
        let width = if plain { 1 } else { 3 };
        if column + width > 75 {
            out.push_str("=\r\n");
            column = 0;
        }
        if plain {
            out.push(char::from(*octet));
        } else {
            let _ = write!(out, "={octet:02X}");
        }
        column += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    // [5322-2.1.1]
    #[test]
    fn a_field_is_one_field_whatever_it_is_given() {
        let hostile = "a\r\nBcc: victim@example.net\r\n\r\nbody\0\u{85}\u{2028}";
        for field in [written(|out| field(out, "X", hostile)), written(|out| utf8_field(out, "X", hostile))] {
            assert_eq!(field.matches("\r\n").count(), 1, "{field:?}");
            assert!(
                field.starts_with("X: a??Bcc: victim@example.net????body")
                    && field.is_ascii() != field.contains('\u{2028}')
            );
        }
    }

    #[test]
    fn long_values_are_folded_and_cut() {
        let words = "word ".repeat(60);
        let field = written(|out| super::field(out, "Diagnostic-Code", &words));
        assert!(field.lines().count() > 3 && field.lines().all(|line| line.len() <= FOLD_AT), "{field}");
        assert!(field.lines().skip(1).all(|line| line.starts_with(" word")));
        let field = written(|out| super::field(out, "X", &"y".repeat(5000)));
        assert!(field.len() < 998);
        // The first word stays with its name: a line that is all white space is no line of a header.
        let field = written(|out| super::field(out, "X", &format!("{} z", "y".repeat(80))));
        assert_eq!(field, format!("X: {}\r\n z\r\n", "y".repeat(80)));
    }

    // [2047-5]
    #[test]
    fn text_beyond_ascii_goes_in_encoded_words() {
        assert_eq!(written(|out| text_field(out, "Subject", "plain: text")), "Subject: plain: text\r\n");
        assert_eq!(written(|out| text_field(out, "Subject", "ü")), "Subject: =?utf-8?B?w7w=?=\r\n");
        let long = written(|out| text_field(out, "Subject", &"漢".repeat(50)));
        assert!(long.lines().all(|line| line.len() <= 76) && long.is_ascii(), "{long}");
        // What looks like an encoded word is no plain text.
        assert!(!written(|out| text_field(out, "Subject", "=?utf-8?Q?x?=")).contains("=?utf-8?Q?"));
        assert_eq!(phrase("Mail \"Delivery\""), "\"Mail \\\"Delivery\\\"\"");
        assert_eq!(phrase("Zürich"), "=?utf-8?B?WsO8cmljaA==?=");
    }

    // [5322-3.3]
    #[test]
    fn dates_are_in_utc_with_a_numeric_zone() {
        assert_eq!(date(UnixMillis(1_800_000_000_123)), "Fri, 15 Jan 2027 08:00:00 +0000");
        assert!(date(UnixMillis::MAX).ends_with("+0000"));
    }

    // [2045-6.7]
    #[test]
    fn text_fits_into_seven_bits_and_short_lines() {
        assert_eq!(
            written(|out| text_part(out, "plain\nlines\n")),
            "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain\r\nlines\r\n"
        );
        let coded = written(|out| text_part(out, "ü = ü \nx\r\x07"));
        assert!(coded.ends_with("\r\n\r\n=C3=BC =3D =C3=BC=20\r\nx??\r\n"), "{coded:?}");
        let long = written(|out| text_part(out, &"a ".repeat(500)));
        assert!(long.lines().all(|line| line.len() <= 76), "{long}");
    }
}
