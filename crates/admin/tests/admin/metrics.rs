//! What monitors read, over the socket and over TCP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_admin::{AdminServer, Became, DomainPolicy, Http, Metrics, Operations, Settings, Token, start};
use restante_api::AlarmView;
use restante_queue::{HoldKind, HoldOrder, QueueStore, Started};
use restante_turn::FlushError;
use restante_types::{Domain, UnixMillis};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::{FakeStore, NOW, domain};

const TOKEN: &str = "0123456789abcdef";

struct Program {
    domains: Vec<Domain>,
    metrics: Arc<Metrics>,
}

fn policy(domain: &Domain) -> DomainPolicy {
    DomainPolicy { domain: domain.clone(), mode: "on-demand".into(), retention: Duration::from_secs(86_400) }
}

impl Operations for Program {
    fn now(&self) -> UnixMillis {
        NOW.plus(Duration::from_secs(60))
    }

    fn configuration(&self) -> String {
        String::new()
    }

    fn domains(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainPolicy> {
        let behind = self.domains.iter().filter(|domain| after.is_none_or(|after| *domain > after));
        behind.take(limit).map(policy).collect()
    }

    fn domain(&self, name: &Domain) -> Option<DomainPolicy> {
        self.covering(name).map(|domain| policy(&domain))
    }

    fn covering(&self, queue: &Domain) -> Option<Domain> {
        self.domains.iter().find(|domain| *domain == queue || queue.is_below(domain)).cloned()
    }

    fn flush(&self, _: &Domain) -> Result<Started, FlushError> {
        Err(FlushError::Unknown)
    }

    fn alarms(&self) -> Vec<AlarmView> {
        let open = |event: &str, of: Option<Domain>, warning| AlarmView {
            event: event.into(),
            domain: of,
            since: restante_api::timestamp(NOW),
            detail: "no route".into(),
            warning,
        };
        let org = Some(domain("example.org"));
        vec![
            open("disk-low", None, true),
            open("primary-down", org.clone(), true),
            open("mail-held", org, false),
        ]
    }

    fn alarm_events(&self) -> Vec<(&'static str, bool)> {
        vec![("disk-low", false), ("primary-down", true)]
    }

    fn connections(&self) -> Option<u64> {
        Some(7)
    }

    fn metrics(&self) -> Option<Arc<Metrics>> {
        Some(Arc::clone(&self.metrics))
    }
}

struct Bench {
    store: Arc<FakeStore>,
    metrics: Arc<Metrics>,
    admin: AdminServer,
    _dir: TempDir,
}

impl Bench {
    async fn new(mut domains: Vec<Domain>) -> Self {
        domains.sort();
        let dir = tempfile::tempdir().unwrap();
        let (store, metrics) = (Arc::new(FakeStore::default()), Arc::new(Metrics::new()));
        metrics.keep(&domains);
        let http = Http {
            address: "127.0.0.1:0".parse().unwrap(),
            token: Token::new(TOKEN).unwrap(),
            hostname: domain("mx2.example.net"),
        };
        let settings = Settings {
            socket: dir.path().join("admin.sock"),
            group: "no-such-group-here".to_owned(),
            version: "1.2.3".to_owned(),
            http: Some(http),
        };
        let program = Arc::new(Program { domains, metrics: Arc::clone(&metrics) });
        let admin = start(settings, Arc::clone(&store) as Arc<dyn QueueStore>, program).await.unwrap();
        Self { store, metrics, admin, _dir: dir }
    }

    async fn scrape(&self) -> BTreeMap<String, f64> {
        let mut stream = UnixStream::connect(self.admin.socket()).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
        assert!(answer.trim_end().ends_with("# EOF") || answer.contains("# EOF\n"), "{answer}");
        samples(&answer)
    }
}

/// Every sample once, by its name and labels.
fn samples(answer: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for line in answer.lines().filter(|line| line.starts_with("restante_")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(found.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    found
}

#[tokio::test]
async fn every_configured_domain_is_there_and_no_other_name() {
    let bench = Bench::new(["example.com", "example.org"].map(domain).to_vec()).await;
    bench.store.add("example.org", 1);
    bench.store.add("sub.example.org", 2);
    bench.store.add("gone.example", 3);
    bench.store.add("elsewhere.example.notices.invalid", 4);
    let order = HoldOrder::new(HoldKind::Operator, "moving");
    bench.store.hold_domain(&domain("sub.example.org"), order).await.unwrap();
    let found = bench.scrape().await;
    for (sample, value) in [
        ("restante_queue_messages{domain=\"example.org\"}", 2.0),
        ("restante_queue_messages{domain=\"example.com\"}", 0.0),
        ("restante_queue_messages{domain=\"(unconfigured)\"}", 1.0),
        ("restante_queue_messages{domain=\"(notices)\"}", 1.0),
        ("restante_queue_held{domain=\"example.org\"}", 1.0),
        ("restante_queue_held{domain=\"example.com\"}", 0.0),
        ("restante_queue_oldest_age_seconds{domain=\"example.com\"}", 0.0),
        ("restante_parked_messages{domain=\"example.com\",state=\"failed\"}", 0.0),
        ("restante_accepted_messages_total{domain=\"example.com\"}", 0.0),
        ("restante_alarm_open{event=\"primary-down\",domain=\"example.org\"}", 1.0),
        ("restante_alarm_open{event=\"primary-down\",domain=\"example.com\"}", 0.0),
        ("restante_alarm_open{event=\"disk-low\",domain=\"\"}", 1.0),
        ("restante_connections", 7.0),
        ("restante_disk_free_bytes", 10_000_000_000.0),
        ("restante_build_info{version=\"1.2.3\"}", 1.0),
    ] {
        assert_eq!(found.get(sample), Some(&value), "{sample} in {found:#?}");
    }
    assert!(found["restante_queue_bytes{domain=\"example.org\"}"] > 0.0);
    assert!(!found.keys().any(|name| name.contains("sub.example.org") || name.contains("gone.example")));
}

#[tokio::test]
async fn what_happens_is_counted() {
    let bench = Bench::new(vec![domain("example.org")]).await;
    let org = || "example.org".to_owned();
    bench.metrics.accepted(org(), 100);
    bench.metrics.accepted(org(), 23);
    bench.metrics.became(org(), Became::Delivered, 3);
    bench.metrics.became(org(), Became::Expired, 2);
    bench.metrics.drained(org(), "etrn");
    bench.metrics.refused("rcpt");
    bench.metrics.notice("failed", "queued");
    bench.metrics.answered("etrn", 253);
    bench.metrics.alarm("primary-down");
    let found = bench.scrape().await;
    for (sample, value) in [
        ("restante_accepted_messages_total{domain=\"example.org\"}", 2.0),
        ("restante_accepted_bytes_total{domain=\"example.org\"}", 123.0),
        ("restante_delivered_recipients_total{domain=\"example.org\"}", 3.0),
        ("restante_deferred_recipients_total{domain=\"example.org\"}", 0.0),
        ("restante_expired_messages_total{domain=\"example.org\"}", 2.0),
        ("restante_drains_total{domain=\"example.org\",cause=\"etrn\"}", 1.0),
        ("restante_refused_total{at=\"rcpt\"}", 1.0),
        ("restante_notices_total{kind=\"failed\",outcome=\"queued\"}", 1.0),
        ("restante_turn_answers_total{verb=\"etrn\",code=\"253\"}", 1.0),
        ("restante_alarms_total{event=\"primary-down\"}", 1.0),
    ] {
        assert_eq!(found.get(sample), Some(&value), "{sample} in {found:#?}");
    }
    // A domain that is gone takes its series along.
    bench.metrics.keep(&[domain("example.com")]);
    let found = bench.scrape().await;
    assert!(!found.keys().any(|name| name.contains("_total{domain=\"example.org\"")), "{found:#?}");
}

#[tokio::test]
async fn a_thousand_domains_are_no_matter() {
    let domains: Vec<Domain> = (0..1000).map(|n| domain(&format!("d{n}.example"))).collect();
    let bench = Bench::new(domains).await;
    let begun = Instant::now();
    let found = bench.scrape().await;
    assert!(found.len() > 18_000, "{}", found.len());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

async fn over_tcp(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn over_tcp_only_with_the_token_only_by_our_name_and_only_to_read() {
    let bench = Bench::new(vec![domain("example.org")]).await;
    let address = bench.admin.http().unwrap();
    let ask = |request: &'static str, host: &'static str, token: &'static str| async move {
        let token =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let head = format!("{request} HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n");
        over_tcp(address, &head).await
    };
    let ok = "HTTP/1.1 200 ";
    let answer = ask("GET /metrics", "127.0.0.1:8025", TOKEN).await;
    assert!(answer.starts_with(ok) && answer.contains("restante_connections 7"), "{answer}");
    let answer = ask("GET /health", "mx2.example.net", TOKEN).await;
    assert!(answer.starts_with(ok) && answer.contains("\"status\":\"warning\""), "{answer}");
    for (request, host, token, expected) in [
        ("GET /metrics", "localhost", "", "401"),
        ("GET /metrics", "localhost", "0123456789abcdeX", "401"),
        ("GET /health", "localhost", "", "401"),
        ("GET /nowhere", "localhost", "", "401"),
        ("GET /metrics", "evil.example", TOKEN, "403"),
        ("GET /nowhere", "localhost", TOKEN, "404"),
        ("GET /v1/domains", "localhost", TOKEN, "404"),
        ("GET /v1/config", "localhost", TOKEN, "404"),
        ("POST /v1/hold", "localhost", TOKEN, "404"),
        ("POST /metrics", "localhost", TOKEN, "404"),
        ("DELETE /health", "localhost", TOKEN, "404"),
    ] {
        let answer = ask(request, host, token).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{request} {host} {token}: {answer}");
        assert!(!answer.contains("restante_") && !answer.contains("\"status\""), "{answer}");
    }
    let challenge = ask("GET /metrics", "localhost", "").await;
    assert!(challenge.to_lowercase().contains("www-authenticate: bearer"), "{challenge}");
}

/// Whoever shows no token, or calls us by another name, does not keep one of the few places.
#[tokio::test]
async fn who_is_refused_over_tcp_is_left() {
    let bench = Bench::new(vec![domain("example.org")]).await;
    let address = bench.admin.http().unwrap();
    for (host, code) in [("localhost", "401"), ("evil.example", "403")] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let refused = over_tcp(address, &request);
        let answer = tokio::time::timeout(Duration::from_secs(20), refused).await.expect("the end of it");
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
}

#[tokio::test]
async fn open_alarms_are_told_by_health_and_status() {
    let bench = Bench::new(["example.com", "example.org"].map(domain).to_vec()).await;
    let client = restante_api::Client::new(bench.admin.socket()).unwrap();
    let health = client.health().await.unwrap();
    assert_eq!(
        health.problems,
        ["disk-low: no route", "primary-down example.org: no route"],
        "mail that waits is no problem"
    );
    let events: Vec<&str> = health.alarms.iter().map(|alarm| alarm.event.as_str()).collect();
    assert_eq!(events, ["disk-low", "primary-down", "mail-held"]);
    let status = client.domain(&domain("example.org")).await.unwrap();
    let events: Vec<&str> = status.alarms.iter().map(|alarm| alarm.event.as_str()).collect();
    assert_eq!(events, ["primary-down", "mail-held"]);
    let (all, _) = crate::support::all(client.domains().await).await;
    let counts: Vec<usize> = all.iter().map(|status| status.alarms.len()).collect();
    assert_eq!(counts, [0, 2]);
    bench.admin.stop().await;
}
