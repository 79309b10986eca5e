//! HELO and EHLO.

use super::Fault;
use crate::limits::MAX_HELLO;

/// The client's name. [5321-4.1.1.1] wants a domain or an address literal; the world sends what it likes, and
/// 4.1.4 forbids to refuse mail for it. So anything goes that is one word of at most 255 octets without controls.
pub(crate) fn parse(arguments: &str) -> Result<&str, Fault> {
    let word = |c: char| !c.is_whitespace() && !c.is_control();
    if arguments.is_empty() || arguments.len() > MAX_HELLO || !arguments.chars().all(word) {
        return Err(Fault::Argument);
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_a_name() {
        // [5321-4.1.1.1]
        for text in ["mail.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "WIN_7", "localhost"] {
            assert_eq!(parse(text), Ok(text));
        }
        let long = "a".repeat(256);
        for text in ["", "a b", "a\tb", "a\u{85}b", &long] {
            assert_eq!(parse(text), Err(Fault::Argument), "{text:?}");
        }
    }
}
