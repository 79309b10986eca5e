//! The same interface over the store that the program uses: what comes in is shown, changed, drained and copied out.

use std::sync::Arc;
use std::time::Duration;

use restante_admin::{AdminServer, DomainPolicy, Operations, Settings, start};
use restante_api::{
    BackupRequest, ChangeRequest, Client, EntryFilter, FlushEvent, FlushRequest, ListQuery, Streamed,
};
use restante_queue::conformance::message;
use restante_queue::{
    DrainCause, DrainReport, EmbeddedOptions, EmbeddedStore, LeaseAnswer, NewMessage, Outcome, QueueStore,
    Scope, Settlement, Started,
};
use restante_turn::FlushError;
use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};
use tempfile::TempDir;

use crate::support::{all, domain};

struct Program(Arc<EmbeddedStore>);

impl Operations for Program {
    fn configuration(&self) -> String {
        String::new()
    }

    fn domains(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainPolicy> {
        let names = ["example.com", "example.org"].map(domain);
        let behind = names.iter().filter(|name| after.is_none_or(|after| *name > after));
        behind.take(limit).filter_map(|name| self.domain(name)).collect()
    }

    fn domain(&self, name: &Domain) -> Option<DomainPolicy> {
        let retention = Duration::from_secs(14 * 86_400);
        let known = name.as_str().starts_with("example.");
        known.then(|| DomainPolicy { domain: name.clone(), mode: "on-demand".to_owned(), retention })
    }

    fn flush(&self, domain: &Domain) -> Result<Started, FlushError> {
        Ok(self.0.start_drain(domain, DrainCause::Flush)?)
    }
}

struct House {
    store: Arc<EmbeddedStore>,
    client: Client,
    admin: AdminServer,
    dir: TempDir,
}

impl House {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(dir.path().join("data"))).unwrap());
        let settings = Settings {
            socket: dir.path().join("admin.sock"),
            group: "no-such-group-here".to_owned(),
            version: "1".to_owned(),
            http: None,
        };
        let program = Arc::new(Program(Arc::clone(&store)));
        let admin = start(settings, Arc::clone(&store) as Arc<dyn QueueStore>, program).await.unwrap();
        let client = Client::new(admin.socket()).unwrap();
        // The log is read first, even an empty one.
        while !matches!(client.health().await.unwrap().index, restante_api::IndexReport::Ready) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { store, client, admin, dir }
    }

    /// One message for every name.
    async fn accept(&self, names: &[&str], content: &[u8]) -> QueueId {
        let now = UnixMillis::from(std::time::SystemTime::now());
        let recipients: Vec<String> = names.iter().map(|name| format!("user@{name}")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let mut buffer = self.store.begin_content();
        for piece in content.chunks(100_000) {
            buffer.append(piece);
            if buffer.wants_relief() {
                buffer.relieve().await.unwrap();
            }
        }
        let message = message(&*self.store, now, &recipients, b"").await;
        let message = NewMessage { content: buffer.seal().await.unwrap(), ..message };
        self.store.accept(message).await.unwrap().id()
    }

    async fn listed(&self, states: &[DeliveryState]) -> Vec<String> {
        let filter = EntryFilter { states: states.to_vec(), ..EntryFilter::default() };
        let query = ListQuery { filter, ..ListQuery::default() };
        let (entries, _) = all(self.client.entries(&query).await).await;
        entries.into_iter().map(|entry| entry.domain.to_string()).collect()
    }

    async fn close(self) {
        self.admin.stop().await;
        self.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_for_two_domains_through_its_life() {
    let house = House::open().await;
    let content = b"Subject: two\r\n\r\nFrom here\r\n".repeat(40_000);
    let id = house.accept(&["example.com", "example.org"], &content).await;
    let status = house.client.domain(&domain("example.org")).await.unwrap();
    assert_eq!((status.messages, status.bytes), (1, content.len() as u64));
    let message = house.client.message(id).await.unwrap();
    assert_eq!(message.entries.len(), 2);
    assert_eq!(message.headers.as_deref(), Some("Subject: two\r\n"));
    assert_eq!(message.entries[1].recipients[0].address, "user@example.org");
    let mut stream = house.client.content(id, None).await.unwrap();
    let mut octets = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        octets.extend_from_slice(&piece);
    }
    assert!(octets == content, "byte for byte");
    let filter =
        EntryFilter { domains: vec![domain("example.org")], ids: vec![id], ..EntryFilter::default() };
    let change = ChangeRequest { filter, reason: Some("why".to_owned()), ..ChangeRequest::default() };
    let (_, held) = all(house.client.hold(&change).await).await;
    assert_eq!(held.changed, 1);
    assert_eq!(house.client.message(id).await.unwrap().entries[1].hold_reason.as_deref(), Some("why"));
    assert_eq!(all(house.client.release(&change).await).await.1.changed, 1);
    assert_eq!(all(house.client.delete(&change).await).await.1.changed, 1);
    assert_eq!(house.listed(&[]).await, ["example.com"]);
    assert_eq!(house.listed(&[DeliveryState::Deleted]).await, ["example.org"]);
    assert_eq!(all(house.client.restore(&change).await).await.1.changed, 1);
    assert_eq!(house.listed(&[]).await, ["example.com", "example.org"]);
    let directory = house.dir.path().join("copy");
    let (_, copied) = all(house.client.backup(&BackupRequest { directory }).await).await;
    assert_eq!(copied.messages, 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_does_not_cover_what_comes_later() {
    let house = House::open().await;
    house.accept(&["example.org"], b"a\r\n").await;
    let all_of_it = ChangeRequest { all: true, reason: Some("why".to_owned()), ..ChangeRequest::default() };
    let preview = ChangeRequest { dry_run: true, ..all_of_it.clone() };
    let (_, report) = all(house.client.delete(&preview).await).await;
    assert_eq!(report.matched, 1);
    let later = house.accept(&["example.org"], b"b\r\n").await;
    let confirmed = ChangeRequest { as_of: Some(report.as_of), ..all_of_it };
    assert_eq!(all(house.client.delete(&confirmed).await).await.1.changed, 1);
    let (left, _) = all(house.client.entries(&ListQuery::default()).await).await;
    assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [later]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_is_followed_through_a_real_drain() {
    let house = House::open().await;
    let mut requests = house.store.watch();
    for _ in 0..3 {
        house.accept(&["example.org"], b"a\r\n").await;
    }
    let request = FlushRequest { domains: vec![domain("example.org")], reset: true, wait: true };
    let mut stream = house.client.flush(&request).await.unwrap();
    let asked = requests.recv().await.unwrap();
    assert_eq!((asked.domain.as_str(), asked.cause), ("example.org", DrainCause::Flush));
    let LeaseAnswer::Leased(lease) = house.store.lease(&asked.domain, asked.cause).await.unwrap() else {
        panic!("nobody else drains it");
    };
    let work = house.store.due(&lease, Scope::All, None, 10).await.unwrap();
    let settled =
        |work: &restante_queue::Work| Settlement { id: work.id, outcomes: vec![(0, Outcome::Delivered)] };
    house.store.settle(&lease, vec![settled(&work[0])]).await.unwrap();
    loop {
        match stream.next().await.unwrap() {
            Streamed::Item(FlushEvent::Progress { drain, messages, .. }) if drain.delivered == 1 => {
                assert_eq!(messages, 2);
                break;
            }
            Streamed::Item(_) => {}
            Streamed::End(end) => panic!("the drain still runs: {end:?}"),
        }
    }
    house.store.settle(&lease, work[1..].iter().map(settled).collect()).await.unwrap();
    let report = DrainReport { result: "delivered all".to_owned(), ..DrainReport::default() };
    house.store.end_lease(lease, report).await.unwrap();
    let end = stream.finish(|event| {
        if let FlushEvent::Ended { messages, last_drain: Some(last), .. } = event {
            assert_eq!((messages, last.delivered, last.result.as_str()), (0, 3, "delivered all"));
        }
    });
    let end = end.await.unwrap();
    assert_eq!((end.clean, end.left, end.refused), (1, 0, 0));
    house.close().await;
}
