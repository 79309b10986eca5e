//! Choosing and reading an SPF record.

use std::net::{Ipv4Addr, Ipv6Addr};

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::Spf;

use crate::limits::SPF_RECORD;

/// The domain's record is no good: permerror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad;

/// [7208-4.5] The one record among a name's TXT records; none is no error, two are.
pub(crate) fn choose(records: &[Vec<u8>]) -> Result<Option<Spf>, Bad> {
    let mut ours = records.iter().filter(|record| is_spf(record));
    match (ours.next(), ours.next()) {
        (None, _) => Ok(None),
        (Some(record), None) => read(record).map(Some),
        (Some(_), Some(_)) => Err(Bad),
    }
}

fn is_spf(record: &[u8]) -> bool {
    let Some((version, rest)) = record.split_at_checked(b"v=spf1".len()) else { return false };
    version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
}

fn read(record: &[u8]) -> Result<Spf, Bad> {
    if record.len() > SPF_RECORD {
        return Err(Bad);
    }
    let text = std::str::from_utf8(record).ok().filter(|text| is_printable(text)).ok_or(Bad)?;
    // [7208-4.6] Syntax errors anywhere in the record are found before anything of it is evaluated. The parser lets
    // unknown mechanisms and numbers out of range pass, and stumbles over some unknown modifiers.
    let terms: Vec<&str> = text.split(' ').filter(|term| !term.is_empty()).collect();
    if !terms[1..].iter().copied().all(is_term) {
        return Err(Bad);
    }
    let known: Vec<&str> = terms.into_iter().filter(|term| !is_unknown_modifier(term)).collect();
    Spf::parse(known.join(" ").as_bytes()).map_err(|_| Bad)
}

/// [7208-6]
fn is_unknown_modifier(term: &str) -> bool {
    let name = &term[..term.find([':', '/', '=']).unwrap_or(term.len())];
    let known = ["v", "redirect", "exp"].into_iter().any(|known| known.eq_ignore_ascii_case(name));
    term[name.len()..].starts_with('=') && !known
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|octet| matches!(octet, b' '..=b'~'))
}

fn is_term(term: &str) -> bool {
    let directive = term.strip_prefix(['+', '-', '~', '?']);
    let body = directive.unwrap_or(term);
    let (name, rest) = body.split_at(body.find([':', '/', '=']).unwrap_or(body.len()));
    if rest.starts_with('=') {
        // [7208-6] Modifiers have no qualifier, and unknown ones are left alone.
        let letters = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
        return directive.is_none() && begins && name.bytes().all(letters);
    }
    match name.to_ascii_lowercase().as_str() {
        "all" => rest.is_empty(),
        "include" | "exists" => rest.len() > 1 && rest.starts_with(':'),
        "ptr" => rest.is_empty() || rest.len() > 1 && rest.starts_with(':'),
        "a" | "mx" => is_host_term(rest),
        "ip4" => rest.strip_prefix(':').is_some_and(|rest| is_network::<Ipv4Addr>(rest, 32)),
        "ip6" => rest.strip_prefix(':').is_some_and(|rest| is_network::<Ipv6Addr>(rest, 128)),
        _ => false,
    }
}

/// `[":" domain-spec] ["/" bits] ["//" bits]`. A slash may also stand inside a macro's braces.
fn is_host_term(rest: &str) -> bool {
    let spec = rest.strip_prefix(':');
    let after_macros = rest.rfind('}').map_or(0, |end| end + 1);
    let bits = match rest[after_macros..].find('/') {
        Some(at) => &rest[after_macros + at..],
        None => "",
    };
    let named = rest.len() - bits.len();
    if spec.is_some() && named < 2 || spec.is_none() && named > 0 {
        return false;
    }
    let (four, six) = match bits.split_once("//") {
        Some((four, six)) => (four, Some(six)),
        None => (bits, None),
    };
    four.strip_prefix('/').map_or(four.is_empty(), |bits| is_bits(bits, 32))
        && six.is_none_or(|bits| is_bits(bits, 128))
}

fn is_network<T: std::str::FromStr>(text: &str, most: u8) -> bool {
    match text.split_once('/') {
        Some((address, bits)) => address.parse::<T>().is_ok() && is_bits(bits, most),
        None => text.parse::<T>().is_ok(),
    }
}

fn is_bits(text: &str, most: u8) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_digit())
        && text.parse::<u8>().is_ok_and(|bits| bits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(records: &[&str]) -> Result<usize, Bad> {
        let records: Vec<Vec<u8>> = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        Ok(choose(&records)?.map_or(0, |spf| 1 + spf.directives.len()))
    }

    // [7208-4.5]
    #[test]
    fn one_record_is_chosen_and_two_are_an_error() {
        assert_eq!(chosen(&[]), Ok(0));
        assert_eq!(chosen(&["some text", "v=spf10 -all", "V=SPF1 -all", "v=spf2.0/pra -all"]), Ok(2));
        assert_eq!(chosen(&["v=spf1"]), Ok(1));
        assert_eq!(chosen(&["v=spf1 +all", "v=spf1 -all"]), Err(Bad));
        assert_eq!(chosen(&["v=spf1 +all", "v=spf1 +all"]), Err(Bad));
    }

    // [7208-4.6] [7208-6]
    #[test]
    fn a_record_with_one_bad_term_is_bad_as_a_whole() {
        for good in [
            "a",
            "a:example.org",
            "a/24",
            "a:example.org/24//64",
            "mx//64",
            "mx:%{d2}/24",
            "a:%{d1r/}.example.org/24",
            "ip4:192.0.2.0/24",
            "ip6:2001:db8::/32",
            "ptr",
            "ptr:example.org",
            "exists:%{ir}.%{l1r+-}._spf.%{d}",
            "INCLUDE:example.org",
            "~all",
            "?all",
            "redirect=example.org",
            "x-unknown=what:ever/%{d}",
        ] {
            assert!(chosen(&[&format!("v=spf1 {good}")]).is_ok(), "{good}");
        }
        for bad in [
            "ip4:192.0.2.300",
            "ip4:192.0.2.0/33",
            "ip4:192.0.2",
            "ip4",
            "ip6:192.0.2.1",
            "ip6:2001:db8::/129",
            "a/33",
            "a:/24",
            "a:",
            "a//129",
            "a/24x",
            "a/",
            "mx///64",
            "include",
            "include:",
            "exists",
            "all:example.org",
            "everything",
            "unknown:example.org",
            "+redirect=example.org",
            "=x",
            "a:%{z}",
            "a:%(d)",
            "redirect=a redirect=b",
            "ü",
            "a\0",
        ] {
            assert_eq!(chosen(&[&format!("v=spf1 {bad} +all")]), Err(Bad), "{bad}");
        }
        assert_eq!(chosen(&[&format!("v=spf1 {}", "ip4:192.0.2.1 ".repeat(2000))]), Err(Bad), "too long");
    }
}
