//! The primaries' addresses, for who may send ETRN. Looked up in the background; asking never waits.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_queue::QueueStore;
use restante_types::{Domain, NOTICES};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::events;
use crate::limits::{
    BOOK_LOOKUPS, BOOK_PAUSE, BOOK_REFRESH_MAX, BOOK_REFRESH_MIN, BOOK_SUBDOMAINS, BOOK_WANTED,
};
use crate::resolve::Lookup;
use crate::route::{self, NoRoute};
use crate::settings::{DeliverySettings, NextHop};

/// The last known addresses of every primary; only of MXs better than ourselves.
pub struct PrimaryBook {
    settings: Arc<ArcSwap<DeliverySettings>>,
    store: Arc<dyn QueueStore>,
    pages: RwLock<HashMap<Key, Page>>,
    wanted: mpsc::Sender<Domain>,
    reloaded: Notify,
}

/// What is looked up: several domains may have one pinned host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Mx(Domain),
    /// With the DNS servers that are asked for it, where the domain has its own.
    Host(Domain, Vec<SocketAddr>),
}

struct Page {
    /// `None` until the first answer.
    addresses: Option<Arc<[IpAddr]>>,
    next: Instant,
}

impl PrimaryBook {
    pub(crate) fn new(
        settings: Arc<ArcSwap<DeliverySettings>>,
        store: Arc<dyn QueueStore>,
    ) -> (Arc<Self>, mpsc::Receiver<Domain>) {
        let (wanted, receiver) = mpsc::channel(BOOK_WANTED);
        let pages = RwLock::default();
        (Arc::new(Self { settings, store, pages, wanted, reloaded: Notify::new() }), receiver)
    }

    /// [1985-primary] The addresses of a domain's primary as last known; `None` while nothing is known yet. Never waits.
    #[must_use]
    pub fn addresses(&self, domain: &Domain) -> Option<Arc<[IpAddr]>> {
        let settings = self.settings.load();
        let (configured, delivery) = settings.domains.find(domain)?;
        let key = match &delivery.primary {
            NextHop::Literal(address) => return Some(Arc::new([address.ip()])),
            NextHop::Host { name, .. } => Key::Host(name.clone(), delivery.resolvers.clone()),
            NextHop::Mx => Key::Mx(domain.clone()),
        };
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        match pages.get(&key) {
            Some(page) => page.addresses.clone(),
            None => {
                // Only names with mail of their own: a stranger's asking must not make us ask the DNS.
                if configured != domain && self.store.stats(domain).messages > 0 {
                    let _ = self.wanted.try_send(domain.clone());
                }
                None
            }
        }
    }

    /// The configuration changed: all is looked up again, by other servers perhaps. Until then the last known addresses
    /// stay.
    pub fn reloaded(&self) {
        let now = Instant::now();
        self.pages
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .values_mut()
            .for_each(|page| page.next = page.next.min(now));
        self.reloaded.notify_one();
    }

    /// Looks up what is due, for ever.
    pub(crate) async fn keep(self: Arc<Self>, lookup: Arc<dyn Lookup>, mut wanted: mpsc::Receiver<Domain>) {
        loop {
            self.adjust();
            self.look_up_due(&lookup).await;
            sleep(BOOK_PAUSE).await;
            tokio::select! {
                () = sleep_until(self.next_due()) => {}
                () = self.reloaded.notified() => {}
                Some(domain) = wanted.recv() => self.enter(domain),
            }
        }
    }

    fn enter(&self, domain: Domain) {
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        if pages.len() < self.settings.load().domains.len() + BOOK_SUBDOMAINS {
            pages.entry(Key::Mx(domain)).or_insert_with(Page::blank);
        }
    }

    /// Every configured primary has a page, and nothing else but subdomains of configured domains.
    fn adjust(&self) {
        let settings = self.settings.load();
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        let mut hosts = std::collections::HashSet::new();
        // Notices go to many places, and no place asks for them.
        let held = settings.domains.iter().filter(|(domain, _)| domain.as_str() != NOTICES);
        for (domain, delivery) in held {
            match &delivery.primary {
                NextHop::Mx => drop(pages.entry(Key::Mx(domain.clone())).or_insert_with(Page::blank)),
                NextHop::Host { name, .. } => {
                    let key = Key::Host(name.clone(), delivery.resolvers.clone());
                    pages.entry(key.clone()).or_insert_with(Page::blank);
                    hosts.insert(key);
                }
                NextHop::Literal(_) => {}
            }
        }
        pages.retain(|key, _| match key {
            Key::Host(..) => hosts.contains(key),
            Key::Mx(name) => {
                settings.domains.find(name).is_some_and(|(_, delivery)| delivery.primary == NextHop::Mx)
            }
        });
    }

    fn next_due(&self) -> Instant {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        let latest = Instant::now() + BOOK_REFRESH_MAX;
        pages.values().map(|page| page.next).min().unwrap_or(latest).min(latest)
    }

    async fn look_up_due(&self, lookup: &Arc<dyn Lookup>) {
        let now = Instant::now();
        let due: Vec<Key> = {
            let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
            pages.iter().filter(|(_, page)| page.next <= now).map(|(key, _)| key.clone()).collect()
        };
        let mut asked = JoinSet::new();
        for key in due {
            if asked.len() >= BOOK_LOOKUPS {
                self.write(asked.join_next().await);
            }
            let (lookup, settings) = (lookup.clone(), self.settings.load_full());
            asked.spawn(async move { (look_up(&lookup, &settings, &key).await, key) });
        }
        while let answer @ Some(_) = asked.join_next().await {
            self.write(answer);
        }
    }

    fn write(&self, answer: Option<Result<(Answer, Key), tokio::task::JoinError>>) {
        let Some(Ok((answer, key))) = answer else { return };
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        let Some(page) = pages.get_mut(&key) else { return };
        let name = match &key {
            Key::Mx(name) | Key::Host(name, _) => name,
        };
        match answer {
            Answer::Known(addresses, ttl) => {
                if page.addresses.as_deref() != Some(&*addresses) {
                    events::primary_known(name, &addresses);
                }
                page.addresses = Some(addresses.into());
                page.next = Instant::now() + ttl.clamp(BOOK_REFRESH_MIN, BOOK_REFRESH_MAX);
            }
            // The last known addresses stay: a primary does not lose its right to ask because our resolver is down.
            Answer::Unknown(why) => {
                events::primary_unknown(name, page.addresses.is_some(), &why);
                page.next = Instant::now() + BOOK_REFRESH_MIN;
            }
        }
    }
}

impl Page {
    fn blank() -> Self {
        Self { addresses: None, next: Instant::now() }
    }
}

enum Answer {
    Known(Vec<IpAddr>, Duration),
    Unknown(String),
}

async fn host(
    lookup: &Arc<dyn Lookup>,
    name: &Domain,
    servers: &[SocketAddr],
) -> Result<(Vec<IpAddr>, Duration), NoRoute> {
    let cannot = || NoRoute::Later("the domain's own DNS servers cannot be asked".to_owned());
    let own =
        if servers.is_empty() { lookup.clone() } else { lookup.with_servers(servers).ok_or_else(cannot)? };
    let found = own.addresses(name).await.map_err(|error| NoRoute::Later(error.to_string()))?;
    Ok((found.records, found.ttl))
}

async fn look_up(lookup: &Arc<dyn Lookup>, settings: &DeliverySettings, key: &Key) -> Answer {
    let found = match key {
        Key::Mx(domain) => route::find(lookup, settings, domain, &NextHop::Mx).await.map(|route| {
            let ips: Vec<IpAddr> = route.hops.iter().map(|hop| hop.address.ip()).collect();
            (ips, route.ttl.unwrap_or(BOOK_REFRESH_MIN))
        }),
        Key::Host(name, servers) => host(lookup, name, servers).await,
    };
    match found {
        Ok((mut addresses, ttl)) => {
            addresses.sort_unstable();
            addresses.dedup();
            Answer::Known(addresses, ttl)
        }
        // Known to be nobody.
        Err(NoRoute::Misrouted(_)) => Answer::Known(Vec::new(), BOOK_REFRESH_MIN),
        Err(NoRoute::Later(why)) => Answer::Unknown(why),
    }
}
