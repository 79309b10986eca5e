//! MAIL, RFC 5321 4.1.1.2, with the parameters of RFC 1870, 3461, 6152 and 6531.

use nom::Parser;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::space0;
use nom::sequence::preceded;

use restante_types::{Body, Mailbox, Ret, Xtext};

use super::Fault;
use super::parameters::{once, parameters};
use super::path::reverse_path;
use crate::limits::{MAX_AUTH_PARAMETER, MAX_ENVID, MAX_SIZE_DIGITS};
use crate::server::MailCommand;

/// What the listener offers of MAIL's parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered {
    /// SIZE is offered.
    pub(crate) size: bool,
    /// 8BITMIME is offered.
    pub(crate) body: bool,
    /// SMTPUTF8 is offered.
    pub(crate) smtputf8: bool,
    /// DSN is offered.
    pub(crate) dsn: bool,
    /// AUTH is offered.
    pub(crate) auth: bool,
    /// SIZE at most.
    pub(crate) message_size: u64,
}

#[derive(Default)]
struct Said {
    size: Option<u64>,
    body: Option<Body>,
    smtputf8: Option<()>,
    ret: Option<Ret>,
    envid: Option<Xtext>,
    submitter: Option<()>,
}

/// `FROM:` and what follows.
pub(crate) fn parse(arguments: &str, offered: Offered) -> Result<MailCommand, Fault> {
    let (path, _) = from(arguments).map_err(|_| Fault::Keyword)?;
    let (rest, sender) = reverse_path(path).map_err(|_| Fault::Sender)?;
    let mut said = Said::default();
    for parameter in parameters(rest)? {
        let (keyword, value) = parameter?;
        said.take(keyword, value, offered)?;
    }
    // [6531-3.5]
    let is_ascii = path[..path.len() - rest.len()].is_ascii();
    if !is_ascii && said.smtputf8.is_none() {
        return Err(Fault::NotAscii);
    }
    // Last, so that a command with another fault is never answered as if only its size were wrong.
    if said.size.is_some_and(|size| size > offered.message_size) {
        return Err(Fault::TooLarge);
    }
    Ok(MailCommand {
        sender,
        size: said.size,
        body: said.body.unwrap_or_default(),
        smtputf8: said.smtputf8.is_some(),
        ret: said.ret,
        envid: said.envid,
    })
}

/// Spaces behind the colon are no grammar of RFC 5321, but common in scripts.
fn from(input: &str) -> nom::IResult<&str, &str> {
    preceded(tag_no_case("FROM:"), space0).parse(input)
}

impl Said {
    fn take(&mut self, keyword: &str, value: Option<&str>, offered: Offered) -> Result<(), Fault> {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("SIZE") && offered.size {
            once(&mut self.size, value.and_then(size))
        } else if is("BODY") && offered.body {
            once(&mut self.body, value.and_then(body))
        } else if is("SMTPUTF8") && offered.smtputf8 {
            once(&mut self.smtputf8, value.is_none().then_some(()))
        } else if is("RET") && offered.dsn {
            once(&mut self.ret, value.and_then(ret))
        } else if is("ENVID") && offered.dsn {
            // [3461-4.4] kept as it came
            once(&mut self.envid, value.and_then(|text| Xtext::new(text, MAX_ENVID).ok()))
        } else if is("AUTH") && offered.auth {
            once(&mut self.submitter, value.and_then(submitter))
        } else {
            Err(Fault::UnknownParameter)
        }
    }
}

/// [4954-5] `<>`, or a mailbox in xtext. No client of ours is trusted to vouch for a submitter, and we authenticate to
/// nobody when we pass mail on: so it is checked and forgotten, as section 5 allows.
fn submitter(text: &str) -> Option<()> {
    if text == "<>" {
        return Some(());
    }
    let encoded = Xtext::new(text, MAX_AUTH_PARAMETER).ok()?;
    let mailbox = decode_xtext(encoded.as_str())?;
    (mailbox == "<>" || mailbox.parse::<Mailbox>().is_ok()).then_some(())
}

/// RFC 3461 4: `+` and two digits stand for an octet; what is handed in is well-formed.
fn decode_xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut parts = text.split('+');
    octets.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(octets).ok()
}

/// [1870-3] one to twenty digits; what fits no integer is over every limit.
fn size(text: &str) -> Option<u64> {
    let digits = text.len() <= MAX_SIZE_DIGITS && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// [6152-a] BINARYMIME is no value here: the extension is not offered.
fn body(text: &str) -> Option<Body> {
    if text.eq_ignore_ascii_case("8BITMIME") {
        Some(Body::EightBitMime)
    } else {
        text.eq_ignore_ascii_case("7BIT").then_some(Body::SevenBit)
    }
}

/// [3461-4.3]
fn ret(text: &str) -> Option<Ret> {
    if text.eq_ignore_ascii_case("FULL") {
        Some(Ret::Full)
    } else {
        text.eq_ignore_ascii_case("HDRS").then_some(Ret::Headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_types::ReversePath;

    const OFFERED: Offered =
        Offered { size: true, body: true, smtputf8: true, dsn: true, auth: false, message_size: 1000 };

    #[test]
    fn mail_with_everything_1870_3_3461_4_6152_6531() {
        let command = parse(
            "from:<a@example.org> SIZE=1000 body=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ+2B314159",
            OFFERED,
        );
        let command = command.unwrap();
        assert_eq!(command.sender.to_string(), "a@example.org");
        assert_eq!((command.size, command.body, command.smtputf8), (Some(1000), Body::EightBitMime, true));
        assert_eq!((command.ret, command.envid.unwrap().as_str()), (Some(Ret::Headers), "QQ+2B314159"));
        let plain = parse("FROM: <>", OFFERED).unwrap();
        assert_eq!((plain.sender, plain.size, plain.body), (ReversePath::Null, None, Body::SevenBit));
    }

    #[test]
    fn faults_have_names() {
        for (text, fault) in [
            ("", Fault::Keyword),
            ("TO:<a@example.org>", Fault::Keyword),
            ("FROM:", Fault::Sender),
            ("FROM:a@example.org", Fault::Sender),
            ("FROM:<a@example.org>SIZE=1", Fault::Parameter),
            ("FROM:<> SIZE=", Fault::Parameter),
            ("FROM:<> SIZE", Fault::Parameter),
            ("FROM:<> SIZE=-1", Fault::Parameter),
            ("FROM:<> SIZE=1 size=1", Fault::Parameter),
            ("FROM:<> SIZE=000000000000000000001", Fault::Parameter),
            ("FROM:<> BODY=BINARYMIME", Fault::Parameter),
            ("FROM:<> SMTPUTF8=1", Fault::Parameter),
            ("FROM:<> RET=ALL", Fault::Parameter),
            ("FROM:<> ENVID=a+b", Fault::Parameter),
            ("FROM:<> AUTH=<>", Fault::UnknownParameter),
            ("FROM:<> NOTIFY=NEVER", Fault::UnknownParameter),
            ("FROM:<> SIZE=1001", Fault::TooLarge),
            ("FROM:<> SIZE=99999999999999999999", Fault::TooLarge),
            ("FROM:<> SIZE=1001 X", Fault::UnknownParameter),
            ("FROM:<ü@example.org>", Fault::NotAscii),
            ("FROM:<a@bücher.example>", Fault::NotAscii),
        ] {
            assert_eq!(parse(text, OFFERED), Err(fault), "{text}");
        }
        assert!(parse("FROM:<ü@example.org> SMTPUTF8", OFFERED).is_ok());
        let without = Offered { smtputf8: false, ..OFFERED };
        assert_eq!(parse("FROM:<ü@example.org> SMTPUTF8", without), Err(Fault::UnknownParameter));
        assert!(parse(&format!("FROM:<> ENVID={}", "e".repeat(100)), OFFERED).is_ok());
        assert!(parse(&format!("FROM:<> ENVID={}", "e".repeat(101)), OFFERED).is_err());
    }
}
