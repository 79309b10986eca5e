//! The two other sides.

mod certificate;
mod provider;
mod sink;

use std::path::Path;
use std::time::Duration;

use restante_agent::{
    Context, Failure, Kind, Local, Login, Progress, Protocol, Schedule, Secured, ServerSettings, StateFile,
    Tally, collect,
};
use restante_net::{Stop, Trust};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use certificate::Pair;
pub(crate) use provider::{Provider, Talk, stuffed};
pub(crate) use sink::{Behaviour, Sink};

/// Longer than anything here may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A server as the agent is told of it: in clear, without an account.
pub(crate) fn server(port: u16, local: Option<String>) -> ServerSettings {
    ServerSettings {
        name: format!("test:{port}"),
        address: format!("127.0.0.1:{port}").parse().unwrap(),
        protocol: Protocol::Atrn,
        login: Login::default(),
        tls: Secured::Never,
        trust: Trust::System,
        tls_name: "mx2.example.net".try_into().unwrap(),
        domains: vec!["example.org".parse().unwrap(), "example.com".parse().unwrap()],
        schedule: Schedule::Every(Duration::from_secs(900)),
        jitter: Duration::ZERO,
        local: local.map(|local| local.parse::<Local>().unwrap()),
        expect: None,
    }
}

/// What the agent works in.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) context: Context,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) shown: watch::Sender<Progress>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stop = watch::Sender::new(Stop::Run);
        let context = Context {
            hostname: "primary.example".parse().unwrap(),
            state: StateFile::new(dir.path().join("state.json")),
            stop: stop.subscribe(),
            stays: false,
        };
        Self { dir, context, stop, shown: watch::Sender::new(Progress::Idle) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn collect(&self, server: &ServerSettings) -> (Tally, Result<Kind, Failure>) {
        timeout(LIMIT, collect(server, &self.context, &self.shown)).await.unwrap()
    }
}

/// One collection from a provider that follows `script`, into `local`.
pub(crate) async fn run<F>(
    local: Option<String>,
    change: impl FnOnce(&mut ServerSettings),
    script: impl FnOnce(Talk) -> F + Send + 'static,
) -> (Tally, Result<Kind, Failure>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let provider = Provider::once(script).await;
    let mut settings = server(provider.port(), local);
    change(&mut settings);
    let bench = Bench::new();
    let outcome = bench.collect(&settings).await;
    provider.ended().await;
    outcome
}

/// A message of about this size whose lines differ, with dots at their beginnings.
pub(crate) fn message(seed: usize, size: usize) -> Vec<u8> {
    let mut out = format!("From: a@sender.example\r\nSubject: {seed}\r\n\r\n").into_bytes();
    let mut line = 0;
    while out.len() < size {
        let dots = ["", ".", "..", "...\r\n."][(seed + line) % 4];
        out.extend_from_slice(format!("{dots}{seed}/{line} {}\r\n", (line + 1) * 7919).as_bytes());
        line += 1;
    }
    out
}
