//! The MTA-STS policies we know: found, kept, renewed (RFC 8461 3, 5.1).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_types::{Domain, UnixMillis};

use super::fetch::PolicyFetch;
use super::policy::{StsPolicy, record_id};
use super::sts_file::{self, Known};
use crate::events;
use crate::limits::{STS_DOMAINS, STS_FETCH_PAUSE, STS_LOOK_PAUSE, STS_RENEW};
use crate::resolve::{Lookup, LookupError};

pub(super) struct StsBook {
    fetch: Arc<dyn PolicyFetch>,
    file: Option<PathBuf>,
    known: Mutex<HashMap<Domain, Arc<Known>>>,
    /// One look at a time for each domain.
    looks: Mutex<HashMap<Domain, Arc<tokio::sync::Mutex<Look>>>>,
    /// One writer of the file at a time.
    writing: tokio::sync::Mutex<()>,
}

/// When a domain was looked at, and what was wrong.
#[derive(Debug, Default)]
struct Look {
    last: Option<UnixMillis>,
    trouble: Option<String>,
    /// The id whose policy could not be fetched, and when that was tried.
    missed: Option<(String, UnixMillis)>,
}

impl StsBook {
    /// Reads what was kept.
    pub(super) fn open(fetch: Arc<dyn PolicyFetch>, file: Option<PathBuf>, now: UnixMillis) -> Self {
        let known = match file.as_ref().map(|file| sts_file::read(file, now)) {
            None => HashMap::new(),
            Some(Ok(known)) => known,
            Some(Err(error)) => {
                events::sts_file_failed(&error);
                HashMap::new()
            }
        };
        Self { fetch, file, known: Mutex::new(known), looks: Mutex::default(), writing: Default::default() }
    }

    /// The policy of a domain that is in force: a new one where the DNS announces one, otherwise the one kept. The error
    /// is the reason why there is none.
    pub(super) async fn current(
        &self,
        domain: &Domain,
        lookup: &Arc<dyn Lookup>,
        now: UnixMillis,
    ) -> Result<Arc<Known>, String> {
        let look = self.look(domain);
        let mut look = look.lock().await;
        let known = self.get(domain);
        // Several couriers, and several hops of one drain, are answered by one look.
        if look.last.is_none_or(|last| now.since(last) >= STS_LOOK_PAUSE) {
            look.last = Some(now);
            look.trouble = self.renew(domain, lookup, known.as_deref(), &mut look.missed, now).await.err();
            if let (Some(why), Some(known)) = (&look.trouble, &known) {
                // [8461-3.3-alert] Somebody may be keeping us from a new policy.
                events::sts_renewal_failed(domain, why, known.ends().since(now));
            }
        }
        // [8461-5.1] What was found once counts until it ends, whatever the DNS or the web say now.
        let fresh = |known: &Arc<Known>| known.ends() > now || now.since(known.fetched) < STS_LOOK_PAUSE;
        match self.get(domain).filter(fresh) {
            Some(known) => Ok(known),
            None => Err(look.trouble.clone().unwrap_or_else(|| "it has ended".to_owned())),
        }
    }

    /// The domains whose policies are kept.
    pub(super) fn kept(&self) -> Vec<Domain> {
        self.known().keys().cloned().collect()
    }

    pub(super) async fn forget(&self, domain: &Domain) {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).remove(domain);
        let gone = self.known().remove(domain);
        if gone.is_some() {
            self.save().await;
        }
    }

    /// Looks in the DNS, and fetches where there is something new, or where what is kept has been kept for long.
    async fn renew(
        &self,
        domain: &Domain,
        lookup: &Arc<dyn Lookup>,
        known: Option<&Known>,
        missed: &mut Option<(String, UnixMillis)>,
        now: UnixMillis,
    ) -> Result<(), String> {
        let id = announced(domain, lookup).await?;
        if known.is_some_and(|known| known.id == id && !is_old(known, now)) {
            return Ok(());
        }
        // [8461-3.3-pause] A web server that has trouble is left alone.
        if let Some((last, when)) = missed
            && *last == id
            && now.since(*when) < STS_FETCH_PAUSE
        {
            return Err(format!("policy {id} could not be fetched a moment ago"));
        }
        let fetched = self.fetch.fetch(domain, lookup).await.map_err(|error| error.to_string());
        let policy = fetched.and_then(|text| StsPolicy::parse(&text).map_err(|error| error.to_string()));
        match policy {
            Ok(policy) => {
                *missed = None;
                events::sts_policy(domain, &id, policy.mode, known.is_some_and(|known| known.id == id));
                self.put(domain, Known { id, fetched: now, policy }).await;
                Ok(())
            }
            Err(why) => {
                let why = format!("policy {id} cannot be fetched from mta-sts.{domain}: {why}");
                *missed = Some((id, now));
                Err(why)
            }
        }
    }

    fn look(&self, domain: &Domain) -> Arc<tokio::sync::Mutex<Look>> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= STS_DOMAINS && !looks.contains_key(domain) {
            // Those that nobody waits for; what they remember is a pause.
            looks.retain(|_, look| Arc::strong_count(look) > 1);
        }
        looks.entry(domain.clone()).or_default().clone()
    }

    fn get(&self, domain: &Domain) -> Option<Arc<Known>> {
        self.known().get(domain).cloned()
    }

    async fn put(&self, domain: &Domain, known: Known) {
        {
            let mut all = self.known();
            if all.len() >= STS_DOMAINS && !all.contains_key(domain) {
                let first = all.iter().min_by_key(|(_, known)| known.ends()).map(|(name, _)| name.clone());
                first.map(|name| all.remove(&name));
            }
            all.insert(domain.clone(), Arc::new(known));
        }
        self.save().await;
    }

    /// What cannot be written is in force all the same, until we end.
    async fn save(&self) {
        let Some(file) = self.file.clone() else { return };
        let _one = self.writing.lock().await;
        let policies = self.known().clone();
        let written = tokio::task::spawn_blocking(move || sts_file::write(&file, policies)).await;
        if let Ok(Err(error)) = written {
            events::sts_file_failed(&error);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Domain, Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [8461-3.1] The id of the policy that the DNS announces.
async fn announced(domain: &Domain, lookup: &Arc<dyn Lookup>) -> Result<String, String> {
    let name = Domain::parse(&format!("_mta-sts.{domain}")).map_err(|error| error.to_string())?;
    let records = match lookup.txt(&name).await {
        Ok(found) => found.records,
        Err(LookupError::NoRecords | LookupError::NoName) => return Err(format!("{name} has no TXT record")),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    record_id(&records).map_err(|error| format!("{name}: {error}"))
}

/// [8461-3.3-renew] Once a day, or at half of a shorter life.
fn is_old(known: &Known, now: UnixMillis) -> bool {
    now.since(known.fetched) >= STS_RENEW.min(known.policy.max_age / 2)
}
