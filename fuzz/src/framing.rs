//! DATA's dots and BDAT's counts.
//!
//! - What our client stuffs, our server unstuffs to the same content, however either is cut, and ends there exactly.
//! - Octets of others end where a reader that knows only RFC 5321 4.1.1.4 sees CRLF.CRLF, and nowhere else.
//! - Canonical content is canonical, stays what it is, and cuts do not matter.
//! - The same content arrives the same by DATA and in chunks of any sizes.

use restante_smtp::fuzzing::{canonical, stuff, unstuff};

use crate::cut::{Input, Random};
use crate::memory::{Accepted, Memory};

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let whole = || std::iter::once(input.octets);
    let pieces = input.pieces(|_| false);
    let cut = || pieces.iter().copied();

    let read = unstuff(whole());
    assert_eq!(read, unstuff(cut()));
    assert_eq!(read, by_the_book(input.octets));

    let (canon, changed) = canonical(whole());
    assert_eq!((canon.clone(), changed), canonical(cut()));
    assert_eq!((canon.clone(), false), canonical(std::iter::once(&canon[..])));
    assert_eq!(changed, canon != input.octets);

    let again = Input { octets: &canon, ..input };
    let pieces = again.pieces(|_| false);
    let sent = stuff(std::iter::once(&canon[..]));
    assert_eq!(sent, stuff(pieces.iter().copied()));
    let mut expected = canon.clone();
    if !canon.is_empty() && !canon.ends_with(b"\r\n") {
        expected.extend_from_slice(b"\r\n");
    }
    let behind = [&sent[..], b"QUIT\r\n"].concat();
    let wire = Input { octets: &behind, ..input };
    for pieces in [vec![&behind[..]], wire.pieces(|_| false)] {
        assert_eq!(unstuff(pieces.into_iter()), (expected.clone(), sent.len(), true));
    }
    both_ways(&input, &expected);
}

/// DATA's content octet by octet, as RFC 5321 4.1.1.4 and 4.5.2 have it.
fn by_the_book(octets: &[u8]) -> (Vec<u8>, usize, bool) {
    let seen = [b"\r\n", octets].concat();
    let end = seen.windows(5).position(|window| window == b"\r\n.\r\n");
    let upto = end.map_or(seen.len(), |end| end + 2);
    let mut content: Vec<u8> = Vec::new();
    for at in 2..upto {
        let stuffed = seen[at] == b'.' && seen[..at].ends_with(b"\r\n");
        if !stuffed {
            content.push(seen[at]);
        }
    }
    if end.is_none() {
        // What may still be the end is kept back.
        let kept = if seen.ends_with(b"\r\n.\r") { 1 } else { 0 };
        content.truncate(content.len() - kept);
    }
    (content, end.map_or(octets.len(), |end| end + 3), end.is_some())
}

fn both_ways(input: &Input<'_>, content: &[u8]) {
    let mut random = Random(u64::from(input.cuts) + 77);
    let mut chunks = Vec::new();
    let mut rest = input.octets;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at((1 + random.below(64)).min(rest.len()));
        chunks.extend_from_slice(format!("BDAT {}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        rest = behind;
    }
    chunks.extend_from_slice(b"BDAT 0 LAST\r\n");
    let by_chunks = accepted(&[&chunks]);
    let stuffed = stuff(std::iter::once(content));
    let by_dots = accepted(&[b"DATA\r\n", &stuffed]);
    // The last line has an end by DATA.
    let ended = by_chunks.content == content || [&by_chunks.content[..], b"\r\n"].concat() == content;
    assert!(ended, "{:?}", by_chunks.content);
    assert_eq!(by_dots.content, content);
    assert!(!by_dots.normalised);
    assert_eq!(by_chunks.normalised, by_chunks.content != input.octets);
}

fn accepted(pieces: &[&[u8]]) -> Accepted {
    let mut memory = Memory::new(&[]);
    memory.send(b"EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.org>\r\n");
    pieces.iter().for_each(|piece| memory.send(piece));
    assert!(!memory.closed && memory.accepted.len() == 1, "{}", memory.said());
    memory.accepted.remove(0)
}
