//! Everything that goes on in the background, started and stopped together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_queue::QueueStore;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Clock;
use crate::book::PrimaryBook;
use crate::carrier::Carrier;
use crate::dispatch::Dispatcher;
use crate::drain::{Context, Stop};
use crate::feed::AheadBudget;
use crate::housekeeping::Housekeeping;
use crate::limits::LAST_SETTLE;
use crate::resolve::Lookup;
use crate::settings::DeliverySettings;

/// What delivery works with.
pub struct DeliveryParts {
    /// The queue. Delivery becomes the reader of its `watch`.
    pub store: Arc<dyn QueueStore>,
    /// Replaced by the program on reload; then [`Delivery::reloaded`] wants to be called.
    pub settings: Arc<ArcSwap<DeliverySettings>>,
    /// The DNS.
    pub lookup: Arc<dyn Lookup>,
    /// The way over one connection.
    pub carrier: Arc<dyn Carrier>,
    /// The time.
    pub clock: Clock,
}

/// Outbound delivery, running. Dropping it cuts everything off; [`shutdown`](Self::shutdown) is kinder.
pub struct Delivery {
    stop: watch::Sender<Stop>,
    book: Arc<PrimaryBook>,
    lookup: Arc<dyn Lookup>,
    dispatcher: Task,
    _book_keeper: Task,
    _housekeeping: Task,
}

/// Ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Delivery {
    /// Starts dispatching, the book of primaries and housekeeping. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(parts: DeliveryParts) -> Self {
        let DeliveryParts { store, settings, lookup, carrier, clock } = parts;
        let (stop, stopped) = watch::channel(Stop::Run);
        let (book, wanted) = PrimaryBook::new(settings.clone(), store.clone());
        let book_keeper = tokio::spawn(book.clone().keep(lookup.clone(), wanted));
        let housekeeping =
            Housekeeping { store: store.clone(), settings: settings.clone(), clock: clock.clone() };
        let requests = store.watch();
        let asked = lookup.clone();
        let ahead = AheadBudget::default();
        let failures = Mutex::new(HashMap::new());
        let context =
            Arc::new(Context { store, settings, lookup, carrier, clock, ahead, stop: stopped, failures });
        Self {
            stop,
            book,
            lookup: asked,
            dispatcher: Task(tokio::spawn(Dispatcher::new(context).run(requests))),
            _book_keeper: Task(book_keeper),
            _housekeeping: Task(tokio::spawn(housekeeping.run())),
        }
    }

    /// The primaries' addresses.
    #[must_use]
    pub fn book(&self) -> Arc<PrimaryBook> {
        self.book.clone()
    }

    /// The settings were replaced: the resolver's configuration is read again, new primaries are looked up at once. Drains that run keep what they started with.
    pub fn reloaded(&self) {
        self.lookup.reload();
        self.book.reloaded();
    }

    /// Takes up nothing more and lets what is under way finish, for at most `grace`; then connections are dropped.
    /// What was answered until then is recorded before this returns.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.send_replace(Stop::Finish);
        if timeout(grace, &mut self.dispatcher.0).await.is_ok() {
            return;
        }
        self.stop.send_replace(Stop::Now);
        // What is not back by now is cut off with its tasks.
        let _ = timeout(LAST_SETTLE, &mut self.dispatcher.0).await;
    }
}
