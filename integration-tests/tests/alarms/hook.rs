//! A webhook that keeps what it is told.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_integration_tests::{eventually, read_call};
use serde_json::Value;

use crate::private;

/// What its calls are signed with.
pub(crate) const SECRET: &str = "a secret of the webhook's own";

/// A call that the webhook got.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) head: String,
    /// The body as it came.
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        line.unwrap_or_default()
    }

    /// `primary-down example.org opens`
    fn shown(&self) -> String {
        let domain = self.body["domain"].as_str().unwrap_or("-");
        let open = if self.body["open"] == true { "opens" } else { "closes" };
        format!("{} {domain} {open}", self.body["event"].as_str().unwrap())
    }
}

/// A webhook that says 500 to the first call and takes all others.
#[derive(Clone)]
pub(crate) struct Hook {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Hook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hook = Self { port: listener.local_addr().unwrap().port(), calls: Arc::default() };
        let calls = hook.calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(call) = read(&mut stream) else { continue };
                let mut calls = calls.lock().unwrap();
                let status = if calls.is_empty() { "500 Not Now" } else { "204 No Content" };
                calls.push(call);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        hook
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// What was told, each once: a call that came twice has one id.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut ids = BTreeSet::new();
        let calls = self.calls();
        calls
            .iter()
            .filter(|call| ids.insert(call.header("webhook-id").to_owned()))
            .map(Call::shown)
            .collect()
    }

    pub(crate) fn tells(&self, wanted: &str, limit: Duration) {
        let told = eventually(limit, || self.told().iter().any(|told| told == wanted));
        assert!(told, "{wanted} is not told: {:#?}", self.told());
    }

    /// The table that names it, and somebody who is told by mail.
    pub(crate) fn table(&self, dir: &Path) -> String {
        let secret = private(&dir.join("webhook.secret"), SECRET);
        let port = self.port;
        format!(
            "[events]\nwebhook = \"http://127.0.0.1:{port}/hook\"\nsecret-file = \"{secret}\"\n\
             mail-to = \"admin@elsewhere.example\"\n"
        )
    }
}

fn read(stream: &mut TcpStream) -> Option<Call> {
    let (head, text) = read_call(stream)?;
    Some(Call { body: serde_json::from_str(&text).ok()?, head, text })
}
