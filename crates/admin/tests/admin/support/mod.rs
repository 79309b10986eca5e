//! A running interface over a store that the test sets up, and a client of it.

pub(crate) mod fake;
mod program;

use std::sync::Arc;

use restante_admin::{AdminServer, Settings, start};
use restante_api::{Client, ClientError, ErrorCode, LineStream, Streamed};
use restante_queue::QueueStore;
use restante_types::Domain;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

pub(crate) use fake::{FakeStore, NOW, domain, id};
use program::Program;

pub(crate) struct Bench {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) client: Client,
    pub(crate) admin: AdminServer,
    pub(crate) dir: TempDir,
}

impl Bench {
    /// Three domains are configured.
    pub(crate) async fn new() -> Self {
        Self::with(["example.com", "example.org", "push.example"].map(domain).to_vec()).await
    }

    pub(crate) async fn with(mut domains: Vec<Domain>) -> Self {
        domains.sort();
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(FakeStore::default());
        let settings = Settings {
            socket: dir.path().join("run/admin.sock"),
            group: "no-such-group-here".to_owned(),
            version: "1.2.3".to_owned(),
            http: None,
        };
        let program = Arc::new(Program { store: Arc::clone(&store), domains });
        let admin = start(settings, Arc::clone(&store) as Arc<dyn QueueStore>, program).await.unwrap();
        let client = Client::new(admin.socket()).unwrap();
        Self { store, client, admin, dir }
    }
}

/// Everything a stream says.
pub(crate) async fn all<T, E>(stream: Result<LineStream<T, E>, ClientError>) -> (Vec<T>, E)
where
    T: DeserializeOwned,
    E: DeserializeOwned,
{
    let mut stream = stream.unwrap();
    let mut items = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            Streamed::Item(item) => items.push(item),
            Streamed::End(end) => return (items, end),
        }
    }
}

/// The code and the words of a refusal.
pub(crate) fn refusal<T>(outcome: Result<T, ClientError>) -> (ErrorCode, String) {
    match outcome {
        Err(ClientError::Refused(error)) => (error.code, error.message),
        Err(error) => panic!("not a refusal: {error}"),
        Ok(_) => panic!("it was granted"),
    }
}
