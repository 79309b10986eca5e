//! What an operator, or the owner of a domain, is told: each once when it begins and once when it ends, as a line of the
//! log, a metric, a call of the webhook and a mail.
//!
//! [`Alarms`] outlives the store: it is there before the first one opens and while a failed one is opened again. Two tasks
//! belong to it. One takes news, looks at the counts of the queues every few seconds, and writes down what changed before
//! anybody is told. The other calls the webhook, so that one that hangs delays nothing else.

mod board;
mod call;
mod certificate;
mod events;
mod habits;
mod kind;
mod letters;
mod look;
mod memory;
mod sender;
mod settings;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use restante_admin::Metrics;
use restante_api::{AlarmView, timestamp};
use restante_delivery::{Clock, News, PostRoom, Witness};
use restante_queue::{DrainCause, QueueStore};
use restante_turn::Ledger;
use restante_types::{Domain, UnixMillis};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use kind::Kind;
use memory::Memory;
use sender::Pace;
pub(crate) use settings::{Settings, Watched, Webhook};

/// Where mail is held now, and where mail of ours is handed in.
struct Attached {
    store: Arc<dyn QueueStore>,
    post: PostRoom,
}

struct Inner {
    file: PathBuf,
    settings: ArcSwap<Settings>,
    metrics: Arc<Metrics>,
    clock: Clock,
    pace: Pace,
    /// Since when we watch.
    up: UnixMillis,
    memory: Mutex<Memory>,
    /// What delivery told and nobody has looked at: the last word of each sort for each domain.
    news: Mutex<BTreeMap<(u8, Domain), News>>,
    /// Configured domains that were asked for since the last look.
    asked: Mutex<BTreeMap<Domain, UnixMillis>>,
    /// There is news.
    bell: Notify,
    /// There are calls, or another webhook.
    calls: Notify,
    attached: ArcSwapOption<Attached>,
    /// Held while the file is written; whether that failed the last time.
    saving: Arc<tokio::sync::Mutex<bool>>,
    /// Something is not written down yet.
    unsaved: AtomicBool,
}

/// The alarms. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Alarms(Arc<Inner>);

/// The tasks of the alarms; they end with it.
pub(crate) struct Watching {
    alarms: Alarms,
    tasks: [JoinHandle<()>; 2],
}

impl Watching {
    /// Ends them, and writes down what they know.
    pub(crate) async fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.alarms.saved().await;
    }
}

/// Whether the secret in a file can be used.
///
/// # Errors
/// Why it cannot.
pub(crate) fn check_secret(file: &Path) -> std::io::Result<()> {
    call::Secret::read(file).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Alarms {
    /// With what the last run left in the data directory, if that is there already.
    pub(crate) fn new(data_dir: &Path, settings: Settings, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self::paced(data_dir, settings, metrics, clock, Pace::default())
    }

    fn paced(data_dir: &Path, settings: Settings, metrics: Arc<Metrics>, clock: Clock, pace: Pace) -> Self {
        let file = Memory::file(data_dir);
        let mut memory = Memory::read(&file).unwrap_or_else(|error| {
            events::not_read(&file, &error);
            Memory::default()
        });
        memory.keep(&settings);
        metrics.keep(settings.domains.iter().map(|(domain, _)| domain));
        let up = clock();
        Self(Arc::new(Inner {
            file,
            settings: ArcSwap::from_pointee(settings),
            metrics,
            clock,
            pace,
            up,
            memory: Mutex::new(memory),
            news: Mutex::default(),
            asked: Mutex::default(),
            bell: Notify::new(),
            calls: Notify::new(),
            attached: ArcSwapOption::empty(),
            saving: Arc::default(),
            unsaved: AtomicBool::new(false),
        }))
    }

    /// Starts to watch; must be called inside a runtime.
    pub(crate) fn watch(&self) -> Watching {
        let (look, call) = (self.clone(), self.clone());
        let tasks = [
            tokio::spawn(async move { look.watch_on().await }),
            tokio::spawn(async move { call.call_on().await }),
        ];
        Watching { alarms: self.clone(), tasks }
    }

    /// Goes on with other settings.
    pub(crate) fn reload(&self, settings: Settings) {
        lock(&self.0.memory).keep(&settings);
        self.0.metrics.keep(settings.domains.iter().map(|(domain, _)| domain));
        self.0.settings.store(Arc::new(settings));
        self.0.calls.notify_one();
    }

    /// A store is open.
    pub(crate) fn attach(&self, store: Arc<dyn QueueStore>, post: PostRoom) {
        self.0.attached.store(Some(Arc::new(Attached { store, post })));
    }

    /// The store is about to be closed.
    pub(crate) fn detach(&self) {
        self.0.attached.store(None);
    }

    /// The store cannot go on, and is opened again.
    pub(crate) async fn store_failed(&self, cause: &str) {
        let now = (self.0.clock)();
        let detail = watch::line(&format!("the store is opened again: {cause}"));
        let change = lock(&self.0.memory).board.raise((Kind::StoreFailing, None), detail, now);
        self.tell(change.into_iter().collect()).await;
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        self.0.metrics.clone()
    }

    /// The label under which a queue is counted.
    pub(crate) fn label(&self, queue: &Domain) -> String {
        let settings = self.0.settings.load();
        restante_admin::label(queue, settings.covering(queue).map(|(domain, _)| domain))
    }

    /// What is open, the gravest first.
    pub(crate) fn open(&self) -> Vec<AlarmView> {
        let memory = lock(&self.0.memory);
        let view = |((kind, domain), open): (&board::Key, &board::Open)| AlarmView {
            event: kind.name().to_owned(),
            domain: domain.clone(),
            since: timestamp(open.since),
            detail: open.detail.clone(),
            warning: kind.is_warning(),
        };
        memory.board.open().map(view).collect()
    }

    /// The names of all alarms, each with whether it is about one domain.
    pub(crate) fn names() -> Vec<(&'static str, bool)> {
        Kind::ALL.iter().map(|kind| (kind.name(), kind.is_of_domain())).collect()
    }
}

impl Witness for Alarms {
    fn tell(&self, news: News) {
        let (sort, domain) = match &news {
            News::PrimaryDown { domain, .. } | News::PrimaryUp { domain } => (0, domain),
            News::Misrouted { domain, .. } => (1, domain),
            News::CircuitOpen { domain, .. } => (2, domain),
        };
        let settings = self.0.settings.load();
        let Some((domain, _)) = settings.covering(domain) else { return };
        lock(&self.0.news).insert((sort, domain.clone()), news);
        self.0.bell.notify_one();
    }

    fn notice(&self, kind: &'static str, dead: bool) {
        self.0.metrics.notice(kind, if dead { "dead" } else { "queued" });
    }
}

impl Ledger for Alarms {
    fn asked(&self, _: DrainCause, queues: &mut dyn Iterator<Item = &Domain>) {
        let (settings, now) = (self.0.settings.load(), (self.0.clock)());
        let mut asked = lock(&self.0.asked);
        for (domain, _) in queues.filter_map(|queue| settings.covering(queue)) {
            asked.insert(domain.clone(), now);
        }
    }

    fn answered(&self, cause: DrainCause, code: u16) {
        self.0.metrics.answered(&cause.to_string(), code);
    }
}
