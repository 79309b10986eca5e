//! Questions to one set of servers, with what they answered before.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer, RetryDnsHandle};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use restante_types::{Domain, canonical};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::anchors::Anchors;
use super::cache::{Cache, Kept};
use super::judge::{Answer, Said, judge};
use super::narrow::Narrow;
use super::{Exchange, Found, LookupError, Mx, Tlsa};
use crate::limits::{
    ALIASES, DNS_ABSENCE_MAX, DNS_ANSWERS, DNS_FAILURE, DNS_TTL_MAX, DNSSEC_CHECKS, DNSSEC_DOUBT,
    LOOKUP_TIMEOUT,
};

type Pool = Narrow<RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>>;

/// One set of servers, asked with or without proof.
pub(super) struct Client {
    wire: Wire,
    options: DnsRequestOptions,
    cache: Cache<(Name, RecordType), Result<Answer, LookupError>>,
}

enum Wire {
    Plain(Pool),
    Proven(Box<Proving>),
}

/// Checks signatures. What it believes from the start may have to be looked up first.
struct Proving {
    pool: Pool,
    anchors: Arc<Anchors>,
    handle: OnceCell<DnssecDnsHandle<Pool>>,
}

/// What stands at the end of a name's aliases.
struct End {
    records: Vec<RData>,
    until: Instant,
    secure: bool,
    first_secure: bool,
    name: Name,
}

impl Client {
    /// Two clients of the same servers: one that believes, one that wants proof.
    pub(super) fn pair(
        servers: Vec<NameServerConfig>,
        options: ResolverOpts,
        anchors: Arc<Anchors>,
    ) -> Result<(Self, Self), NetError> {
        let attempts = options.attempts;
        let mut request = DnsRequestOptions::default();
        request.use_edns = options.edns0;
        request.edns_payload_len = options.edns_payload_len;
        request.case_randomization = options.case_randomization;
        let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        let pool = Narrow(RetryDnsHandle::new(pool, attempts));
        let proving = Proving { pool: pool.clone(), anchors, handle: OnceCell::new() };
        let client = |wire| Self { wire, options: request, cache: Cache::new(DNS_ANSWERS) };
        Ok((client(Wire::Plain(pool)), client(Wire::Proven(Box::new(proving)))))
    }

    pub(super) async fn mx(&self, name: &Domain) -> Result<Found<Mx>, LookupError> {
        let read = |data: &RData| match data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: exchange(&mx.exchange) }),
            _ => None,
        };
        self.end(name, RecordType::MX).await?.found(name, read)
    }

    /// Both families; one of them is enough.
    pub(super) async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        let read = |data: &RData| data.ip_addr().map(canonical);
        let (four, six) = tokio::join!(self.end(name, RecordType::A), self.end(name, RecordType::AAAA));
        match (four, six) {
            (Ok(four), Ok(six)) => {
                let (mut found, six) = (four.found(name, read)?, six.found(name, read)?);
                found.records.extend(six.records);
                found.ttl = found.ttl.min(six.ttl);
                found.secure &= six.secure;
                found.first_secure &= six.first_secure;
                Ok(found)
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => one.found(name, read),
            (Err(one), Err(other)) => Err(worse(one, other)),
        }
    }

    pub(super) async fn tlsa(&self, host: &Domain, port: u16) -> Result<Found<Tlsa>, LookupError> {
        let asked = Domain::parse(&format!("_{port}._tcp.{host}"));
        // Too long for a name: there can be no such record.
        let Ok(asked) = asked else { return Err(LookupError::NoName) };
        let read = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        self.end(&asked, RecordType::TLSA).await?.found(&asked, read)
    }

    pub(super) async fn txt(&self, name: &Domain) -> Result<Found<String>, LookupError> {
        let read = |data: &RData| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        self.end(name, RecordType::TXT).await?.found(name, read)
    }

    /// Follows the aliases of a name to its records.
    async fn end(&self, name: &Domain, kind: RecordType) -> Result<End, LookupError> {
        let late = || LookupError::Temporary("timed out".to_owned());
        timeout(LOOKUP_TIMEOUT, self.follow(absolute(name)?, kind)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn follow(&self, mut name: Name, kind: RecordType) -> Result<End, LookupError> {
        let (mut until, mut secure, mut first_secure) = (Instant::now() + DNS_TTL_MAX, true, None);
        // [5321-5.1-cname] a bounded number of steps, so that aliases in a circle end
        for _ in 0..=ALIASES {
            let Kept { value, until: this } = self.ask(&name, kind).await;
            let answer = value?;
            // [7672-2.1.3-chain] what stands behind an unproven alias is unproven
            secure &= answer.secure;
            until = until.min(this);
            let first_secure = *first_secure.get_or_insert(answer.secure);
            match answer.said {
                Said::Records(records) => return Ok(End { records, until, secure, first_secure, name }),
                Said::Alias(target) => name = target.to_lowercase(),
                Said::Nothing { name_exists: true } => return Err(LookupError::NoRecords),
                Said::Nothing { name_exists: false } => return Err(LookupError::NoName),
            }
        }
        Err(LookupError::Temporary(format!("more than {ALIASES} aliases, or aliases in a circle")))
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Kept<Result<Answer, LookupError>> {
        let key = (name.clone(), kind);
        let ask = async {
            let answer = self.send(Query::query(name.clone(), kind)).await;
            let proven = matches!(self.wire, Wire::Proven(_));
            let value = judge(name, kind, proven, answer);
            Kept { until: Instant::now() + keep_for(&value), value }
        };
        self.cache.get(&key, ask).await
    }

    async fn send(&self, query: Query) -> Result<DnsResponse, NetError> {
        match &self.wire {
            Wire::Plain(pool) => pool.lookup(query, self.options).first_answer().await,
            Wire::Proven(proving) => {
                let handle = proving.handle(self.options).await?;
                handle.lookup(query, self.options).first_answer().await
            }
        }
    }
}

impl Proving {
    async fn handle(&self, options: DnsRequestOptions) -> Result<&DnssecDnsHandle<Pool>, NetError> {
        let make = async || {
            let keys = self.anchors.keys(&self.pool, options).await?;
            Ok(DnssecDnsHandle::with_trust_anchor(self.pool.clone(), keys)
                .validation_cache_size(DNSSEC_CHECKS)
                .negative_validation_ttl(Duration::ZERO..=DNSSEC_DOUBT))
        };
        self.handle.get_or_try_init(make).await
    }
}

fn keep_for(answer: &Result<Answer, LookupError>) -> Duration {
    match answer {
        Ok(Answer { said: Said::Nothing { .. }, ttl, .. }) => (*ttl).min(DNS_ABSENCE_MAX),
        Ok(answer) => answer.ttl.min(DNS_TTL_MAX),
        Err(_) => DNS_FAILURE,
    }
}

impl End {
    fn found<T>(self, asked: &Domain, read: impl Fn(&RData) -> Option<T>) -> Result<Found<T>, LookupError> {
        let records: Vec<T> = self.records.iter().filter_map(read).collect();
        if records.is_empty() {
            return Err(LookupError::Temporary(format!("the records of {asked} cannot be read")));
        }
        let name = Domain::parse(&self.name.to_ascii()).unwrap_or_else(|_| asked.clone());
        let ttl = self.until.saturating_duration_since(Instant::now());
        Ok(Found { records, ttl, secure: self.secure, first_secure: self.first_secure, name })
    }
}

/// Where neither family has an answer: what keeps us from knowing comes before what is known to be absent.
fn worse(one: LookupError, other: LookupError) -> LookupError {
    use LookupError::{Bogus, NoName, NoRecords, Temporary};
    match (one, other) {
        (it @ Bogus(_), _) | (_, it @ Bogus(_)) | (it @ Temporary(_), _) | (_, it @ Temporary(_)) => it,
        (NoName, NoName) => NoName,
        _ => NoRecords,
    }
}

/// Fully qualified, so that no search list is walked.
fn absolute(name: &Domain) -> Result<Name, LookupError> {
    let parsed = Name::from_ascii(name.as_str());
    let mut name = parsed.map_err(|error| LookupError::Temporary(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

pub(super) fn exchange(name: &Name) -> Exchange {
    if name.is_root() {
        return Exchange::Null;
    }
    Domain::parse(&name.to_ascii()).map_or(Exchange::Unusable, Exchange::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a zone says of itself: a day for what is there, an hour for what is not, a moment for a failure.
    #[test]
    fn nothing_is_kept_for_long() {
        let says = |said, seconds| Ok(Answer { said, secure: false, ttl: Duration::from_secs(seconds) });
        let records = || Said::Records(Vec::new());
        let alias = || Said::Alias(Name::root());
        for (answer, kept) in [
            (says(Said::Nothing { name_exists: true }, 60), 60),
            (says(Said::Nothing { name_exists: false }, 60), 60),
            (says(Said::Nothing { name_exists: true }, 3601), 3600),
            (says(Said::Nothing { name_exists: false }, 1_000_000), 3600),
            (says(records(), 7200), 7200),
            (says(records(), 1_000_000), 24 * 3600),
            (says(alias(), 1_000_000), 24 * 3600),
            (Err(LookupError::Temporary("SERVFAIL".to_owned())), 1),
            (Err(LookupError::Bogus("bogus".to_owned())), 1),
        ] {
            assert_eq!(keep_for(&answer).as_secs(), kept, "{answer:?}");
        }
    }
}
