//! The part of a record that postcard writes: envelope, client, arrival, destinations.
//!
//! Its layout follows the fields below and those of `restante_types`; whoever changes one of them makes a new record
//! version. A test holds the octets of each.

use restante_types::{ClientFacts, Domain, Envelope, UnixMillis, Vouched};
use serde::{Deserialize, Serialize};

use super::record::{FIRST_VERSION, Header};
use super::{StateByte, StoredMessage};
use crate::entry::Destination;

/// Where the content lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WireContent {
    /// Behind the envelope.
    Inline,
    /// In a file of its own, behind what stands in the record.
    File {
        /// Octets of the file.
        size: u64,
        /// Tells files for one message apart, when a message was stored twice.
        nonce: u64,
    },
}

#[derive(Serialize)]
struct WireRef<'a> {
    envelope: &'a Envelope,
    client: &'a ClientFacts,
    arrived: UnixMillis,
    content: WireContent,
    destinations: Vec<(&'a Domain, &'a [u16], Option<UnixMillis>)>,
    vouched: Vouched,
}

/// What every version begins with.
#[derive(Deserialize)]
struct Wire {
    envelope: Envelope,
    client: ClientFacts,
    arrived: UnixMillis,
    content: WireContent,
    destinations: Vec<(Domain, Vec<u16>, Option<UnixMillis>)>,
}

/// Writes the envelope part of a record.
pub(crate) fn encode(
    envelope: &Envelope,
    client: &ClientFacts,
    arrived: UnixMillis,
    content: WireContent,
    destinations: &[Destination],
    vouched: Vouched,
) -> Result<Vec<u8>, postcard::Error> {
    let destinations =
        destinations.iter().map(|one| (&one.domain, one.recipients.as_slice(), one.first_attempt)).collect();
    let mut octets = Vec::with_capacity(512);
    postcard::to_io(&WireRef { envelope, client, arrived, content, destinations, vouched }, &mut octets)?;
    Ok(octets)
}

/// Reads what [`encode`] wrote; the states come from the record.
pub(crate) fn decode(
    header: &Header,
    octets: &[u8],
    states: Vec<StateByte>,
) -> Result<(StoredMessage, WireContent), String> {
    let bad = |error: postcard::Error| format!("envelope: {error}");
    let (wire, behind): (Wire, _) = postcard::take_from_bytes(octets).map_err(bad)?;
    let vouched = match header.version {
        FIRST_VERSION => Vouched::Unchecked,
        _ => postcard::from_bytes(behind).map_err(bad)?,
    };
    if wire.envelope.recipients.len() != states.len() {
        return Err("envelope: recipients and states differ in number".into());
    }
    let size = match wire.content {
        WireContent::Inline => u64::from(header.content),
        WireContent::File { size, .. } => size.saturating_add(u64::from(header.content)),
    };
    let destinations = wire
        .destinations
        .into_iter()
        .map(|(domain, recipients, first_attempt)| Destination {
            domain,
            recipients,
            first_attempt,
            dead: false,
        })
        .collect();
    let message = StoredMessage {
        id: header.id,
        envelope: wire.envelope,
        client: wire.client,
        arrived: wire.arrived,
        size,
        states,
        destinations,
        vouched,
    };
    Ok((message, wire.content))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;
    use restante_types::{Body, Mailbox, Notify, QueueId, Recipient, Ret, ReversePath, TlsFacts, Xtext};

    use super::*;
    use crate::log::record::Kind;

    fn header(states: usize, content: u32) -> Header {
        let id = QueueId::from_bytes([7; 16]);
        let states = u16::try_from(states).unwrap();
        Header { kind: Kind::Message, states, content, id, ..Header::skip(64, 64, 64) }
    }

    fn mailbox() -> impl Strategy<Value = Mailbox> {
        "[a-zA-Z0-9.+]{1,20}"
            .prop_map(|local| format!("{}@example.org", local.trim_matches('.')))
            .prop_filter_map("an address", |text| text.parse().ok())
    }

    fn recipient() -> impl Strategy<Value = Recipient> {
        let notify =
            prop::option::of(any::<(bool, bool, bool)>().prop_map(|(success, failure, delay)| Notify {
                success,
                failure,
                delay,
            }));
        let original = prop::option::of("[a-z;@.]{1,40}".prop_map(|text| Xtext::new(&text, 500).unwrap()));
        (mailbox(), notify, original).prop_map(|(mailbox, notify, original)| Recipient {
            mailbox,
            notify,
            original,
        })
    }

    fn envelope() -> impl Strategy<Value = Envelope> {
        let sender = prop_oneof![Just(ReversePath::Null), mailbox().prop_map(ReversePath::Mailbox)];
        let ret = prop::option::of(prop::sample::select(vec![Ret::Full, Ret::Headers]));
        (sender, prop::collection::vec(recipient(), 1..30), any::<(bool, bool)>(), ret).prop_map(
            |(sender, recipients, (eight, smtputf8), ret)| Envelope {
                sender,
                recipients,
                body: if eight { Body::EightBitMime } else { Body::SevenBit },
                smtputf8,
                ret,
                envid: None,
            },
        )
    }

    const VOUCHED: [Vouched; 4] = [Vouched::Unchecked, Vouched::No, Vouched::Spf, Vouched::Dkim];

    fn client() -> impl Strategy<Value = ClientFacts> {
        let tls = prop::option::of(any::<Option<[u8; 32]>>().prop_map(|peer_fingerprint| TlsFacts {
            version: "TLS1.3".into(),
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            peer_fingerprint,
        }));
        (any::<IpAddr>(), "\\PC{0,255}", prop::option::of("[a-z]{1,9}"), tls)
            .prop_map(|(address, helo, identity, tls)| ClientFacts { address, helo, identity, tls })
    }

    proptest! {
        #[test]
        fn an_envelope_reads_back(
            envelope in envelope(),
            client in client(),
            arrived: u64,
            large: Option<(u64, u64)>,
            first_attempt: Option<u64>,
            vouched in prop::sample::select(VOUCHED.to_vec()),
            inline: u32,
        ) {
            let content = large.map_or(WireContent::Inline, |(size, nonce)| WireContent::File { size, nonce });
            let recipients: Vec<_> = (0..u16::try_from(envelope.recipients.len()).unwrap()).collect();
            let (one, two) = recipients.split_at(recipients.len() / 2);
            let destination = |name: &str, recipients: &[u16]| Destination {
                domain: name.parse().unwrap(),
                recipients: recipients.to_vec(),
                first_attempt: first_attempt.map(UnixMillis), dead: false,
            };
            let destinations = vec![destination("example.org", one), destination("xn--mnchen-3ya.example", two)];
            let arrived = UnixMillis(arrived);
            let octets = encode(&envelope, &client, arrived, content, &destinations, vouched).unwrap();
            let states = vec![StateByte::QUEUED; recipients.len()];
            let (read, read_content) = decode(&header(states.len(), inline), &octets, states.clone()).unwrap();
            let size = large.map_or(0, |(size, _)| size).saturating_add(u64::from(inline));
            let id = QueueId::from_bytes([7; 16]);
            let expected = StoredMessage { id, envelope, client, arrived, size, states, destinations, vouched };
            prop_assert_eq!((read, read_content), (expected, content));
        }

        #[test]
        fn octets_that_are_no_envelope_are_refused_or_read_without_a_panic(octets: Vec<u8>) {
            let _ = decode(&header(1, 0), &octets, vec![StateByte::QUEUED]);
        }
    }

    /// Octets as they are on disks out there: whoever makes this fail needs a new record version. Version 2 is version
    /// 1 with one octet more.
    #[test]
    fn versions_1_and_2_stay_as_they_are() {
        let envelope = Envelope {
            sender: ReversePath::Mailbox("a@example.net".parse().unwrap()),
            recipients: vec![Recipient {
                mailbox: "b@example.org".parse().unwrap(),
                notify: Some(Notify { success: true, failure: false, delay: true }),
                original: Some(Xtext::new("rfc822;c@example.org", 500).unwrap()),
            }],
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: Some(Xtext::new("QQ314159", 100).unwrap()),
        };
        let client = ClientFacts {
            address: "192.0.2.1".parse().unwrap(),
            helo: "h.example".into(),
            identity: Some("acct".into()),
            tls: Some(TlsFacts {
                version: "TLS1.3".into(),
                cipher: "C".into(),
                peer_fingerprint: Some([0xee; 32]),
            }),
        };
        let destination = Destination {
            domain: "example.org".parse().unwrap(),
            recipients: vec![0],
            first_attempt: Some(UnixMillis(300)),
            dead: false,
        };
        let content = WireContent::File { size: 300_000, nonce: 1 << 40 };
        let octets =
            encode(&envelope, &client, UnixMillis(1_700_000_000_000), content, &[destination], Vouched::Dkim)
                .unwrap();
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, format!("{GOLDEN}03"));
        let first = octets.strip_suffix(&[3]).unwrap();
        let header = Header { kind: Kind::LargeMessage, ..header(1, 0) };
        let read =
            |version, octets: &[u8]| decode(&Header { version, ..header }, octets, vec![StateByte::QUEUED]);
        let (now, place) = read(2, &octets).unwrap();
        assert_eq!((now.vouched, now.size, place), (Vouched::Dkim, 300_000, content));
        let (before, _) = read(1, first).unwrap();
        assert_eq!(before, StoredMessage { vouched: Vouched::Unchecked, ..now });
        assert!(read(2, first).is_err());
    }

    const GOLDEN: &str = concat!(
        "010d61406578616d706c652e6e6574010d62406578616d706c652e6f72670101000101147266633832323b6340",
        "6578616d706c652e6f7267010101010108515133313431353900c000020109682e6578616d706c650104616363",
        "740106544c53312e33014301eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee80",
        "d095ffbc3101e0a712808080808020010b6578616d706c652e6f7267010001ac02",
    );
}
