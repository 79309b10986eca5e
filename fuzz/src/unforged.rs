//! The filter that takes Authentication-Results in our name out of a header section.
//!
//! - What passes is the message without some whole fields of that name, as many as it says; the body as it is.
//! - Cuts do not matter, and what passed passes again.
//! - No field is left whose author is plainly us.

use restante_senders::Unforged;

use crate::cut::Input;

const OURS: &str = "mx2.example.net";

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let (passed, removed) = filter(&[input.octets]);
    assert_eq!((passed.clone(), removed), filter(&input.pieces(|_| false)));
    assert_eq!((passed.clone(), 0), filter(&[&passed]), "{:?}", passed.escape_ascii().to_string());

    let (before, after) = (fields(input.octets), fields(&passed));
    let mut left = after.iter().peekable();
    let mut gone = 0;
    for field in &before {
        if left.peek() == Some(&field) {
            left.next();
        } else {
            assert!(is_results(field), "taken out: {:?}", field.escape_ascii().to_string());
            gone += 1;
        }
    }
    assert_eq!(left.next(), None, "something that was not there");
    assert_eq!(gone, removed);
    for field in after.iter().take_while(|field| !is_end(field)) {
        assert!(!is_plainly_ours(field), "{:?}", field.escape_ascii().to_string());
    }
}

fn filter(pieces: &[&[u8]]) -> (Vec<u8>, u32) {
    let (mut filter, mut passed) = (Unforged::new(OURS.parse().unwrap()), Vec::new());
    for piece in pieces {
        filter.pass(piece, |octets| passed.extend_from_slice(octets));
    }
    filter.end(|octets| passed.extend_from_slice(octets));
    (passed, filter.removed())
}

fn is_end(line: &[u8]) -> bool {
    line.starts_with(b"\r\n")
}

/// The fields with their folded lines; what begins with the empty line is one.
fn fields(octets: &[u8]) -> Vec<&[u8]> {
    let (mut fields, mut from, mut at) = (Vec::new(), 0, 0);
    while at < octets.len() {
        let folded = matches!(octets[at], b' ' | b'\t') && at > 0;
        if at > from && !folded {
            fields.push(&octets[from..at]);
            from = at;
        }
        if is_end(&octets[at..]) {
            break;
        }
        at += octets[at..].iter().position(|octet| *octet == b'\n').map_or(octets.len() - at, |end| end + 1);
    }
    fields.push(&octets[from..]);
    fields.retain(|field| !field.is_empty());
    fields
}

fn is_results(field: &[u8]) -> bool {
    let name = b"authentication-results";
    field.len() >= name.len() && field[..name.len()].eq_ignore_ascii_case(name)
}

/// `Authentication-Results: mx2.example.net;`, in any case and with spaces anywhere.
fn is_plainly_ours(field: &[u8]) -> bool {
    if !is_results(field) {
        return false;
    }
    let Some(colon) = field.iter().position(|octet| *octet == b':') else { return false };
    let name = field[..colon].trim_ascii_end();
    let body = field[colon + 1..].trim_ascii_start();
    let ours = body.len() > OURS.len() && body[..OURS.len()].eq_ignore_ascii_case(OURS.as_bytes());
    let blank = field[name.len()..colon].iter().all(|octet| matches!(octet, b' ' | b'\t'));
    name.eq_ignore_ascii_case(b"authentication-results")
        && blank
        && ours
        && matches!(body[OURS.len()], b';' | b' ' | b'\t' | b'\r')
}
