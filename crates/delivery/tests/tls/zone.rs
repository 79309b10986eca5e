//! A DNS in which every host is on loopback.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use restante_delivery::{Found, Lookup, LookupError, Mx, Tlsa};
use restante_types::Domain;

#[derive(Default)]
pub(crate) struct Zone(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    unsigned: bool,
    tlsa: HashMap<String, Result<(bool, Vec<Tlsa>), LookupError>>,
    txt: HashMap<String, Result<Vec<String>, LookupError>>,
    asked: Vec<String>,
}

pub(crate) fn tlsa(usage: u8, selector: u8, matching: u8, data: impl Into<Vec<u8>>) -> Tlsa {
    Tlsa { usage, selector, matching, data: data.into() }
}

impl Zone {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// Nothing in it is signed.
    pub(crate) fn unsigned() -> Self {
        let zone = Self::default();
        zone.inside().unsigned = true;
        zone
    }

    /// Signed TLSA records of a host, on whatever port.
    pub(crate) fn tlsa(self, host: &str, records: Vec<Tlsa>) -> Self {
        self.inside().tlsa.insert(host.to_owned(), Ok((true, records)));
        self
    }

    /// TLSA records that nobody signed.
    pub(crate) fn loose_tlsa(self, host: &str, records: Vec<Tlsa>) -> Self {
        self.inside().tlsa.insert(host.to_owned(), Ok((false, records)));
        self
    }

    pub(crate) fn no_tlsa(self, host: &str, error: LookupError) -> Self {
        self.inside().tlsa.insert(host.to_owned(), Err(error));
        self
    }

    pub(crate) fn txt(&self, name: &str, records: &[&str]) {
        let records = records.iter().map(|record| (*record).to_owned()).collect();
        self.inside().txt.insert(name.to_owned(), Ok(records));
    }

    pub(crate) fn no_txt(&self, name: &str, error: LookupError) {
        self.inside().txt.insert(name.to_owned(), Err(error));
    }

    /// How often something was asked for.
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.inside().asked.iter().filter(|asked| *asked == what).count()
    }

    fn found<T>(&self, name: &Domain, records: Vec<T>, secure: bool) -> Found<T> {
        let ttl = Duration::from_secs(300);
        Found { records, ttl, secure, first_secure: secure, name: name.clone() }
    }
}

#[async_trait]
impl Lookup for Zone {
    async fn mx(&self, _: &Domain) -> Result<Found<Mx>, LookupError> {
        Err(LookupError::NoRecords)
    }

    async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        let secure = !self.inside().unsigned;
        Ok(self.found(name, vec![Ipv4Addr::LOCALHOST.into()], secure))
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Found<Tlsa>, LookupError> {
        let mut inside = self.inside();
        inside.asked.push(format!("_{port}._tcp.{host}"));
        let answer = inside.tlsa.get(host.as_str()).cloned().unwrap_or(Err(LookupError::NoName));
        drop(inside);
        answer.map(|(secure, records)| self.found(host, records, secure))
    }

    async fn txt(&self, name: &Domain) -> Result<Found<String>, LookupError> {
        let mut inside = self.inside();
        inside.asked.push(name.to_string());
        let answer = inside.txt.get(name.as_str()).cloned().unwrap_or(Err(LookupError::NoName));
        drop(inside);
        answer.map(|records| self.found(name, records, false))
    }

    fn with_servers(&self, _: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        None
    }
}
