//! Everything that goes on in the background, started and stopped together.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_queue::QueueStore;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Clock;
use crate::book::PrimaryBook;
use crate::carrier::Carrier;
use crate::dispatch::Dispatcher;
use crate::drain::{Context, Stop};
use crate::feed::AheadBudget;
use crate::housekeeping::Housekeeping;
use crate::limits::{LAST_SETTLE, TURNED_WAITING};
use crate::news::Witness;
use crate::notice::{Clerk, Delayed, Notifier, PostRoom};
use crate::requester::Requesters;
use crate::resolve::Lookup;
use crate::returns::Returns;
use crate::reversals;
use crate::settings::DeliverySettings;
use crate::turned::Turned;
use crate::unreached::Unreached;
use crate::why::WhyBook;

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
    /// Who asked for a drain to its own address.
    pub requesters: Arc<dyn Requesters>,
    /// Who is told what an operator or a domain's owner wants to know.
    pub witness: Arc<dyn Witness>,
    /// The time.
    pub clock: Clock,
}

/// Outbound delivery, running. Dropping it cuts everything off; [`shutdown`](Self::shutdown) is kinder.
pub struct Delivery {
    stop: watch::Sender<Stop>,
    reloads: watch::Sender<()>,
    book: Arc<PrimaryBook>,
    lookup: Arc<dyn Lookup>,
    dispatcher: Task,
    reversals: Task,
    door: mpsc::Sender<Turned>,
    unreached: Unreached,
    post_room: PostRoom,
    why: WhyBook,
    returns: Returns,
    _book_keeper: Task,
    _housekeeping: Task,
    _notifier: Task,
    _delayed: Task,
    clerk: Clerk,
    _releases: Task,
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
        let DeliveryParts { store, settings, lookup, carrier, requesters, witness, clock } = parts;
        let (stop, stopped) = watch::channel(Stop::Run);
        let (reloads, reloaded) = watch::channel(());
        let (book, wanted) = PrimaryBook::new(settings.clone(), store.clone());
        let book_keeper = tokio::spawn(book.clone().keep(lookup.clone(), wanted));
        let requests = store.watch();
        let post_room = PostRoom::new(store.clone(), settings.clone(), clock.clone());
        let post_room = post_room.with_witness(witness.clone());
        let asked = lookup.clone();
        let (ahead, unreached) = (AheadBudget::default(), Unreached::default());
        let why = WhyBook::default();
        let returns = Returns::new(store.clone(), settings.clone(), witness.clone());
        let clerk = Clerk::new(post_room.clone());
        let housekeeping = Housekeeping {
            store: store.clone(),
            settings: settings.clone(),
            clock: clock.clone(),
            returns: returns.clone(),
            clerk: clerk.clone(),
        };
        let context = Arc::new(Context {
            store,
            settings,
            lookup,
            carrier,
            requesters,
            witness,
            clock,
            ahead,
            unreached: unreached.clone(),
            why: why.clone(),
            returns: returns.clone(),
            clerk: clerk.clone(),
            stop: stopped,
            reloads: reloaded,
        });
        let (door, calls) = mpsc::channel(TURNED_WAITING);
        Self {
            stop,
            reloads,
            book,
            lookup: asked,
            door,
            unreached,
            post_room,
            why,
            returns: returns.clone(),
            reversals: Task(tokio::spawn(reversals::run(context.clone(), calls))),
            dispatcher: Task(tokio::spawn(Dispatcher::new(context).run(requests))),
            _book_keeper: Task(book_keeper),
            _housekeeping: Task(tokio::spawn(housekeeping.run())),
            _notifier: Task(tokio::spawn(Notifier::new(clerk.clone(), returns.clone()).run())),
            _delayed: Task(tokio::spawn(Delayed::new(clerk.clone()).run())),
            clerk,
            _releases: Task(tokio::spawn(returns.keep_releasing())),
        }
    }

    /// The primaries' addresses.
    #[must_use]
    pub fn book(&self) -> Arc<PrimaryBook> {
        self.book.clone()
    }

    /// Where connections that were turned are handed in. Each is drained by a task of its own; a full channel means that
    /// no more can be taken now.
    #[must_use]
    pub fn door(&self) -> mpsc::Sender<Turned> {
        self.door.clone()
    }

    /// The drains that give way to a customer that calls.
    #[must_use]
    pub fn unreached(&self) -> Unreached {
        self.unreached.clone()
    }

    /// The last failed attempt of each domain since the start.
    #[must_use]
    pub fn why_book(&self) -> WhyBook {
        self.why.clone()
    }

    /// What is known of the primaries between drains.
    #[must_use]
    pub fn returns(&self) -> Returns {
        self.returns.clone()
    }

    /// Where mail of our own is handed in.
    #[must_use]
    pub fn post_room(&self) -> PostRoom {
        self.post_room.clone()
    }

    /// The settings were replaced: the resolver's configuration is read again, new primaries are looked up at once.
    /// Drains of domains whose rules changed finish what is under way and begin anew; others keep what they started with.
    pub fn reloaded(&self) {
        self.reloads.send_replace(());
        self.lookup.reload();
        self.book.reloaded();
        self.clerk.look_again();
    }

    /// Takes up nothing more and lets what is under way finish, for at most `grace`; then connections are dropped.
    /// What was answered until then is recorded before this returns.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.send_replace(Stop::Finish);
        let (dispatcher, reversals) = (&mut self.dispatcher.0, &mut self.reversals.0);
        // One that has ended must not be asked again.
        let mut all = Box::pin(async { tokio::join!(dispatcher, reversals) });
        if timeout(grace, &mut all).await.is_ok() {
            return;
        }
        self.stop.send_replace(Stop::Now);
        // What is not back by now is cut off with its tasks.
        let _ = timeout(LAST_SETTLE, all).await;
    }
}
