//! What a next hop is told about the client that handed a message in: XCLIENT and XFORWARD, the two extensions of
//! Postfix that Exim and others know too.

use std::net::IpAddr;

use restante_types::Domain;

/// Attributes that a server says it takes in its answer to EHLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(u8);

/// The names of attributes that we can tell. LOGIN is none of them: an identity of ours is none of the next hop's, and
/// who believed it would relay for it.
const NAMES: [&str; 6] = ["NAME", "ADDR", "PROTO", "HELO", "IDENT", "SOURCE"];

/// Those of them that we tell by XCLIENT.
const OF_XCLIENT: [&str; 4] = ["NAME", "ADDR", "PROTO", "HELO"];

/// Octets of the client's HELO name that are told: as much as a domain name may have (RFC 5321 4.5.3.1.2). Encoded,
/// the line stays within what every server reads.
const MAX_HELO: usize = 255;
/// Octets of a command line with its end, RFC 5321 4.5.3.1.4.
const MAX_LINE: usize = 512;

impl Attributes {
    /// Reads the words behind the keyword; unknown ones are passed over.
    #[must_use]
    pub fn read<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let bit = |word: &str| NAMES.iter().position(|name| name.eq_ignore_ascii_case(word));
        Self(words.filter_map(bit).fold(0, |all, bit| all | 1 << bit))
    }

    /// The same for XCLIENT: who takes none of what we tell by it does not offer it.
    pub(crate) fn read_xclient<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let told = |word: &&str| OF_XCLIENT.iter().any(|name| name.eq_ignore_ascii_case(word));
        Self::read(words.filter(told))
    }

    /// Whether the extension is offered at all.
    #[must_use]
    pub const fn is_offered(self) -> bool {
        self.0 != 0
    }

    fn has(self, name: &str) -> bool {
        NAMES.iter().position(|known| *known == name).is_some_and(|bit| self.0 & 1 << bit != 0)
    }
}

/// Who handed a message in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its address, in canonical form.
    pub address: IpAddr,
    /// What it called itself, as it came.
    pub helo: String,
    /// What we call the message, for the next hop's log.
    pub ident: String,
}

impl Origin {
    /// [xclient-command] The command that makes the next hop take this session for the client's. The name is not looked up here, so it
    /// is said to be unavailable, and the next hop looks it up or does without.
    pub(crate) fn xclient(&self, takes: Attributes) -> String {
        line("XCLIENT", takes, &self.pairs(&OF_XCLIENT))
    }

    /// The name for EHLO in its name: what it called itself, if that can be said; else ours.
    pub(crate) fn hello(&self, ours: &Domain) -> String {
        let literal = self.helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = literal.map(|literal| literal.strip_prefix("IPv6:").unwrap_or(literal));
        if address.is_some_and(|address| address.parse::<IpAddr>().is_ok()) {
            return self.helo.clone();
        }
        Domain::parse(&self.helo).map_or_else(|_| ours.to_string(), |name| name.to_string())
    }

    /// [xforward-command] The commands that tell it for the next hop's log, one or two: together they would be too long
    /// for some.
    pub(crate) fn xforward(&self, takes: Attributes) -> Vec<String> {
        let groups: [&[&str]; 2] = [&["NAME", "ADDR", "IDENT", "SOURCE"], &["PROTO", "HELO"]];
        let wanted = groups.into_iter().filter(|group| group.iter().any(|name| takes.has(name)));
        wanted.map(|group| line("XFORWARD", takes, &self.pairs(group))).collect()
    }

    fn pairs(&self, names: &[&'static str]) -> Vec<(&'static str, String)> {
        names.iter().map(|name| (*name, self.value(name))).collect()
    }

    fn value(&self, name: &str) -> String {
        match name {
            "ADDR" => match self.address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("IPV6:{address}"),
            },
            "PROTO" => "ESMTP".to_owned(),
            "HELO" if (1..=MAX_HELO).contains(&self.helo.len()) => xtext(&self.helo),
            "IDENT" => xtext(&self.ident),
            "SOURCE" => "REMOTE".to_owned(),
            _ => "[UNAVAILABLE]".to_owned(),
        }
    }
}

/// The attributes that are taken; a value that would make the line too long is unavailable.
fn line(verb: &str, takes: Attributes, pairs: &[(&str, String)]) -> String {
    let mut line = verb.to_owned();
    for (name, value) in pairs.iter().filter(|(name, _)| takes.has(name)) {
        let fits = line.len() + name.len() + value.len() + 4 <= MAX_LINE;
        let value = if fits { value } else { "[UNAVAILABLE]" };
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

/// RFC 3461 4: everything but printable ASCII without `+` and `=` is written as `+HH`.
fn xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if !matches!(octet, b'+' | b'=') => encoded.push(char::from(octet)),
            _ => encoded.push_str(&format!("+{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str, helo: &str) -> Origin {
        Origin { address: address.parse().unwrap(), helo: helo.to_owned(), ident: "id-1".to_owned() }
    }

    fn takes(words: &str) -> Attributes {
        Attributes::read(words.split(' '))
    }

    /// [xclient-command]
    #[test]
    fn only_what_is_taken_is_told_and_never_a_login() {
        let all = takes("NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
        assert_eq!(
            origin("192.0.2.1", "client.example").xclient(all),
            "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1 PROTO=ESMTP HELO=client.example"
        );
        assert_eq!(
            origin("2001:db8::1", "x").xclient(takes("addr helo")),
            "XCLIENT ADDR=IPV6:2001:db8::1 HELO=x"
        );
        assert!(!takes("LOGIN DESTADDR").is_offered());
    }

    /// [xforward-command]
    #[test]
    fn a_log_is_told_in_lines_that_are_not_too_long() {
        let all = takes("NAME ADDR PROTO HELO SOURCE PORT IDENT");
        assert_eq!(
            origin("192.0.2.1", "c").xforward(all),
            [
                "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 IDENT=id-1 SOURCE=REMOTE",
                "XFORWARD PROTO=ESMTP HELO=c",
            ]
        );
        assert_eq!(origin("192.0.2.1", "c").xforward(takes("ADDR")), ["XFORWARD ADDR=192.0.2.1"]);
        assert!(origin("192.0.2.1", "c").xforward(Attributes::default()).is_empty());
    }

    #[test]
    fn ehlo_says_what_can_be_said() {
        let ours: Domain = "mx2.example.net".parse().unwrap();
        for (helo, said) in [
            ("client.example", "client.example"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
            ("", "mx2.example.net"),
            ("[x]", "mx2.example.net"),
            ("a b", "mx2.example.net"),
            ("a\r\nMAIL FROM:<>", "mx2.example.net"),
        ] {
            assert_eq!(origin("192.0.2.1", helo).hello(&ours), said, "{helo:?}");
        }
    }

    /// A name that is no name forges neither another attribute nor another command.
    #[test]
    fn hostile_names_are_only_names() {
        let all = takes("NAME ADDR PROTO HELO");
        let shown = |helo: &str| origin("192.0.2.1", helo).xclient(all);
        assert!(shown("a ADDR=1.2.3.4").ends_with(" HELO=a+20ADDR+3D1.2.3.4"));
        assert!(shown("a\r\nQUIT").ends_with(" HELO=a+0D+0AQUIT"));
        assert!(shown("").ends_with(" HELO=[UNAVAILABLE]"));
        assert!(shown(&"ü".repeat(100)).ends_with(" HELO=[UNAVAILABLE]"), "too long when encoded");
        for length in 0..400 {
            assert!(shown(&"=".repeat(length)).len() + 2 <= MAX_LINE);
        }
    }
}
