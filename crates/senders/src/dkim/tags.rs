//! Tag lists, RFC 6376 3.2.

/// [6376-3.2] The tags of a list with their values, white space around them taken away; `None` where it is no tag list,
/// which a tag that comes twice makes it.
pub(super) fn read(list: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut tags: Vec<(&str, &[u8])> = Vec::new();
    let mut parts = list.split(|octet| *octet == b';').peekable();
    while let Some(part) = parts.next() {
        let part = part.trim_ascii();
        if part.is_empty() && parts.peek().is_none() {
            break;
        }
        let at = part.iter().position(|octet| *octet == b'=')?;
        let name = std::str::from_utf8(part[..at].trim_ascii_end()).ok()?;
        let letters = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.bytes().all(letters) {
            return None;
        }
        if tags.len() >= 64 || tags.iter().any(|(known, _)| *known == name) {
            return None;
        }
        tags.push((name, part[at + 1..].trim_ascii_start()));
    }
    Some(tags)
}

/// The value of a tag.
pub(super) fn value<'a>(tags: &[(&str, &'a [u8])], wanted: &str) -> Option<&'a [u8]> {
    tags.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
}

/// The items of a value that is a list with colons.
pub(super) fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| *octet == b':').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    // [6376-3.2]
    #[test]
    fn a_list_is_read_or_refused_as_a_whole() {
        let read = |text: &'static str| read(text.as_bytes());
        assert_eq!(read(" v=1;\r\n\td = a b ;").unwrap(), [("v", &b"1"[..]), ("d", b"a b")]);
        assert_eq!(read("b=a=b;c=").unwrap(), [("b", &b"a=b"[..]), ("c", b"")]);
        assert_eq!(read("").unwrap(), []);
        for bad in ["v=1;v=1", "v=1;;d=x", "v", "=1", "1=v", "v\0=1", "ü=1", "v=1; d x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let many: String = (0..65).map(|n| format!("t{n}=x;")).collect();
        assert_eq!(super::read(many.as_bytes()), None);
    }
}
