//! [5321-4.1.2] Paths and mailboxes, with the wider characters of RFC 6531 3.3.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while, take_while1};
use nom::character::complete::{char, satisfy};
use nom::combinator::{map_res, opt, recognize};
use nom::multi::{many0_count, separated_list1};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use restante_types::{Domain, ForwardPath, LocalPart, MAX_PATH, Mailbox, MailboxHost, ReversePath};

/// `Reverse-path = Path / "<>"`, with what follows it.
pub(crate) fn reverse_path(input: &str) -> IResult<&str, ReversePath> {
    alt((tag("<>").map(|_| ReversePath::Null), path.map(ReversePath::Mailbox))).parse(input)
}

/// `Forward-path`, or [5321-4.1.1.3] the bare `<Postmaster>`, with what follows it.
pub(crate) fn forward_path(input: &str) -> IResult<&str, ForwardPath> {
    let postmaster = tag_no_case("<Postmaster>").map(|_| ForwardPath::Postmaster);
    alt((postmaster, path.map(ForwardPath::Mailbox))).parse(input)
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`; [5321-c] the source route is read and dropped. The limit of
/// RFC 5321 4.5.3.1.3 counts the path without its route, and holds for it as it came and as it will be sent on: quoted,
/// or with an A-label, it may be longer.
fn path(input: &str) -> IResult<&str, Mailbox> {
    let route = terminated(separated_list1(char(','), preceded(char('@'), name)), char(':'));
    let (input, _) = (char('<'), opt(route)).parse(input)?;
    let (rest, mailbox) = terminated(mailbox, char('>')).parse(input)?;
    let (came, sent) = (1 + input.len() - rest.len(), 2 + mailbox.wire_len());
    if came.max(sent) > MAX_PATH {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::TooLarge)));
    }
    Ok((rest, mailbox))
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )`
fn mailbox(input: &str) -> IResult<&str, Mailbox> {
    let local = alt((quoted_string, dot_string));
    (local, char('@'), host).map(|(local, _, host)| Mailbox { local, host }).parse(input)
}

/// `Dot-string`, also with dots at its ends or beside each other: such addresses exist, and [`LocalPart`] writes them
/// back quoted, as they should have come.
fn dot_string(input: &str) -> IResult<&str, LocalPart> {
    map_res(take_while1(|c| is_atext(c) || c == '.'), LocalPart::new).parse(input)
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`
fn quoted_string(input: &str) -> IResult<&str, LocalPart> {
    let text = satisfy(|c| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~') || !c.is_ascii());
    let pair = preceded(char('\\'), satisfy(|c| matches!(c, ' '..='~')));
    let quoted = delimited(char('"'), recognize(many0_count(alt((text, pair)))), char('"'));
    map_res(quoted, |inner: &str| LocalPart::new(&unquoted(inner))).parse(input)
}

fn unquoted(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        out.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    out
}

fn name(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| !matches!(c, '>' | '<' | ',' | ':' | '@' | '"' | ' ' | '\t')).parse(input)
}

fn host(input: &str) -> IResult<&str, MailboxHost> {
    let literal =
        recognize((char('['), take_while(|c: char| !matches!(c, '[' | ']' | '>' | ' ')), char(']')));
    let domain = map_res(name, |text| Domain::parse(text).map(MailboxHost::Domain));
    alt((map_res(literal, str::parse), domain)).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nom::combinator::all_consuming;
    use proptest::prelude::*;

    fn parse_mailbox(text: &str) -> Option<Mailbox> {
        all_consuming(mailbox).parse(text).ok().map(|(_, mailbox)| mailbox)
    }

    fn forward(text: &str) -> Option<ForwardPath> {
        all_consuming(forward_path).parse(text).ok().map(|(_, path)| path)
    }

    #[test]
    fn paths_are_read() {
        for (text, want) in [
            ("<a@example.org>", "a@example.org"),
            ("<A.b+c@EXAMPLE.org>", "A.b+c@example.org"),
            ("<\"a b\"@example.org>", "\"a b\"@example.org"),
            ("<\"a\\\"\\\\@>\"@example.org>", "\"a\\\"\\\\@>\"@example.org"),
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("<user%elsewhere@example.org>", "user%elsewhere@example.org"),
            ("<a..b.@example.org>", "\"a..b.\"@example.org"),
            ("<ü@bücher.example>", "ü@xn--bcher-kva.example"),
        ] {
            let ForwardPath::Mailbox(mailbox) = forward(text).unwrap() else { panic!("{text}") };
            assert_eq!(mailbox.to_string(), want);
        }
        assert_eq!(forward("<pOSTmaster>"), Some(ForwardPath::Postmaster));
        assert_eq!(reverse_path("<> X"), Ok((" X", ReversePath::Null)));
    }

    #[test]
    fn source_routes_are_dropped_5321_c() {
        let plain = forward("<a@example.org>");
        for text in ["<@one.example:a@example.org>", "<@one.example,@two.example:a@example.org>"] {
            assert_eq!(forward(text), plain, "[5321-c] {text}");
        }
        for text in ["<@one.example>", "<@one.example:>", "<@:a@example.org>", "<one.example:a@example.org>"]
        {
            assert_eq!(forward(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("<a@{}example.org>", "a.".repeat(121));
        for text in [
            "",
            "<",
            ">",
            "<>",
            "a@example.org",
            "<a>",
            "<a@>",
            "<@example.org>",
            "<a@b@example.org>",
            "<a b@example.org>",
            "<a@example.org",
            "<a@exa mple.org>",
            "<<a@example.org>>",
            "<\"a@example.org>",
            "<\"\"@example.org>",
            "<a@[192.0.2.256]>",
            "<a@[x:y]>",
            "<a@[192.0.2.1>",
            "<a@-x.org>",
            "<\"a\\\u{fc}\"@example.org>",
            &long,
        ] {
            assert_eq!(forward(text), None, "{text:?}");
        }
        let longest = format!("<a@{}aexample.org>", "a.".repeat(120));
        assert!(forward(&longest).is_some());
    }

    #[test]
    fn what_would_be_too_long_when_it_is_sent_on_is_refused() {
        for (text, fits) in [
            // Quoted it is two octets longer.
            (format!("<{}.@example.org>", "a".repeat(239)), true),
            (format!("<{}.@example.org>", "a".repeat(240)), false),
            (format!("<{}@example.org>", "a".repeat(242)), true),
            // xn--tda
            (format!("<a@{}>", "ü.".repeat(30) + "example"), true),
            (format!("<a@{}>", "ü.".repeat(31) + "example"), false),
        ] {
            let path = forward(&text);
            assert_eq!(path.is_some(), fits, "{text}");
            let Some(ForwardPath::Mailbox(mailbox)) = path else { continue };
            assert!(forward(&format!("<{mailbox}>")).is_some(), "{mailbox}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(local in "[ -~äß漢]{1,20}", label in "[a-z]([a-z0-9]{0,8})", four: [u8; 4], kind in 0..3) {
            let host = match kind {
                0 => MailboxHost::Domain(Domain::parse(&format!("{label}.example")).unwrap()),
                1 => MailboxHost::Literal(std::net::Ipv4Addr::from(four).into()),
                _ => MailboxHost::Literal(std::net::Ipv4Addr::from(four).to_ipv6_compatible().into()),
            };
            let mailbox = Mailbox { local: LocalPart::new(&local).unwrap(), host };
            prop_assert_eq!(parse_mailbox(&mailbox.to_string()), Some(mailbox));
        }

        #[test]
        fn nothing_panics(text in "[<>@\\[\\]\":,\\\\ aü.]{0,30}") {
            let _ = (forward(&text), reverse_path(&text));
        }
    }
}
