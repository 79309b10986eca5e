//! Replies as they come off the wire, RFC 5321 4.2, out of a stream that may be cut anywhere and may be hostile.

use memchr::memchr;
use restante_types::{EnhancedStatusCode, Reply, ReplyCode};

use crate::client::limits::{MAX_REPLY_LINE, MAX_REPLY_LINES, MAX_REPLY_TEXT};

/// Why something is not a reply. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// More than [`MAX_REPLY_LINE`] octets without a line end.
    #[error("a reply line of more than {MAX_REPLY_LINE} octets")]
    LineTooLong,
    /// More than [`MAX_REPLY_LINES`] lines.
    #[error("a reply of more than {MAX_REPLY_LINES} lines")]
    TooManyLines,
    /// No three digits of the grammar, or something but space, hyphen or line end behind them.
    #[error("a line that is no SMTP reply")]
    Malformed,
    /// The lines of one reply differ in their code (RFC 5321 4.2.1).
    #[error("a reply whose lines have different codes")]
    MixedCodes,
}

/// Cuts a stream into replies.
///
/// Its memory is bounded by one line and [`MAX_REPLY_TEXT`], whatever the other side sends.
#[derive(Debug, Default)]
pub struct ReplyParser {
    line: Vec<u8>,
    begun: Option<Begun>,
}

/// A reply of which at least one line is there.
#[derive(Debug)]
struct Begun {
    digits: [u8; 3],
    code: ReplyCode,
    enhanced: Option<EnhancedStatusCode>,
    text: String,
    lines: usize,
}

impl ReplyParser {
    /// Takes octets up to the end of the first complete reply; says how many were taken. Without a reply, all of
    /// them were, and more are needed.
    ///
    /// # Errors
    /// [`ReplyError`] says what is wrong; the parser is of no further use then.
    pub fn handle_bytes(&mut self, octets: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut taken = 0;
        while let Some(end) = memchr(b'\n', &octets[taken..]) {
            let line = &octets[taken..taken + end];
            taken += end + 1;
            if self.line.len() + line.len() >= MAX_REPLY_LINE {
                return Err(ReplyError::LineTooLong);
            }
            let reply = if self.line.is_empty() {
                self.handle_line(line)?
            } else {
                self.line.extend_from_slice(line);
                let whole = std::mem::take(&mut self.line);
                self.handle_line(&whole)?
            };
            if reply.is_some() {
                return Ok((taken, reply));
            }
        }
        let rest = &octets[taken..];
        if self.line.len() + rest.len() >= MAX_REPLY_LINE {
            return Err(ReplyError::LineTooLong);
        }
        self.line.extend_from_slice(rest);
        Ok((octets.len(), None))
    }

    fn handle_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let [a, b, c, rest @ ..] = line else { return Err(ReplyError::Malformed) };
        let digits = [*a, *b, *c];
        // [5321-4.2.1]: a code without text, or even without the space, is complete.
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyError::Malformed),
        };
        match &mut self.begun {
            None => self.begun = Some(Begun::new(digits, text)?),
            Some(begun) => begun.add(digits, text)?,
        }
        Ok(if last { self.begun.take().map(Begun::into_reply) } else { None })
    }
}

impl Begun {
    fn new(digits: [u8; 3], text: &[u8]) -> Result<Self, ReplyError> {
        let (code, listed) = read_code(digits)?;
        let (enhanced, rest) = split_enhanced(code, text);
        let mut begun = Self { digits, code, enhanced, text: String::new(), lines: 1 };
        if !listed {
            let said = String::from_utf8_lossy(&digits).into_owned();
            begun.push(&said);
            begun.push(" ");
        }
        begun.push_octets(rest);
        Ok(begun)
    }

    fn add(&mut self, digits: [u8; 3], text: &[u8]) -> Result<(), ReplyError> {
        // [5321-4.2.1]: the code stands on each line, and it is the same.
        if digits != self.digits {
            return Err(ReplyError::MixedCodes);
        }
        self.lines += 1;
        if self.lines > MAX_REPLY_LINES {
            return Err(ReplyError::TooManyLines);
        }
        let (enhanced, rest) = split_enhanced(self.code, text);
        self.push("\n");
        self.push_octets(if enhanced == self.enhanced { rest } else { text });
        Ok(())
    }

    /// Text with everything gone that a reply may not hold, so that it can be stored, shown and passed on.
    fn push_octets(&mut self, text: &[u8]) {
        let clean = String::from_utf8_lossy(text).replace(char::is_control, "?");
        self.push(clean.trim_end());
    }

    fn push(&mut self, text: &str) {
        let room = MAX_REPLY_TEXT.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
    }

    fn into_reply(self) -> Reply {
        Reply { code: self.code, enhanced: self.enhanced, text: self.text.into() }
    }
}

/// The code, and whether it is one of the grammar. [5321-4.3.2]: a code that nobody listed (`571`, `290`) means what
/// its first digit says; it is kept as x50 with the digits in the text.
fn read_code(digits: [u8; 3]) -> Result<(ReplyCode, bool), ReplyError> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReplyError::Malformed);
    }
    let number = digits.iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if let Some(code) = ReplyCode::new(number) {
        return Ok((code, true));
    }
    let code = ReplyCode::new(number / 100 * 100 + 50).ok_or(ReplyError::Malformed)?;
    Ok((code, false))
}

/// [2034-4-client]: `class.subject.detail` and a space in front of the text, where the class agrees with the code.
fn split_enhanced(code: ReplyCode, text: &[u8]) -> (Option<EnhancedStatusCode>, &[u8]) {
    let end = memchr(b' ', text).unwrap_or(text.len());
    match read_enhanced(code, &text[..end]) {
        Some(enhanced) => (Some(enhanced), text.get(end + 1..).unwrap_or_default()),
        None => (None, text),
    }
}

fn read_enhanced(code: ReplyCode, word: &[u8]) -> Option<EnhancedStatusCode> {
    let word = std::str::from_utf8(word).ok()?;
    let mut parts = word.split('.').map(|part| {
        let plain = (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    });
    let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
    let agrees = class == code.get() / 100 && matches!(class, 2 | 4 | 5) && parts.next().is_none();
    agrees.then_some(EnhancedStatusCode(class as u8, subject, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_all(octets: &[u8], cut: usize) -> Result<Vec<Reply>, ReplyError> {
        let mut parser = ReplyParser::default();
        let mut replies = Vec::new();
        for piece in octets.chunks(cut.max(1)) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (taken, reply) = parser.handle_bytes(rest)?;
                rest = &rest[taken..];
                replies.extend(reply);
            }
        }
        Ok(replies)
    }

    fn one(octets: &[u8]) -> Reply {
        let mut replies = parse_all(octets, octets.len()).unwrap();
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    #[test]
    fn multi_line_replies_are_one_under_every_cut() {
        let octets = b"250-2.1.5 one\r\n250-2.1.5 two\r\n250 2.1.5 three\r\n354\r\n250 \n451 4.3.0 x\r\n";
        let whole = parse_all(octets, octets.len()).unwrap();
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], Reply::new(250, (2, 1, 5), "one\ntwo\nthree"));
        assert_eq!(whole[1], Reply::bare(354, ""));
        assert_eq!(whole[2], Reply::bare(250, ""));
        assert_eq!(whole[3], Reply::new(451, (4, 3, 0), "x"));
        for cut in 1..octets.len() {
            assert_eq!(parse_all(octets, cut).unwrap(), whole, "cut {cut}");
        }
    }

    /// [2034-4-client]
    #[test]
    fn an_enhanced_code_is_one_only_where_it_agrees() {
        assert_eq!(one(b"550 5.1.1 no\r\n").enhanced, Some(EnhancedStatusCode(5, 1, 1)));
        assert_eq!(one(b"550 5.1.1\r\n"), Reply::new(550, (5, 1, 1), ""));
        for line in [
            "550 4.1.1 no",
            "550 5.1 no",
            "550 5.1.1.1 no",
            "550 5.1.1234 no",
            "354 3.0.0 go",
            "550 5.+1.1 no",
        ] {
            let reply = one(format!("{line}\r\n").as_bytes());
            assert_eq!((reply.enhanced, reply.text.as_ref()), (None, &line[4..]));
        }
    }

    /// [5321-4.3.2]
    #[test]
    fn codes_that_nobody_listed_count_by_their_first_digit() {
        assert_eq!(one(b"571 5.7.1 not you\r\n"), Reply::new(550, (5, 7, 1), "571 not you"));
        assert_eq!(one(b"299-a\r\n299 b\r\n"), Reply::bare(250, "299 a\nb"));
    }

    /// [5321-4.2.1]
    #[test]
    fn what_is_no_reply_is_an_error() {
        let long = [b"250 ".as_slice(), &[b'x'; MAX_REPLY_LINE], b"\r\n"].concat();
        let endless = b"250-x\r\n".repeat(MAX_REPLY_LINES + 1);
        let table: [(&[u8], ReplyError); 11] = [
            (b"\r\n", ReplyError::Malformed),
            (b"25\r\n", ReplyError::Malformed),
            (b"25x ok\r\n", ReplyError::Malformed),
            (b"2500 ok\r\n", ReplyError::Malformed),
            (b"100 go on\r\n", ReplyError::Malformed),
            (b"666 six\r\n", ReplyError::Malformed),
            (b"HTTP/1.1 400 Bad Request\r\n", ReplyError::Malformed),
            (b"250-a\r\n251 b\r\n", ReplyError::MixedCodes),
            (&long, ReplyError::LineTooLong),
            (&long[..MAX_REPLY_LINE], ReplyError::LineTooLong),
            (&endless, ReplyError::TooManyLines),
        ];
        for (octets, error) in table {
            for cut in [1, 7, octets.len()] {
                assert_eq!(parse_all(octets, cut), Err(error), "{}", String::from_utf8_lossy(octets));
            }
        }
    }

    #[test]
    fn text_is_clean_and_bounded() {
        let reply = one(b"550 a\x07\xff\rb \r\n");
        assert_eq!(reply.text, "a?\u{fffd}?b");
        let line = [b"250-".as_slice(), &[b'x'; 2000], b"\r\n"].concat();
        let octets = [line.repeat(50), b"250 end\r\n".to_vec()].concat();
        assert_eq!(one(&octets).text.len(), MAX_REPLY_TEXT);
    }

    proptest! {
        #[test]
        fn random_octets_never_panic_and_cuts_do_not_matter(
            octets in prop::collection::vec(prop::sample::select(b"0123459 -.\r\nx\xc3\xbc".to_vec()), 0..200),
            cut in 1_usize..40,
        ) {
            prop_assert_eq!(parse_all(&octets, cut), parse_all(&octets, octets.len()));
        }
    }
}
