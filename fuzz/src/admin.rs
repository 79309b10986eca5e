//! The admin interface: octets of HTTP from a peer that may ask everything, over a store in memory.
//!
//! - Every answer is HTTP; none is a 5yz but what says that something cannot be done now; what is refused says so in JSON.
//! - What is asked with GET changes nothing, and no request brings the interface to wait for ever.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use restante_admin::{DomainPolicy, Operations, fuzzing::router};
use restante_queue::{DrainCause, QueueStore, Started};
use restante_turn::FlushError;
use restante_types::{Domain, UnixMillis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::fake::{FakeStore, NOW, domain, id};

struct Program(Arc<FakeStore>);

fn policy(domain: &Domain) -> DomainPolicy {
    let retention = Duration::from_secs(14 * 86_400);
    DomainPolicy { domain: domain.clone(), mode: "on-demand".to_owned(), retention }
}

impl Operations for Program {
    fn now(&self) -> UnixMillis {
        NOW
    }

    fn configuration(&self) -> String {
        "hostname = \"mx2.example.net\"\n".to_owned()
    }

    fn domains(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainPolicy> {
        let all = ["example.com", "example.org"].map(domain);
        all.iter().filter(|one| after.is_none_or(|after| *one > after)).take(limit).map(policy).collect()
    }

    fn domain(&self, name: &Domain) -> Option<DomainPolicy> {
        ["example.com", "example.org"].map(domain).contains(name).then(|| policy(name))
    }

    fn flush(&self, domain: &Domain) -> Result<Started, FlushError> {
        match self.0.stats(domain).held {
            Some(note) => Err(FlushError::Held(note)),
            None => Ok(self.0.start_drain(domain, DrainCause::Flush)?),
        }
    }
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
}

/// See the module.
pub fn run(data: &[u8]) {
    let store = Arc::new(FakeStore::default());
    for number in 1..5 {
        store.add(if number < 3 { "example.org" } else { "example.com" }, number);
    }
    let said = RUNTIME.with(|runtime| runtime.block_on(ask(&store, data)));
    if !data.windows(4).any(|word| word == b"POST") {
        let entries = &store.state().entries;
        let untouched = entries.values().filter(|entry| entry.held.is_none() && entry.state.waits()).count();
        assert_eq!(untouched, 4, "a look changed something");
        assert!(entries.keys().all(|key| (1..5).any(|number| key.id == id(number))));
    }
    check(&said);
}

async fn ask(store: &Arc<FakeStore>, data: &[u8]) -> Vec<u8> {
    store.content(1, b"Subject: one\r\n\r\nbody\r\n").await;
    let router = router(Arc::clone(store) as Arc<dyn QueueStore>, Arc::new(Program(Arc::clone(store))));
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let service = TowerToHyperService::new(router);
    let serve = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
    let talk = async {
        // The server may close before all is written.
        let _ = ours.write_all(data).await;
        let _ = ours.shutdown().await;
        let mut said = Vec::new();
        let _ = ours.take(1 << 20).read_to_end(&mut said).await;
        said
    };
    let both = async { tokio::join!(serve, talk).1 };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("an answer in time")
}

fn check(said: &[u8]) {
    if said.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(said);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status: u16 =
        head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok()).expect("a status");
    assert!((200..500).contains(&status) || matches!(status, 501 | 503 | 507), "{head}");
    let json = head.to_ascii_lowercase().contains("content-type: application/json");
    if status >= 400 && json {
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let body = &body.as_bytes()[..length.unwrap_or(body.len()).min(body.len())];
        if !body.is_empty() && length.is_some() {
            let value: serde_json::Value = serde_json::from_slice(body).expect("a refusal in JSON");
            assert!(value.get("code").is_some(), "{value}");
        }
    }
}
