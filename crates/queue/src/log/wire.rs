//! The part of a record that postcard writes: envelope, client, arrival, destinations.
//!
//! Its layout follows the fields below and those of `restante_types`; whoever changes one of them makes a new record
//! version. A test holds the octets of version 1.

use restante_types::{ClientFacts, Domain, Envelope, UnixMillis};
use serde::{Deserialize, Serialize};

use super::record::Header;
use super::{StateByte, StoredMessage};
use crate::entry::Destination;

/// Where the content lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WireContent {
    /// Behind the envelope.
    Inline,
    /// In a file of its own.
    File {
        /// Octets.
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
}

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
) -> Result<Vec<u8>, postcard::Error> {
    let destinations =
        destinations.iter().map(|one| (&one.domain, one.recipients.as_slice(), one.first_attempt)).collect();
    let mut octets = Vec::with_capacity(512);
    postcard::to_io(&WireRef { envelope, client, arrived, content, destinations }, &mut octets)?;
    Ok(octets)
}

/// Reads what [`encode`] wrote; the states come from the record.
pub(crate) fn decode(
    header: &Header,
    octets: &[u8],
    states: Vec<StateByte>,
) -> Result<(StoredMessage, WireContent), String> {
    let wire: Wire = postcard::from_bytes(octets).map_err(|error| format!("envelope: {error}"))?;
    if wire.envelope.recipients.len() != states.len() {
        return Err("envelope: recipients and states differ in number".into());
    }
    let size = match wire.content {
        WireContent::Inline => u64::from(header.content),
        WireContent::File { size, .. } => size,
    };
    let destinations = wire
        .destinations
        .into_iter()
        .map(|(domain, recipients, first_attempt)| Destination { domain, recipients, first_attempt })
        .collect();
    let message = StoredMessage {
        id: header.id,
        envelope: wire.envelope,
        client: wire.client,
        arrived: wire.arrived,
        size,
        states,
        destinations,
    };
    Ok((message, wire.content))
}
