//! What is found out about a message's sender, for those of its domains that want to know.

use std::sync::Arc;

use bytes::Bytes;
use restante_queue::SealedContent;
use restante_senders::{Check, Findings, Question, Senders};
use restante_types::{ClientFacts, Domain, Envelope};

use crate::settings::ServerSettings;

/// Begins to find out while the content is still to come.
pub(crate) fn begin(
    senders: Option<&Arc<Senders>>,
    settings: &ServerSettings,
    client: &ClientFacts,
    envelope: &Envelope,
) -> Option<Box<Check>> {
    let senders = senders?;
    let (mut vouched, mut results) = (false, false);
    let mut before = None;
    for domain in envelope.recipients.iter().filter_map(|recipient| recipient.mailbox.domain()) {
        if before == Some(domain) {
            continue;
        }
        before = Some(domain);
        if let Some((_, held)) = settings.domains.find(domain) {
            vouched |= held.vouched;
            results |= held.authentication_results;
        }
    }
    senders.begin(Question { client, sender: &envelope.sender, vouched, results })
}

/// Comes to an end with it, in a few seconds at most.
pub(crate) async fn finish(check: Option<Box<Check>>) -> Findings {
    match check {
        Some(check) => check.finish().await,
        None => Findings::default(),
    }
}

/// [8601-4.1] Tells what was found on top of everything, our Received line included.
pub(crate) fn tell(
    content: SealedContent,
    findings: &Findings,
    hostname: &Domain,
    client: &ClientFacts,
) -> SealedContent {
    if !findings.wanted {
        return content;
    }
    content.with_head(Bytes::from(findings.field(hostname, client.identity.as_deref())))
}
