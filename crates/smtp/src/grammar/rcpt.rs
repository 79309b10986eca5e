//! RCPT, RFC 5321 4.1.1.3, with the parameters of RFC 3461.

use std::borrow::Cow;
use std::fmt::Write as _;

use nom::Parser;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::space0;
use nom::sequence::preceded;

use restante_types::{Notify, Xtext};

use super::Fault;
use super::parameters::{once, parameters};
use super::path::forward_path;
use crate::limits::{MAX_NOTIFY, MAX_ORCPT};
use crate::server::RcptCommand;

/// `TO:` and what follows; `smtputf8` as MAIL said.
pub(crate) fn parse(arguments: &str, smtputf8: bool) -> Result<RcptCommand, Fault> {
    let (path, _) = to(arguments).map_err(|_| Fault::Keyword)?;
    let (rest, forward) = forward_path(path).map_err(|_| Fault::Recipient)?;
    let (mut notify_said, mut original_said) = (None, None);
    for parameter in parameters(rest)? {
        let (keyword, value) = parameter?;
        if keyword.eq_ignore_ascii_case("NOTIFY") {
            once(&mut notify_said, value.and_then(notify))?;
        } else if keyword.eq_ignore_ascii_case("ORCPT") {
            once(&mut original_said, value.and_then(|text| original(text, smtputf8)))?;
        } else {
            return Err(Fault::UnknownParameter);
        }
    }
    // [6531-3.5]
    let is_ascii = path[..path.len() - rest.len()].is_ascii();
    if !is_ascii && !smtputf8 {
        return Err(Fault::NotAscii);
    }
    Ok(RcptCommand { path: forward, notify: notify_said, original: original_said })
}

fn to(input: &str) -> nom::IResult<&str, &str> {
    preceded(tag_no_case("TO:"), space0).parse(input)
}

/// [3461-4.1] `NEVER`, or any of `SUCCESS`, `FAILURE`, `DELAY`, separated by commas.
fn notify(text: &str) -> Option<Notify> {
    if text.len() > MAX_NOTIFY {
        return None;
    }
    if text.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in text.split(',') {
        let place = match word {
            _ if word.eq_ignore_ascii_case("SUCCESS") => &mut notify.success,
            _ if word.eq_ignore_ascii_case("FAILURE") => &mut notify.failure,
            _ if word.eq_ignore_ascii_case("DELAY") => &mut notify.delay,
            _ => return None,
        };
        *place = true;
    }
    Some(notify)
}

/// [3461-4.2] `addr-type ";" xtext`, kept as it came. [6533-3] inside SMTPUTF8 an address of type `utf-8` may hold
/// characters beyond ASCII; they are kept in the 7-bit form, `\x{HEX}`, which goes on to every next hop.
fn original(text: &str, smtputf8: bool) -> Option<Xtext> {
    let (kind, address) = text.split_once(';')?;
    let atom = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if kind.is_empty() || !kind.bytes().all(atom) {
        return None;
    }
    let encoded = if smtputf8 && kind.eq_ignore_ascii_case("utf-8") && !address.is_ascii() {
        Cow::Owned(seven_bit(text))
    } else {
        Cow::Borrowed(text)
    };
    Xtext::new(encoded.split_once(';')?.1, MAX_ORCPT).ok()?;
    Xtext::new(&encoded, MAX_ORCPT).ok()
}

fn seven_bit(text: &str) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            write!(out, "\\x{{{:X}}}", u32::from(c)).expect("a String takes everything");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_types::ForwardPath;

    #[test]
    fn rcpt_with_everything_3461_4() {
        let command =
            parse("to: <a@example.org> NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+2Bx@EXAMPLE.org", false)
                .unwrap();
        assert_eq!(command.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!(command.original.unwrap().as_str(), "rfc822;Bob+2Bx@EXAMPLE.org");
        assert_eq!(parse("TO:<postmaster>", false).unwrap().path, ForwardPath::Postmaster);
        assert_eq!(parse("TO:<a@b.org> NOTIFY=NEVER", false).unwrap().notify, Some(Notify::NEVER));
        assert!(parse("TO:<ü@example.org>", true).is_ok());
    }

    /// [6533-3]
    #[test]
    fn an_original_recipient_beyond_ascii_is_kept_in_7_bit_form() {
        let text = "TO:<a@example.org> ORCPT=utf-8;\u{fc}\u{1f4e7}@example.org";
        let original = parse(text, true).unwrap().original.unwrap();
        assert_eq!(original.as_str(), "utf-8;\\x{FC}\\x{1F4E7}@example.org");
        assert_eq!(parse(text, false), Err(Fault::Parameter));
        assert_eq!(parse("TO:<a@example.org> ORCPT=rfc822;\u{fc}@example.org", true), Err(Fault::Parameter));
    }

    #[test]
    fn faults_have_names() {
        for (text, fault) in [
            ("FROM:<a@example.org>", Fault::Keyword),
            ("TO:<>", Fault::Recipient),
            ("TO:<a>", Fault::Recipient),
            ("TO:<a@b.org> NOTIFY=NEVER,DELAY", Fault::Parameter),
            ("TO:<a@b.org> NOTIFY=", Fault::Parameter),
            ("TO:<a@b.org> NOTIFY=DELAY NOTIFY=DELAY", Fault::Parameter),
            ("TO:<a@b.org> NOTIFY=DELAY,DELAY,DELAY,DELAY,DELAY,DELAY", Fault::Parameter),
            ("TO:<a@b.org> ORCPT=rfc822", Fault::Parameter),
            ("TO:<a@b.org> ORCPT=;a@b.org", Fault::Parameter),
            ("TO:<a@b.org> ORCPT=rfc822;", Fault::Parameter),
            ("TO:<a@b.org> ORCPT=rfc822;a+b", Fault::Parameter),
            ("TO:<a@b.org> SIZE=5", Fault::UnknownParameter),
            ("TO:<ü@example.org>", Fault::NotAscii),
        ] {
            assert_eq!(parse(text, false), Err(fault), "{text}");
        }
    }
}
