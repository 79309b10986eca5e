//! Replies of a hostile server.
//!
//! - The same replies come out, and the same error, however the octets are cut.
//! - A reply's text is bounded, and has no control character but LF between its lines.
//! - A reply that is written again reads as the same reply.
//! - The parser holds no more than one line and one reply.

use restante_smtp::{Capabilities, ReplyError, ReplyParser};
use restante_types::Reply;

use crate::cut::Input;

/// `MAX_REPLY_TEXT`
const MAX_TEXT: usize = restante_smtp::client::limits::MAX_REPLY_TEXT;

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let whole = parse(&[input.octets]);
    assert_eq!(whole, parse(&input.pieces(|_| false)));
    for reply in &whole.0 {
        assert!(reply.text.len() <= MAX_TEXT, "{} octets of text", reply.text.len());
        assert!(!reply.text.contains(|c: char| c.is_control() && c != '\n'), "{:?}", reply.text);
        let capabilities = Capabilities::parse(&reply.text);
        assert_ne!(capabilities.size_limit(), Some(0));
        written_again(reply);
    }
}

fn parse(pieces: &[&[u8]]) -> (Vec<Reply>, Option<ReplyError>) {
    let (mut parser, mut replies) = (ReplyParser::default(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match parser.handle_bytes(rest) {
                Err(error) => return (replies, Some(error)),
                Ok((taken, reply)) => {
                    assert!(taken > 0 && (reply.is_some() || taken == rest.len()));
                    rest = &rest[taken..];
                    replies.extend(reply);
                }
            }
        }
    }
    let held = crate::octets_of(parser);
    assert!(held <= 4 * MAX_TEXT, "{held} octets held");
    (replies, None)
}

fn written_again(reply: &Reply) {
    let mut wire = Vec::new();
    reply.write(&mut wire);
    let (again, error) = parse(&[&wire]);
    // A text as long as it may be is longer with the code in front of each line.
    if reply.text.lines().any(|line| line.len() > 1024) || reply.text.len() > MAX_TEXT / 2 {
        return;
    }
    assert_eq!(error, None, "{reply:?}");
    let [again] = &again[..] else { panic!("{reply:?} reads as {again:?}") };
    assert_eq!(again.code, reply.code);
    assert!(reply.enhanced.is_none() || again.enhanced == reply.enhanced, "{again:?}");
}
