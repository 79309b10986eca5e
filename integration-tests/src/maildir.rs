//! Maildirs as the peers leave them: a file for each message, with LF and their own fields on top.

use std::path::{Path, PathBuf};

/// Its messages.
pub(crate) fn files(maildir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(maildir.join("new"));
    files.map(|files| files.flatten().map(|file| file.path()).collect()).unwrap_or_default()
}

/// A message as it was handed over: without these fields, which must stand on top of it, and with CRLF.
pub(crate) fn without(file: &Path, fields: &[&str]) -> Vec<u8> {
    let crlf = with_crlf(&std::fs::read(file).expect("a delivered file can be read"));
    let mut rest = crlf.as_slice();
    for field in fields {
        assert!(rest.starts_with(field.as_bytes()), "{field} is missing on top of {}", file.display());
        rest = after_field(rest);
    }
    rest.to_vec()
}

/// A file with the line ends of this system, with those of the wire.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut crlf = Vec::with_capacity(text.len() + text.len() / 40);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        crlf.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        crlf.extend_from_slice(b"\r\n");
    }
    crlf
}

/// What stands behind the first header field.
fn after_field(text: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(end) = text[at..].iter().position(|octet| *octet == b'\n') {
        at += end + 1;
        if !matches!(text.get(at), Some(b' ' | b'\t')) {
            break;
        }
    }
    &text[at..]
}
