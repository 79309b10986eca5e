//! Random operations on the embedded store agree with a map, over restarts and the loss of the index too.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use restante_queue::conformance::model::{self, Reopen};
use restante_queue::conformance::{ManualClock, Subject};
use restante_queue::{EmbeddedOptions, EmbeddedStore, QueueStore};

fn open(dir: &Path, clock: Arc<ManualClock>) -> Subject {
    let options =
        EmbeddedOptions { clock: Arc::clone(&clock) as _, cache_bytes: 4 << 20, ..EmbeddedOptions::new(dir) };
    Subject { store: Arc::new(EmbeddedStore::open(options).unwrap()), clock }
}

async fn reopen(dir: PathBuf, subject: Subject, how: Reopen) -> Subject {
    let Subject { store, clock } = subject;
    if how != Reopen::Dropped {
        store.close().await;
    }
    tokio::task::spawn_blocking(move || {
        drop::<Arc<dyn QueueStore>>(store);
        if how == Reopen::IndexLost {
            std::fs::remove_dir_all(dir.join("index")).unwrap();
        }
        open(&dir, clock)
    })
    .await
    .unwrap()
}

fn agree(steps: &[u32]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let subject = open(&path, Arc::default());
        model::check(subject, steps, |subject, how| reopen(path.clone(), subject, how)).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_agrees_with_a_map(steps in proptest::collection::vec(any::<u32>(), 1..60)) {
        agree(&steps);
    }
}
