//! A door for the fuzz targets (`fuzz/` at the top), there under `--cfg fuzzing` alone: framing and grammar by
//! themselves, in terms of octets.

use restante_types::{Envelope, ForwardPath, Recipient};

use crate::capabilities::Capabilities;
use crate::client::commands;
use crate::client::dots::DotStuffer;
use crate::framing::canon::Canon;
use crate::framing::dot::DotReader;
use crate::grammar::mail::Offered;
use crate::grammar::verb::{self, Verb};
use crate::grammar::{atrn, etrn, mail, rcpt};

/// What our client sends after 354 for content that comes in these pieces.
pub fn stuff<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut dots, mut out) = (DotStuffer::new(), Vec::new());
    pieces.for_each(|piece| dots.stuff(piece, &mut out));
    dots.finish(&mut out);
    out
}

/// What our server makes of octets after 354: the content, how many octets of it there were, and whether it ended.
pub fn unstuff<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, usize, bool) {
    let (mut reader, mut content, mut taken) = (DotReader::default(), Vec::new(), 0);
    for piece in pieces {
        let (count, ended) = reader.feed(piece, &mut |octets| content.extend_from_slice(octets));
        taken += count;
        if ended {
            return (content, taken, true);
        }
    }
    (content, taken, false)
}

/// Content with canonical line ends, and whether anything had to be changed.
pub fn canonical<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
    let (mut canon, mut out, mut changed) = (Canon::default(), Vec::new(), false);
    let mut take = |octets: &[u8], changes| {
        out.extend_from_slice(octets);
        changed |= changes;
    };
    pieces.for_each(|piece| canon.feed(piece, &mut take));
    canon.finish(&mut take);
    (out, changed)
}

/// What is understood by a command line without its end, for comparing, and how our client says that; `None` where it
/// is none of MAIL, RCPT, ETRN and ATRN, or malformed.
#[must_use]
pub fn understand(line: &str) -> Option<(String, String)> {
    let (verb, arguments) = verb::split(line)?;
    let everything = Capabilities {
        size: Some(0),
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        ..Capabilities::default()
    };
    match verb {
        Verb::Mail => {
            let offered = Offered {
                size: true,
                body: true,
                smtputf8: true,
                dsn: true,
                auth: true,
                message_size: u64::MAX,
            };
            let said = mail::parse(arguments, offered).ok()?;
            let shown = format!("{said:?}");
            let (body, smtputf8, ret, envid) = (said.body, said.smtputf8, said.ret, said.envid);
            let envelope =
                Envelope { sender: said.sender, recipients: Vec::new(), body, smtputf8, ret, envid };
            Some((shown, commands::mail_of(&envelope, said.size, smtputf8, &everything)))
        }
        Verb::Rcpt => {
            let said = rcpt::parse(arguments, true).ok()?;
            let shown = format!("{said:?}");
            let ForwardPath::Mailbox(mailbox) = said.path else { return None };
            let recipient = Recipient { mailbox, notify: said.notify, original: said.original };
            Some((shown, commands::rcpt(&recipient, &everything)))
        }
        Verb::Etrn if !arguments.is_empty() => {
            let target = etrn::parse(arguments).ok()?;
            Some((format!("{target:?}"), commands::etrn(&target)))
        }
        Verb::Atrn => {
            let domains = atrn::parse(arguments).ok()?;
            Some((format!("{domains:?}"), commands::atrn(&domains)))
        }
        _ => None,
    }
}
