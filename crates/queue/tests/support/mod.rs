//! What the tests of the embedded store share.
#![allow(dead_code, reason = "not every test needs everything")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_queue::conformance::{ManualClock, Subject};
use restante_queue::{EmbeddedOptions, EmbeddedStore, Entry, Filter, IndexHealth, OpenError, ProbeCommand};
use restante_types::DeliveryState;

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("it is a number"))
}

/// Tells what happens, past the test harness, which keeps what a passing test prints.
pub(crate) fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}

/// This test program as the probe's child; it must have a test `probe_child` that calls [`probe_child`].
pub(crate) fn probe() -> ProbeCommand {
    let args = ["--exact", "probe_child", "--test-threads=1"].map(Into::into).into();
    ProbeCommand { program: std::env::current_exe().unwrap(), args }
}

/// The child's part: does nothing unless it is one.
pub(crate) fn probe_child() {
    let last = std::env::args_os().next_back().map(PathBuf::from);
    if let Some(dir) = last.filter(|dir| dir.is_absolute() && dir.ends_with("index")) {
        restante_queue::probe(&dir).unwrap();
    }
}

pub(crate) fn options(dir: &Path, clock: &Arc<ManualClock>) -> EmbeddedOptions {
    EmbeddedOptions {
        clock: Arc::clone(clock) as _,
        cache_bytes: 4 << 20,
        probe: Some(probe()),
        ..EmbeddedOptions::new(dir)
    }
}

pub(crate) async fn open_at(dir: &Path, clock: Arc<ManualClock>) -> Subject {
    let end = Instant::now() + Duration::from_secs(10);
    let store = loop {
        let options = options(dir, &clock);
        match tokio::task::spawn_blocking(move || EmbeddedStore::open(options)).await.unwrap() {
            // Another test's probe has just been forked and holds a copy of our lock until it is executed.
            Err(OpenError::InUse(_)) if Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => break opened.unwrap(),
        }
    };
    let subject = Subject { store: Arc::new(store), clock };
    until(|| subject.store.health().index == IndexHealth::Ready).await;
    subject
}

/// As if killed: nothing is closed in order.
pub(crate) async fn abandon(subject: Subject) -> Arc<ManualClock> {
    let Subject { store, clock } = subject;
    tokio::task::spawn_blocking(move || drop(store)).await.unwrap();
    clock
}

pub(crate) async fn close(subject: Subject) -> Arc<ManualClock> {
    subject.store.close().await;
    abandon(subject).await
}

pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "it does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every entry, deleted ones too.
pub(crate) async fn all(subject: &Subject) -> Vec<Entry> {
    let filter = Filter { states: DeliveryState::ALL.to_vec(), ..Filter::default() };
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let page = subject.store.list(&filter, after.as_ref(), 1000).await.unwrap();
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return entries;
        }
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_dir(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}
