//! A door for the fuzz targets (`fuzz/` at the top), there under `--cfg fuzzing` alone: what is read back from a disk.

use restante_types::{QueueId, Reply, UnixMillis};

use crate::index::EntryValue;
use crate::log::StateByte;

pub use crate::log::fuzzing::{Found, open, seal};

/// An index value, read and written again; `None` where it is none. On the way everything is done to it that happens to
/// entries: `states` are what the log says of its recipients.
#[must_use]
pub fn value(id: [u8; 16], octets: &[u8], states: &[u8]) -> Option<Vec<u8>> {
    let id = QueueId::from_bytes(id);
    let value = EntryValue::decode(id, octets).ok()?;
    let written = value.encode(id);
    assert_eq!(
        EntryValue::decode(id, &written).as_ref().ok(),
        Some(&value),
        "it reads back as something else"
    );
    let mut entry = value.clone();
    let _ = (entry.standing(), entry.due(), entry.is_unreported());
    for recipient in 0..entry.recipients.len() {
        let reply = Reply::new(450, (4, 2, 0), format!("{recipient}"));
        entry.set_reply(recipient, &reply);
        assert!(entry.reply(&entry.recipients[recipient]).is_some());
    }
    let states: Vec<StateByte> = states.iter().copied().map(StateByte::from_octet).collect();
    entry.adopt(&states, UnixMillis(1));
    let adopted = entry.clone();
    entry.adopt(&states, UnixMillis(2));
    assert_eq!(entry, adopted, "what the log says was not taken over at once");
    if entry.may_be_mended(&states) {
        entry.mend(&states, UnixMillis(2));
        assert!(!entry.may_be_mended(&states), "it was mended");
    }
    entry.settle_down(UnixMillis(3));
    assert_eq!(EntryValue::decode(id, &entry.encode(id)).ok(), Some(entry));
    Some(written)
}
