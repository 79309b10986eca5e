//! A DNS of a few lines of text.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use restante_delivery::{Exchange, Found, Lookup, LookupError, Mx, Tlsa};
use restante_types::Domain;

/// Answers from a table that can be changed; a name that is not in it does not exist.
#[derive(Default)]
pub(crate) struct ScriptedDns {
    zone: Mutex<Zone>,
}

#[derive(Default)]
struct Zone {
    mx: HashMap<String, Result<Vec<Mx>, LookupError>>,
    addresses: HashMap<String, Result<Vec<IpAddr>, LookupError>>,
    questions: Vec<String>,
    ttl: Duration,
    own: HashMap<Vec<SocketAddr>, Arc<ScriptedDns>>,
}

impl ScriptedDns {
    /// Lines like `example.org MX 10 mail.example.org`, `mail.example.org A 192.0.2.1`, `x.example TROUBLE`,
    /// `x.example NODATA`.
    pub(crate) fn new(zone: &str) -> Self {
        let dns = Self::default();
        dns.zone.lock().unwrap().ttl = Duration::from_secs(300);
        for line in zone.lines().map(str::trim).filter(|line| !line.is_empty()) {
            dns.add(line);
        }
        dns
    }

    pub(crate) fn add(&self, line: &str) {
        let mut zone = self.zone.lock().unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words[0].to_owned();
        match words[1..] {
            ["MX", preference, exchange] => {
                let exchange = match exchange {
                    "." => Exchange::Null,
                    name => name.parse().map_or(Exchange::Unusable, Exchange::Host),
                };
                let record = Mx { preference: preference.parse().unwrap(), exchange };
                push(&mut zone.mx, &name, record);
                zone.addresses.entry(name).or_insert(Err(LookupError::NoRecords));
            }
            ["A" | "AAAA", address] => {
                push(&mut zone.addresses, &name, address.parse().unwrap());
                zone.mx.entry(name).or_insert(Err(LookupError::NoRecords));
            }
            ["NODATA"] => {
                zone.mx.insert(name.clone(), Err(LookupError::NoRecords));
                zone.addresses.insert(name, Err(LookupError::NoRecords));
            }
            ["TROUBLE"] => {
                let trouble = LookupError::Temporary("SERVFAIL".to_owned());
                zone.mx.insert(name.clone(), Err(trouble.clone()));
                zone.addresses.insert(name, Err(trouble));
            }
            ref other => panic!("{other:?}"),
        }
    }

    /// Other servers, that know something else.
    pub(crate) fn beside(&self, servers: &[SocketAddr], zone: &str) {
        self.zone.lock().unwrap().own.insert(servers.to_vec(), Arc::new(Self::new(zone)));
    }

    pub(crate) fn set_ttl(&self, ttl: Duration) {
        self.zone.lock().unwrap().ttl = ttl;
    }

    /// Forgets what a name had.
    pub(crate) fn clear(&self, name: &str) {
        let mut zone = self.zone.lock().unwrap();
        zone.mx.remove(name);
        zone.addresses.remove(name);
    }

    /// How often something was asked about a name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.zone.lock().unwrap().questions.iter().filter(|asked| *asked == name).count()
    }
}

fn push<T>(table: &mut HashMap<String, Result<Vec<T>, LookupError>>, name: &str, record: T) {
    match table.get_mut(name) {
        Some(Ok(records)) => records.push(record),
        _ => drop(table.insert(name.to_owned(), Ok(vec![record]))),
    }
}

impl Zone {
    fn answer<T: Clone>(
        &mut self,
        name: &Domain,
        table: impl Fn(&Self) -> &HashMap<String, Result<Vec<T>, LookupError>>,
    ) -> Result<Found<T>, LookupError> {
        self.questions.push(name.to_string());
        let answer = table(self).get(name.as_str()).cloned().unwrap_or(Err(LookupError::NoName));
        answer.map(|records| Found {
            records,
            ttl: self.ttl,
            secure: false,
            first_secure: false,
            name: name.clone(),
        })
    }
}

#[async_trait]
impl Lookup for ScriptedDns {
    async fn mx(&self, name: &Domain) -> Result<Found<Mx>, LookupError> {
        self.zone.lock().unwrap().answer(name, |zone| &zone.mx)
    }

    async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        self.zone.lock().unwrap().answer(name, |zone| &zone.addresses)
    }

    async fn tlsa(&self, _: &Domain, _: u16) -> Result<Found<Tlsa>, LookupError> {
        Err(LookupError::NoRecords)
    }

    async fn txt(&self, _: &Domain) -> Result<Found<String>, LookupError> {
        Err(LookupError::NoRecords)
    }

    fn with_servers(&self, servers: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        let own = self.zone.lock().unwrap().own.get(servers).cloned();
        own.map(|own| own as Arc<dyn Lookup>)
    }
}

/// A DNS that never answers.
pub(crate) struct SlowDns;

#[async_trait]
impl Lookup for SlowDns {
    async fn mx(&self, _name: &Domain) -> Result<Found<Mx>, LookupError> {
        std::future::pending().await
    }

    async fn addresses(&self, _name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        std::future::pending().await
    }

    async fn tlsa(&self, _: &Domain, _: u16) -> Result<Found<Tlsa>, LookupError> {
        std::future::pending().await
    }

    async fn txt(&self, _: &Domain) -> Result<Found<String>, LookupError> {
        std::future::pending().await
    }

    fn with_servers(&self, _: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        None
    }
}
