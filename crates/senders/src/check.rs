//! One message's way to its findings.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use restante_types::{Domain, Mailbox, Vouched};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::dkim::{BodyHash, DkimFinding, DkimResult, Fields, Header, Key, Signature, fields, is_aligned};
use crate::findings::Findings;
use crate::limits::{SIGNATURES, SIGNATURES_READ, WAIT_AT_END};
use crate::senders::Senders;
use crate::spf::{SpfFinding, SpfIdentity, SpfResult};

/// Finds out about one message while it comes in.
///
/// A message is vouched for by SPF if it passes for the domain of MAIL FROM, else by DKIM if a signature passes whose
/// domain is that domain or a parent of it, and that has not vouched for another sender before. A signature of a child of the domain does not count: without a list of public
/// suffixes nobody knows whether the child is not somebody else's.
pub struct Check {
    senders: Arc<Senders>,
    /// MAIL FROM, where it has a domain.
    sender: Option<Mailbox>,
    vouched: bool,
    results: bool,
    spf: Spf,
    dkim: Dkim,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// Where SPF stands.
pub(crate) enum Spf {
    /// There is nothing to ask.
    Unasked,
    Known(SpfFinding),
    Coming(SpfIdentity, oneshot::Receiver<SpfResult>),
}

/// Where DKIM stands.
enum Dkim {
    /// Nobody needs it, or nothing is left to do.
    Idle,
    /// The header section is coming.
    Header(Header),
    /// The body is coming.
    Body(Box<Body>),
}

struct Body {
    header: Header,
    signed: Vec<Signed>,
    hashes: Vec<BodyHash>,
    /// Signatures that are no good whatever the body is.
    no_good: Vec<DkimFinding>,
}

struct Signed {
    signature: Signature,
    /// `None`: there was no room to ask.
    key: Option<oneshot::Receiver<Result<Key, DkimResult>>>,
}

impl Check {
    pub(crate) fn new(
        senders: Arc<Senders>,
        sender: Option<Mailbox>,
        vouched: bool,
        results: bool,
        spf: Spf,
    ) -> Self {
        let passed = matches!(&spf, Spf::Known(finding) if finding.result == SpfResult::Pass);
        // Without a sender's domain nothing can be aligned.
        let wanted = results || vouched && !passed && sender.is_some();
        let dkim = if wanted { Dkim::Header(Header::new(senders.headers.share())) } else { Dkim::Idle };
        Self { senders, sender, vouched, results, spf, dkim }
    }

    /// Takes the next octets of the content, canonical, as it was received.
    pub fn content(&mut self, octets: &[u8]) {
        match &mut self.dkim {
            Dkim::Idle => {}
            Dkim::Header(header) => {
                if let Some(of_header) = header.pass(octets) {
                    self.header_ends();
                    self.content(&octets[of_header..]);
                }
            }
            Dkim::Body(body) => body.hashes.iter_mut().for_each(|hash| hash.pass(octets)),
        }
    }

    fn sender_domain(&self) -> Option<&Domain> {
        self.sender.as_ref().and_then(Mailbox::domain)
    }

    /// Chooses the signatures and begins to ask for their keys.
    fn header_ends(&mut self) {
        let Dkim::Header(header) = std::mem::replace(&mut self.dkim, Dkim::Idle) else { return };
        let (mut found, mut no_good) = (Vec::new(), Vec::new());
        let now = SystemTime::now().into();
        let all = fields(header.octets().unwrap_or_default());
        let is_signature = |name: &[u8]| name.trim_ascii_end().eq_ignore_ascii_case(b"dkim-signature");
        let signatures = all.iter().enumerate().filter(|(_, (name, _))| is_signature(name));
        for (at, (_, value)) in signatures.take(SIGNATURES_READ) {
            match Signature::read(at, value, now) {
                Ok(signature) => found.push(signature),
                Err(finding) => no_good.push(finding),
            }
        }
        let aligned = |signature: &Signature| {
            self.sender_domain().is_some_and(|sender| is_aligned(&signature.domain, sender))
        };
        if !self.results {
            found.retain(aligned);
            no_good.clear();
        }
        // [6376-6.1] Those that may vouch for the sender come first, the others in their order.
        found.sort_by_key(|signature| !aligned(signature));
        found.truncate(SIGNATURES);
        no_good.truncate(SIGNATURES - found.len());
        if found.is_empty() && no_good.is_empty() {
            return;
        }
        let mut hashes: Vec<BodyHash> = Vec::new();
        for signature in &found {
            if !hashes.iter().any(|hash| hash.form() == signature.body()) {
                hashes.push(BodyHash::new(signature.body()));
            }
        }
        let signed = found.into_iter().map(|signature| {
            let key = self.senders.key(&signature);
            Signed { signature, key }
        });
        let signed = signed.collect();
        self.dkim = Dkim::Body(Box::new(Body { header, signed, hashes, no_good }));
    }

    /// What was found. Waits for the DNS a few seconds at most; what is not known then counts as an error in passing.
    pub async fn finish(mut self: Box<Self>) -> Findings {
        let deadline = Instant::now() + WAIT_AT_END;
        if matches!(self.dkim, Dkim::Header(_)) {
            // The content ended within its header section.
            self.header_ends();
        }
        let Self { senders, sender, vouched, results, spf, dkim } = *self;
        let spf = match spf {
            Spf::Unasked => None,
            Spf::Known(finding) => Some(finding),
            Spf::Coming(identity, coming) => {
                let result = match timeout_at(deadline, coming).await {
                    Ok(Ok(result)) => result,
                    _ => SpfResult::TempError,
                };
                Some(SpfFinding { result, identity })
            }
        };
        let passed = spf.as_ref().is_some_and(|finding| finding.result == SpfResult::Pass);
        let (prints, dkim) = match dkim {
            // Who only wants to know whether anybody vouches knows enough.
            Dkim::Body(body) if results || !passed => {
                (body.prints(&senders), body.verify(&senders, deadline).await)
            }
            _ => Default::default(),
        };
        let vouched = match &sender {
            _ if !vouched => Vouched::Unchecked,
            Some(_) if passed => Vouched::Spf,
            Some(sender) if signs(&senders, sender, &dkim, &prints) => Vouched::Dkim,
            _ => Vouched::No,
        };
        Findings { vouched, spf, dkim, wanted: results }
    }
}

/// Whether one of these signatures vouches for the sender.
fn signs(senders: &Senders, sender: &Mailbox, found: &[DkimFinding], prints: &[u64]) -> bool {
    let speaks = |finding: &DkimFinding| {
        let domains = finding.domain.as_ref().zip(sender.domain());
        finding.result == DkimResult::Pass
            && domains.is_some_and(|(signer, sender)| is_aligned(signer, sender))
    };
    // Those without a print are no good anyway.
    found.iter().zip(prints).any(|(finding, print)| speaks(finding) && senders.is_for(*print, sender))
}

impl Body {
    /// Of the signatures whose findings come first, in their order.
    fn prints(&self, senders: &Senders) -> Vec<u64> {
        self.signed.iter().map(|signed| senders.print(&signed.signature)).collect()
    }

    async fn verify(self, senders: &Senders, deadline: Instant) -> Vec<DkimFinding> {
        let hashes: Vec<_> = self.hashes.into_iter().map(|hash| (hash.form(), hash.finish())).collect();
        let mut work = Vec::new();
        for Signed { signature, key } in self.signed {
            let of_body = hashes.iter().find(|(form, _)| *form == signature.body());
            // [6376-6.1.3] Another body needs no key.
            let covers = of_body.is_some_and(|(_, hash)| signature.covers(*hash));
            let key = match key {
                _ if !covers => Err(DkimResult::Fail),
                None => Err(DkimResult::TempError),
                Some(coming) => match timeout_at(deadline, coming).await {
                    Ok(Ok(key)) => key,
                    _ => Err(DkimResult::TempError),
                },
            };
            work.push((signature, key));
        }
        let mut findings = if work.iter().any(|(_, key)| key.is_ok()) {
            verify_apart(senders, deadline, self.header, work).await
        } else {
            let told = |(signature, key): (Signature, Result<Key, DkimResult>)| {
                signature.finding(key.err().unwrap_or(DkimResult::TempError))
            };
            work.into_iter().map(told).collect()
        };
        findings.extend(self.no_good);
        findings
    }
}

/// The arithmetic, on a thread that may take its time, a few messages at once.
async fn verify_apart(
    senders: &Senders,
    deadline: Instant,
    header: Header,
    work: Vec<(Signature, Result<Key, DkimResult>)>,
) -> Vec<DkimFinding> {
    let late: Vec<_> = work
        .iter()
        .map(|(signature, key)| {
            signature.finding(key.as_ref().err().copied().unwrap_or(DkimResult::TempError))
        })
        .collect();
    let Ok(Ok(place)) = timeout_at(deadline, senders.verifiers.clone().acquire_owned()).await else {
        return late;
    };
    let done = tokio::task::spawn_blocking(move || {
        let all = Fields::new(fields(header.octets().unwrap_or_default()));
        let verified = work.iter().map(|(signature, key)| {
            let result = key.as_ref().map_or_else(|result| *result, |key| signature.verify(&all, key));
            signature.finding(result)
        });
        let verified: Vec<_> = verified.collect();
        drop(place);
        verified
    });
    done.await.unwrap_or(late)
}

#[cfg(test)]
mod tests;
