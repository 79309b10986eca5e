//! The embedded store passes the suite that every store passes.

use std::sync::{Arc, Mutex};

use restante_queue::conformance::{self, ManualClock};
use restante_queue::{EmbeddedOptions, EmbeddedStore, QueueStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_conforms() {
    let dirs = Mutex::new(Vec::new());
    conformance::run(|clock: Arc<ManualClock>| {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { clock, ..EmbeddedOptions::new(dir.path()) };
        dirs.lock().unwrap().push(dir);
        async move {
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(options)).await;
            Arc::new(opened.unwrap().unwrap()) as Arc<dyn QueueStore>
        }
    })
    .await;
}
