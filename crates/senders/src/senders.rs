//! What all sessions share.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use restante_types::{ClientFacts, Domain, Mailbox, ReversePath};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::cache::Cache;
use crate::check::{Check, Spf};
use crate::circuit::Circuit;
use crate::dkim::{Budget, DkimResult, Key, Signature};
use crate::limits::{
    AT_WORK, HEADERS_KEPT, SIGNATURE_KEPT, SIGNATURES_KEPT, SPF_KEPT, SPF_RESULTS_KEPT, SPF_TIME,
    SPF_TROUBLE_KEPT, VERIFIERS,
};
use crate::lookup::{Dns, Lookup, LookupError, Resolver};
use crate::spf::{Asked, SpfFinding, SpfIdentity, SpfResult, evaluate};

/// Finds out who vouches for senders.
pub struct Senders {
    dns: Arc<Circuit>,
    resolver: Option<Arc<Resolver>>,
    results: Arc<Cache<(IpAddr, Domain), SpfResult>>,
    /// Whom each signature vouched for; both as hashes.
    spent: Cache<u64, u64>,
    hashed: RandomState,
    /// Evaluations and questions for keys.
    at_work: Arc<Semaphore>,
    pub(crate) verifiers: Arc<Semaphore>,
    pub(crate) headers: Budget,
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Senders")
    }
}

/// What is to be found out about a message.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who hands it in.
    pub client: &'a ClientFacts,
    /// Its MAIL FROM.
    pub sender: &'a ReversePath,
    /// Somebody will want to know whether its sender is vouched for.
    pub vouched: bool,
    /// Somebody will want to be told the results.
    pub results: bool,
}

impl Senders {
    /// Asks these servers. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(dns: &Dns) -> Self {
        let resolver = Arc::new(Resolver::new(dns));
        Self { resolver: Some(resolver.clone()), ..Self::with_lookup(resolver) }
    }

    /// Asks somebody else.
    #[must_use]
    pub fn with_lookup(lookup: Arc<dyn Lookup>) -> Self {
        Self {
            dns: Arc::new(Circuit::new(lookup)),
            resolver: None,
            results: Arc::new(Cache::new(SPF_RESULTS_KEPT)),
            spent: Cache::new(SIGNATURES_KEPT),
            hashed: RandomState::new(),
            at_work: Arc::new(Semaphore::new(AT_WORK)),
            verifiers: Arc::new(Semaphore::new(VERIFIERS)),
            headers: Budget::new(HEADERS_KEPT),
        }
    }

    /// Asks other servers from now on, and forgets what was found before.
    pub fn reload(&self, dns: &Dns) {
        if let Some(resolver) = &self.resolver {
            resolver.reload(dns);
        }
        self.results.clear();
    }

    /// Begins to find out; `None` where there is nothing to. Never waits.
    #[must_use]
    pub fn begin(self: &Arc<Self>, question: Question<'_>) -> Option<Box<Check>> {
        let sender = match question.sender {
            ReversePath::Mailbox(mailbox) => mailbox.domain().map(|_| mailbox),
            ReversePath::Null => None,
        };
        // Nobody is ever told anything about what comes from `<>`.
        let vouched = question.vouched && *question.sender != ReversePath::Null;
        if !vouched && !question.results {
            return None;
        }
        let spf = self.begin_spf(&question, sender.and_then(Mailbox::domain));
        Some(Box::new(Check::new(self.clone(), sender.cloned(), vouched, question.results, spf)))
    }

    /// A client that proved who it is sends from wherever it is: its address says nothing (as with any submission), so
    /// that its SPF is not asked.
    fn begin_spf(&self, question: &Question<'_>, sender: Option<&Domain>) -> Spf {
        let client = question.client;
        if client.identity.is_some() {
            return Spf::Unasked;
        }
        let (identity, local) = match (question.sender, sender) {
            (ReversePath::Mailbox(mailbox), Some(domain)) => {
                (SpfIdentity::MailFrom(domain.clone()), mailbox.local.as_str())
            }
            // [7208-2.4] Where there is no sender, the client's own name stands for it.
            (ReversePath::Null, _) => match client.helo.parse::<Domain>() {
                Ok(helo) if helo.is_fully_qualified() => (SpfIdentity::Helo(helo), "postmaster"),
                _ => return Spf::Unasked,
            },
            // An address literal has no record.
            (ReversePath::Mailbox(_), None) => return Spf::Unasked,
        };
        let key = (client.address, identity.domain().clone());
        let known = |result| SpfFinding { result, identity: identity.clone() };
        if let Some(result) = self.results.get(&key, Instant::now()) {
            return Spf::Known(known(result));
        }
        let asked = Asked {
            address: client.address,
            helo: client.helo.clone(),
            local: local.to_owned(),
            domain: key.1.clone(),
        };
        match self.evaluate(asked) {
            Some(coming) => Spf::Coming(identity, coming),
            None => Spf::Known(known(SpfResult::TempError)),
        }
    }

    /// [7208-4.6.4-time] Evaluates apart from the session: its result is kept for the next message even where this one
    /// does not wait for it.
    fn evaluate(&self, asked: Asked) -> Option<oneshot::Receiver<SpfResult>> {
        let place = self.at_work.clone().try_acquire_owned().ok()?;
        let (dns, results, (tell, coming)) = (self.dns.clone(), self.results.clone(), oneshot::channel());
        tokio::spawn(async move {
            let evaluated = timeout(SPF_TIME, evaluate(&dns, &asked)).await;
            let (result, general) = match evaluated {
                Ok(evaluated) => (evaluated.result, evaluated.general),
                Err(_) => (SpfResult::TempError, true),
            };
            if general {
                let trouble = result == SpfResult::TempError;
                let kept = if trouble { SPF_TROUBLE_KEPT } else { SPF_KEPT };
                results.put((asked.address, asked.domain), result, Instant::now() + kept);
            }
            drop(place);
            // Nobody waits any more where the session is gone.
            let _gone = tell.send(result);
        });
        Some(coming)
    }

    /// What a signature is remembered by.
    pub(crate) fn print(&self, signature: &Signature) -> u64 {
        self.hashed.hash_one(signature.octets())
    }

    /// Whether a good signature vouches for this sender: only for the first one that it came with. A signature does not
    /// cover MAIL FROM, so that one message which a large provider signed for anybody could be handed in again and again,
    /// each time as another of its users, who would all get a notice.
    pub(crate) fn is_for(&self, print: u64, sender: &Mailbox) -> bool {
        let (sender, now) = (self.hashed.hash_one(sender), Instant::now());
        self.spent.claim(print, sender, now, now + SIGNATURE_KEPT) == sender
    }

    /// Asks for a signature's key.
    pub(crate) fn key(&self, signature: &Signature) -> Option<oneshot::Receiver<Result<Key, DkimResult>>> {
        let place = self.at_work.clone().try_acquire_owned().ok()?;
        let (dns, (tell, coming)) = (self.dns.clone(), oneshot::channel());
        let (name, algorithm) = (signature.key_name(), signature.algorithm());
        tokio::spawn(async move {
            let key = match dns.ask(&name, |dns| dns.txt(&name)).await {
                Ok(records) => Key::read(&records, algorithm),
                // [6376-6.1.2] A key that is not there is no key; one that could not be asked for may be there later.
                Err(LookupError::Nothing) => Err(DkimResult::PermError),
                Err(_) => Err(DkimResult::TempError),
            };
            drop(place);
            let _gone = tell.send(key);
        });
        Some(coming)
    }
}
