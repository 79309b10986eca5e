//! Reading ahead.

use std::sync::Arc;

use restante_queue::{DrainCause, StoreError};
use restante_types::QueueId;

use super::lane::Shared;
use super::state::{State, scope};

impl Shared {
    /// Reads a page in the background when little is at hand.
    pub(super) fn load_if_low(self: &Arc<Self>, state: &mut State) {
        if let Some((cause, after, limit)) = state.wants_page() {
            state.keep_loader(tokio::spawn(self.clone().load(cause, after, limit)));
        }
    }

    async fn load(self: Arc<Self>, cause: DrainCause, after: Option<QueueId>, limit: usize) {
        let page = self.store.due(&self.lease, scope(cause, (self.clock)()), after, limit).await;
        {
            let mut state = self.state();
            match page {
                Ok(page) => {
                    state.page_read(page);
                    self.read_ahead(&state);
                }
                Err(error) => {
                    state.page_read(Vec::new());
                    state.stop(Some(match error {
                        StoreError::Fenced => "the domain was stopped".to_owned(),
                        error => error.to_string(),
                    }));
                }
            }
        }
        self.changed.notify_waiters();
    }
}
