//! RCPT, RFC 5321 4.1.1.3, with the parameters of RFC 3461.

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
            once(&mut original_said, value.and_then(original))?;
        } else {
            return Err(Fault::UnknownParameter);
        }
    }
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

/// [3461-4.2] `addr-type ";" xtext`, kept as it came.
fn original(text: &str) -> Option<Xtext> {
    let (kind, address) = text.split_once(';')?;
    let atom = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if kind.is_empty() || !kind.bytes().all(atom) {
        return None;
    }
    Xtext::new(address, MAX_ORCPT).ok()?;
    Xtext::new(text, MAX_ORCPT).ok()
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
