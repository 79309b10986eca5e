//! Encoded words (RFC 2047), read for people.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// [2047-6] The text with its encoded words decoded where they are in UTF-8, US-ASCII or ISO 8859-1; others stay as they
/// are.
pub(super) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut behind_word) = (text, false);
    while let Some(at) = rest.find("=?") {
        let (before, word) = rest.split_at(at);
        let Some((shown, length)) = one(word) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &word[2..];
            behind_word = false;
            continue;
        };
        // RFC 2047 6.2: the space between two encoded words is not part of the text.
        if !(behind_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&shown);
        rest = &word[length..];
        behind_word = true;
    }
    out.push_str(rest);
    out
}

/// The encoded word that a text begins with, and its length.
fn one(text: &str) -> Option<(String, usize)> {
    let mut parts = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (coded, _) = rest.split_once("?=")?;
    if coded.contains([' ', '?']) {
        return None;
    }
    let octets = match encoding {
        "B" | "b" => STANDARD.decode(coded).ok()?,
        "Q" | "q" => quoted(coded)?,
        _ => return None,
    };
    // RFC 2231 5: a language may follow the charset.
    let charset = charset.split('*').next()?.to_ascii_lowercase();
    let shown = match charset.as_str() {
        "utf-8" | "us-ascii" => String::from_utf8_lossy(&octets).into_owned(),
        "iso-8859-1" => octets.iter().copied().map(char::from).collect(),
        _ => return None,
    };
    let length = text.len() - rest.len() + coded.len() + 2;
    Some((shown, length))
}

fn quoted(coded: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(coded.len());
    let mut octets = coded.bytes();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'_' => b' ',
            b'=' => {
                let digits = [octets.next()?, octets.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    // [2047-6]
    #[test]
    fn encoded_words_are_read_and_rubbish_stays() {
        for (coded, shown) in [
            ("plain", "plain"),
            ("=?utf-8?B?w7w=?=", "ü"),
            ("=?UTF-8?Q?Gr=C3=BC=C3=9Fe_an?= =?utf-8*de?q?_alle?= x", "Grüße an alle x"),
            ("a =?iso-8859-1?Q?=FC?= b", "a ü b"),
            ("=?koi8-r?B?8Q==?=", "=?koi8-r?B?8Q==?="),
            ("=?utf-8?B?***?=", "=?utf-8?B?***?="),
            ("=?utf-8?Q?=zz?=", "=?utf-8?Q?=zz?="),
            ("=?", "=?"),
            ("=?utf-8?Q?a", "=?utf-8?Q?a"),
            ("=?=?utf-8?Q?a?=", "=?a"),
        ] {
            assert_eq!(decoded(coded), shown, "{coded}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(=\\?|\\?=|\\?|utf-8|[QBqb]|=[0-9A-F]{0,2}|\\PC){0,20}") {
            let _ = decoded(&text);
        }
    }
}
