//! Calls over HTTP as a webhook gets them.

use std::io::Read;

/// Reads one call, as long as its Content-Length says: its head and its body. `None` where it ends before, or is no text.
pub fn read_call(stream: &mut impl Read) -> Option<(String, String)> {
    let mut octets = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&piece[..count]);
        let text = String::from_utf8(octets.clone()).ok()?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: Option<usize> =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length? {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}
