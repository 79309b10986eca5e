//! The admin interface: octets of HTTP from a peer that may ask everything, or, behind a `!`, from one that may ask
//! nothing, over a store in memory.
//!
//! - Every answer is HTTP; none is a 5yz but what says that something cannot be done now; what is refused says so in JSON.
//! - What is asked with GET changes nothing, nor does what a stranger asks, and he sees nothing of the mail.
//! - A name that stands nowhere in the requests is not touched, unless they say "all" or have a filter.
//! - No request brings the interface to wait for ever.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use restante_admin::fuzzing::router;
use restante_queue::QueueStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::fake::{FakeStore, domain, id};
use crate::program::Program;

/// Nobody's: there is no such user, and no such group.
const STRANGER: u32 = 3_999_999_999;

thread_local! {
    // Nobody waits for a clock: where all wait, it goes on to the next that is due.
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
}

/// Longer than anything that is asked for may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// See the module.
pub fn run(data: &[u8]) {
    let stranger = data.strip_prefix(b"!");
    let asked = stranger.unwrap_or(data);
    let store = Arc::new(FakeStore::default());
    for number in 1..5 {
        store.add(if number < 3 { "example.org" } else { "example.com" }, number);
    }
    let user = if stranger.is_some() { STRANGER } else { 0 };
    let said = RUNTIME.with(|runtime| runtime.block_on(ask(&store, asked, user)));
    let has = |word: &[u8]| asked.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word));
    if !has(b"POST") || stranger.is_some() {
        assert!(is_untouched(&store, |_| true), "a look changed something");
        assert!(store.held_domains().is_empty() && store.state().backups.is_empty());
    }
    // Escapes, chunks and wide letters could spell anything.
    let plain = asked.is_ascii() && !has(b"\\u") && !has(b"chunked");
    if plain && !has(b"all") && !has(b"filter") {
        for name in ["example.org", "example.com"] {
            assert!(has(name.as_bytes()) || is_untouched(&store, |of| of == name), "{name} was not meant");
        }
    }
    if stranger.is_some() {
        let text = String::from_utf8_lossy(&said);
        assert!(!text.contains("user1@") && !text.contains("Subject: one"), "{text}");
    }
    check(&said);
}

fn is_untouched(store: &FakeStore, of: impl Fn(&str) -> bool) -> bool {
    let stopped = store.held_domains().iter().any(|(domain, _)| of(domain.as_str()));
    let state = store.state();
    let mut entries = state.entries.iter().filter(|(key, _)| of(key.domain.as_str()));
    let as_it_was = entries.all(|(key, entry)| {
        (1..5).any(|number| key.id == id(number)) && entry.held.is_none() && entry.state.waits()
    });
    as_it_was && !stopped && state.entries.len() == 4
}

async fn ask(store: &Arc<FakeStore>, data: &[u8], user: u32) -> Vec<u8> {
    store.content(1, b"Subject: one\r\n\r\nbody\r\n").await;
    let domains = ["example.com", "example.org"].map(domain).to_vec();
    let program = Program { store: Arc::clone(store), domains };
    let router = router(Arc::clone(store) as Arc<dyn QueueStore>, Arc::new(program), user);
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let service = TowerToHyperService::new(router);
    let serve = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
    let talk = async {
        // The server may close before all is written.
        let _ = ours.write_all(data).await;
        // A client that closes its side too soon gets no answer.
        tokio::time::sleep(PATIENCE).await;
        let _ = ours.shutdown().await;
        let mut said = Vec::new();
        let _ = ours.take(1 << 20).read_to_end(&mut said).await;
        said
    };
    let both = async { tokio::join!(serve, talk).1 };
    tokio::time::timeout(2 * PATIENCE, both).await.expect("an answer in time")
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
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let body = &body.as_bytes()[..length.unwrap_or(body.len()).min(body.len())];
        if !body.is_empty() && length.is_some() {
            let value: serde_json::Value = serde_json::from_slice(body).expect("a refusal in JSON");
            assert!(value.get("code").is_some(), "{value}");
        }
    }
}
