//! A record's header, and how long a record is.
//!
//! ```text
//!  0  magic         16  the segment's own random value
//! 16  version        1  of the whole record; a newer one refuses to start
//! 17  kind           1
//! 18  states         2  how many state octets follow
//! 20  offset         4  where in the segment this record stands: a copy of it elsewhere is no record
//! 24  group          4  where in the segment the record's group begins: everything before that was synced
//! 28  envelope       4  octets            32  its crc32c  4
//! 36  content        4  octets in here    40  crc32c of all of it  4
//! 44  id            16
//! 60  crc32c         4  of the 60 octets before
//! 64  states, envelope, content, zeros up to the next multiple of 64
//! ```
//! Numbers are little-endian. The magic, the version and the check stand where they are in every version to come.

use restante_types::QueueId;

use crate::limits::RECORD_ALIGNMENT;

/// Octets of a header.
pub(crate) const HEADER: usize = 64;
/// The version that this program writes; it reads the earlier ones too.
pub(crate) const RECORD_VERSION: u8 = 2;
/// The first version. It has no word on who vouches for the sender, and no content in a record beside a file.
pub(crate) const FIRST_VERSION: u8 = 1;
/// Where the segment's random value stands in a header.
pub(crate) type Magic = [u8; 16];

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message with its content.
    Message,
    /// A message whose content lies in a file of its own, but for what stands in the record before it (since version
    /// 2); the header's content check is that of both together.
    LargeMessage,
    /// Room that was given back, or a torn group that was cut.
    Skip,
    /// The segment was ended in order here: everything before it was synced. Its id is the largest in the segment.
    End,
}

impl Kind {
    const fn to_octet(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::LargeMessage => 2,
            Self::Skip => 3,
            Self::End => 4,
        }
    }

    const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Message),
            2 => Some(Self::LargeMessage),
            3 => Some(Self::Skip),
            4 => Some(Self::End),
            _ => None,
        }
    }

    /// Whether it holds a message.
    pub(crate) const fn is_message(self) -> bool {
        matches!(self, Self::Message | Self::LargeMessage)
    }
}

/// A header, without magic and check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The version of the whole record.
    pub(crate) version: u8,
    /// What the record is.
    pub(crate) kind: Kind,
    /// State octets.
    pub(crate) states: u16,
    /// Where it stands.
    pub(crate) offset: u32,
    /// Where its group begins.
    pub(crate) group: u32,
    /// Octets of the envelope.
    pub(crate) envelope: u32,
    /// Their crc32c.
    pub(crate) envelope_crc: u32,
    /// Octets of content in the record.
    pub(crate) content: u32,
    /// crc32c of the content, wherever it lies.
    pub(crate) content_crc: u32,
    /// The message.
    pub(crate) id: QueueId,
}

/// Why 64 octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// They are something else, or damaged.
    Unreadable,
    /// They are one of a version that this program does not know.
    UnknownVersion(u8),
}

/// Up to the next multiple of 64.
pub(crate) const fn aligned(octets: u64) -> u64 {
    octets.next_multiple_of(RECORD_ALIGNMENT)
}

impl Header {
    /// A record that only takes up room, `octets` long in all, header included (a multiple of 64).
    pub(crate) const fn skip(offset: u32, group: u32, octets: u32) -> Self {
        Self {
            version: RECORD_VERSION,
            kind: Kind::Skip,
            states: 0,
            offset,
            group,
            envelope: 0,
            envelope_crc: 0,
            content: octets - HEADER as u32,
            content_crc: 0,
            id: QueueId::MIN,
        }
    }

    /// The orderly end of a segment.
    pub(crate) const fn end(offset: u32, newest: QueueId) -> Self {
        Self { kind: Kind::End, id: newest, ..Self::skip(offset, offset, HEADER as u32) }
    }

    /// Octets of the whole record with its padding.
    pub(crate) const fn record_len(&self) -> u64 {
        aligned(self.content_at() + self.content as u64)
    }

    /// Where the state octets stand, from the start of the record.
    pub(crate) const fn states_at(&self) -> u64 {
        HEADER as u64
    }

    /// Where the envelope stands, from the start of the record.
    pub(crate) const fn envelope_at(&self) -> u64 {
        HEADER as u64 + self.states as u64
    }

    /// Where the content stands, from the start of the record.
    pub(crate) const fn content_at(&self) -> u64 {
        self.envelope_at() + self.envelope as u64
    }

    /// The octets on the disk.
    pub(crate) fn encode(&self, magic: &Magic) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        octets[..16].copy_from_slice(magic);
        octets[16] = self.version;
        octets[17] = self.kind.to_octet();
        octets[18..20].copy_from_slice(&self.states.to_le_bytes());
        let words =
            [self.offset, self.group, self.envelope, self.envelope_crc, self.content, self.content_crc];
        for (slot, word) in octets[20..44].chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        octets[44..60].copy_from_slice(&self.id.to_bytes());
        let crc = crc32c::crc32c(&octets[..60]);
        octets[60..].copy_from_slice(&crc.to_le_bytes());
        octets
    }

    /// Reads a header that should stand at `offset` of the segment with this magic.
    pub(crate) fn decode(octets: &[u8; HEADER], magic: &Magic, offset: u32) -> Result<Self, NoHeader> {
        if octets[..16] != magic[..] || word(octets, 60) != crc32c::crc32c(&octets[..60]) {
            return Err(NoHeader::Unreadable);
        }
        let version = octets[16];
        if !(FIRST_VERSION..=RECORD_VERSION).contains(&version) {
            return Err(NoHeader::UnknownVersion(version));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&octets[44..60]);
        let header = Self {
            version,
            kind: Kind::from_octet(octets[17]).ok_or(NoHeader::Unreadable)?,
            states: u16::from_le_bytes([octets[18], octets[19]]),
            offset: word(octets, 20),
            group: word(octets, 24),
            envelope: word(octets, 28),
            envelope_crc: word(octets, 32),
            content: word(octets, 36),
            content_crc: word(octets, 40),
            id: QueueId::from_bytes(id),
        };
        if header.offset == offset { Ok(header) } else { Err(NoHeader::Unreadable) }
    }
}

fn word(octets: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = Header> {
        let kind = prop::sample::select(vec![Kind::Message, Kind::LargeMessage, Kind::Skip, Kind::End]);
        let version = FIRST_VERSION..=RECORD_VERSION;
        (version, kind, any::<(u16, u32, u32, u32, u32, u32, u32)>(), any::<[u8; 16]>()).prop_map(
            |(version, kind, numbers, id)| {
                let (states, offset, group, envelope, envelope_crc, content, content_crc) = numbers;
                Header {
                    version,
                    kind,
                    states,
                    offset,
                    group,
                    envelope,
                    envelope_crc,
                    content,
                    content_crc,
                    id: QueueId::from_bytes(id),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_header_reads_back(header in headers(), magic: Magic) {
            let octets = header.encode(&magic);
            prop_assert_eq!(Header::decode(&octets, &magic, header.offset), Ok(header));
        }

        #[test]
        fn a_flipped_bit_is_no_header(header in headers(), magic: Magic, bit in 0..HEADER * 8) {
            let mut octets = header.encode(&magic);
            octets[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&octets, &magic, header.offset), Err(NoHeader::Unreadable));
        }

        #[test]
        fn a_copy_elsewhere_or_of_another_segment_is_no_header(header in headers(), magic: Magic, other: Magic) {
            prop_assume!(magic != other);
            let octets = header.encode(&magic);
            prop_assert!(Header::decode(&octets, &magic, header.offset ^ 64).is_err());
            prop_assert!(Header::decode(&octets, &other, header.offset).is_err());
        }
    }

    #[test]
    fn another_version_is_told_apart_from_damage() {
        let magic = [7; 16];
        for version in [0, RECORD_VERSION + 1, 255] {
            let octets = Header { version, ..Header::skip(64, 64, 128) }.encode(&magic);
            assert_eq!(Header::decode(&octets, &magic, 64), Err(NoHeader::UnknownVersion(version)));
        }
    }

    #[test]
    fn the_layout_is_what_is_on_disks_out_there() {
        let header = Header {
            version: 1,
            kind: Kind::Message,
            states: 0x0102,
            offset: 64,
            group: 64,
            envelope: 3,
            envelope_crc: 4,
            content: 5,
            content_crc: 6,
            id: QueueId::from_bytes([9; 16]),
        };
        let octets = header.encode(&[0xaa; 16]);
        assert_eq!(&octets[..20], [[0xaa; 16].as_slice(), &[1, 1, 2, 1]].concat());
        let now = Header { version: RECORD_VERSION, ..header }.encode(&[0xaa; 16]);
        assert_eq!((now[16], &now[17..60]), (2, &octets[17..60]));
        assert_eq!(
            &octets[20..44],
            [64, 0, 0, 0, 64, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0]
        );
        assert_eq!(header.record_len(), 384);
        assert_eq!(Header::skip(0, 0, 64).record_len(), 64);
    }
}
