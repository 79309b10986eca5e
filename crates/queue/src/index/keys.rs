//! The keys of the index. A domain's keys stand together and, within a kind, sort by id or by time.

use std::ops::Bound;

use restante_types::{Domain, QueueId, UnixMillis};

use crate::entry::EntryKey;

/// Before every domain: no name begins with an octet below `-`.
const TIMES: u8 = 1;
/// Where the mark of the last checkpoint stands.
pub(super) const CHECKPOINT: &[u8] = b"\0checkpoint";
/// What the keys of messages that ended begin with.
pub(crate) const ENDED: &[u8] = b"\0ended";
const ID: usize = 16;

/// What a time key says about its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeKind {
    /// It is to be tried on our own then.
    Attempt = b'a' as isize,
    /// The operator deleted it then.
    Deleted = b'd' as isize,
    /// It stands there, failed, expired or dead, since then.
    Parked = b'p' as isize,
    /// It has a recipient whose failing nobody saw to; the time is always 0.
    Unreported = b'u' as isize,
}

/// A range of keys.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn prefix(domain: &Domain) -> Vec<u8> {
    let mut key = Vec::with_capacity(domain.as_str().len() + 1 + ID);
    key.extend_from_slice(domain.as_str().as_bytes());
    key.push(0);
    key
}

/// `domain \0 id`
pub(crate) fn entry_key(domain: &Domain, id: QueueId) -> Vec<u8> {
    let mut key = prefix(domain);
    key.extend_from_slice(&id.to_bytes());
    key
}

/// Reads what [`entry_key`] wrote.
pub(crate) fn read_entry_key(key: &[u8]) -> Option<EntryKey> {
    let (name, id) = key.split_last_chunk::<ID>()?;
    let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
    Some(EntryKey { domain: name.parse().ok()?, id: QueueId::from_bytes(*id) })
}

/// The entries of one domain behind `after`.
pub(crate) fn domain_range(domain: &Domain, after: Option<QueueId>) -> KeyRange {
    let from = match after {
        Some(id) => Bound::Excluded(entry_key(domain, id)),
        None => Bound::Included(prefix(domain)),
    };
    (from, Bound::Included(entry_key(domain, QueueId::MAX)))
}

/// All entries behind `after`.
pub(crate) fn entries_behind(after: Option<&EntryKey>) -> KeyRange {
    let from = match after {
        Some(key) => Bound::Excluded(entry_key(&key.domain, key.id)),
        None => Bound::Included(vec![TIMES + 1]),
    };
    (from, Bound::Unbounded)
}

/// `\x01 domain \0 kind time id`
pub(crate) fn time_key(domain: &Domain, kind: TimeKind, time: UnixMillis, id: QueueId) -> Vec<u8> {
    let mut key = vec![TIMES];
    key.extend_from_slice(&prefix(domain));
    key.push(kind as u8);
    key.extend_from_slice(&time.0.to_be_bytes());
    key.extend_from_slice(&id.to_bytes());
    key
}

/// The time and id in a key of [`time_key`].
pub(crate) fn read_time_key(key: &[u8]) -> Option<(UnixMillis, QueueId)> {
    let (rest, id) = key.split_last_chunk::<ID>()?;
    let (_, time) = rest.split_last_chunk::<8>()?;
    Some((UnixMillis(u64::from_be_bytes(*time)), QueueId::from_bytes(*id)))
}

/// The times of one kind in one domain, up to and with `until`.
pub(crate) fn times(domain: &Domain, kind: TimeKind, until: UnixMillis) -> KeyRange {
    let from = time_key(domain, kind, UnixMillis::EPOCH, QueueId::MIN);
    (Bound::Included(from), Bound::Included(time_key(domain, kind, until, QueueId::MAX)))
}

/// The keys of one domain's unreported entries behind `after`.
pub(crate) fn unreported_behind(domain: &Domain, after: Option<QueueId>) -> KeyRange {
    let key = |id| time_key(domain, TimeKind::Unreported, UnixMillis::EPOCH, id);
    let from = after.map_or_else(|| Bound::Included(key(QueueId::MIN)), |id| Bound::Excluded(key(id)));
    (from, Bound::Included(key(QueueId::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn domain(name: &str) -> Domain {
        name.parse().unwrap()
    }

    #[test]
    fn keys_read_back() {
        let id = QueueId::from_bytes([0; 16]);
        for name in ["a", "example.org", "xn--bcher-kva.example", "_x.y"] {
            let key = EntryKey { domain: domain(name), id };
            assert_eq!(read_entry_key(&entry_key(&key.domain, id)), Some(key));
        }
        let key = time_key(&domain("a"), TimeKind::Parked, UnixMillis(7), QueueId::MAX);
        assert_eq!(read_time_key(&key), Some((UnixMillis(7), QueueId::MAX)));
        assert_eq!(read_entry_key(b"short"), None);
    }

    #[test]
    fn the_key_spaces_do_not_touch() {
        let first = entry_key(&domain("0"), QueueId::MIN);
        let (Bound::Included(from), Bound::Unbounded) = entries_behind(None) else { panic!() };
        assert!(from < first && from.as_slice() > ENDED && ENDED > CHECKPOINT);
        assert!(time_key(&domain("zz"), TimeKind::Parked, UnixMillis::MAX, QueueId::MAX) < from);
    }

    proptest! {
        #[test]
        fn keys_sort_as_domain_then_id(a in "[a-c]{1,3}(\\.[a-c-]?[a-c])?", x in any::<u128>(), b in "[a-c]{1,3}(\\.[a-c]{1,2})?", y in any::<u128>()) {
            let (Ok(a), Ok(b)) = (a.parse::<Domain>(), b.parse::<Domain>()) else { return Ok(()) };
            let (x, y) = (QueueId::from_bytes(x.to_be_bytes()), QueueId::from_bytes(y.to_be_bytes()));
            prop_assert_eq!(entry_key(&a, x).cmp(&entry_key(&b, y)), (&a, x).cmp(&(&b, y)));
        }
    }
}
