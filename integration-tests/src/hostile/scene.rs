//! A daemon with everybody around it, a bad network between all of them, and the books of what was sent.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::said::{Said, entries, lines_about};
use super::{
    Account, Attempt, By, Circumstances, Collector, Happened, Ledger, Letterbox, Manner, Proxy, Random,
    Sender, Weather, request,
};
use crate::{Agent, DaemonOptions, Provider, binary, eventually};

/// Messages whose way is shown when it was wrong.
const SUSPECTS: usize = 5;
/// Attempts in bad weather; what is left is sent when it is calm again.
const ATTEMPTS: u32 = 6;
/// For what did not happen in the time that was given.
const AT_LAST: Duration = Duration::from_secs(180);
/// Before the next attempt, times the number of attempts so far.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Copies that arrived may be fewer than entries acknowledged by so many; then senders wait for the queues, which a bad
/// network drains more slowly than it fills them.
const BEHIND: usize = 1500;
/// The sender of everything is at a domain that we hold, so that notices arrive here too.
const SENDER: &str = "a@example.com";

/// Who gets the message with this number.
#[must_use]
pub fn recipients_of(seed: usize) -> Vec<String> {
    let mut recipients = Vec::new();
    if !seed.is_multiple_of(5) {
        recipients.push(format!("b{}@example.org", seed % 7));
    }
    if seed.is_multiple_of(3) || seed.is_multiple_of(5) {
        recipients.push("c@example.com".to_owned());
    }
    if seed.is_multiple_of(11) {
        recipients.push(format!("refused{seed}@example.org"));
    }
    if seed.is_multiple_of(13) {
        recipients.push("later@example.org".to_owned());
    }
    if seed.is_multiple_of(97) {
        recipients.extend((0..120).map(|number| format!("many{number}@example.org")));
    }
    recipients
}

/// Everybody. example.org is collected and asked for, example.com is pushed.
#[derive(Debug)]
pub struct Scene {
    /// The daemon with its account; whoever stops it holds this.
    pub provider: Mutex<Provider>,
    password: &'static str,
    config: PathBuf,
    /// What was sent.
    pub ledger: Ledger,
    /// What arrived.
    pub letterbox: Letterbox,
    intake: Arc<Proxy>,
    primaries: Vec<Arc<Proxy>>,
    calls: Arc<Proxy>,
    agent_calls: Arc<Proxy>,
    agent: Agent,
    next: AtomicUsize,
    unsent: Mutex<Vec<usize>>,
    kills: Mutex<Vec<Instant>>,
    taken: AtomicUsize,
    requests: AtomicUsize,
    collections: AtomicUsize,
    agent_collections: AtomicUsize,
    late: AtomicBool,
}

/// The ways on which mail came to its customers, in copies, and how often they were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paths {
    /// By a connection of the server's that ETRN asked for.
    pub requested: usize,
    /// By one of its own accord.
    pub pushed: usize,
    /// By ATRN.
    pub atrn: usize,
    /// By the agent.
    pub agent: usize,
    /// Answers to ETRN.
    pub requests: usize,
    /// ATRN that was answered by 250.
    pub collections: usize,
    /// The agent's collections that brought something.
    pub agent_collections: usize,
}

impl Paths {
    /// Whether each was taken.
    #[must_use]
    pub fn have_each(&self) -> bool {
        let Self { requested, pushed, atrn, agent, requests, collections, agent_collections } = *self;
        [requested, pushed, atrn, agent, requests, collections, agent_collections]
            .iter()
            .all(|count| *count > 0)
    }
}

impl fmt::Display for Paths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requested, pushed, atrn, agent, requests, collections, agent_collections } = self;
        write!(
            out,
            "{requests} answers to ETRN, {collections} collections by ATRN, {agent_collections} by the agent; copies \
             arrived: {requested} asked for by ETRN, {pushed} pushed, {atrn} by ATRN, {agent} by the agent"
        )
    }
}

impl Scene {
    /// Starts everybody; `more` are further lines of `[domain-defaults]`.
    ///
    /// # Panics
    /// When somebody does not come up.
    #[must_use]
    pub fn start(weather: Weather, more: &str) -> Self {
        let options = DaemonOptions {
            defaults: format!("notices = \"all\"\ncircuit = []\n{more}"),
            // What stands first here belongs to example.com.
            tables: "mode = \"push\"\n".to_owned(),
            ..DaemonOptions::default()
        };
        let provider =
            Provider::start(options, "tls = \"starttls\"", &["--allow-cleartext", "--legacy-cram-md5"]);
        let ports = provider.daemon.ports();
        let letterbox = Letterbox::new();
        let mut seeds = Random::new(weather.seed);
        let mut proxy = |port, target, replayed| {
            Arc::new(Proxy::start(port, target, Weather { seed: seeds.number(), replayed, ..weather }))
        };
        let mut primary = |port, by| {
            let slot = Arc::new(Mutex::new(None));
            let proxy = proxy(port, letterbox.open(by, Arc::clone(&slot)), weather.replayed);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&proxy));
            proxy
        };
        let primaries = vec![primary(ports.org, By::Request), primary(ports.com, By::Push)];
        let intake = proxy(0, ports.smtp, weather.replayed);
        // A customer's dialogue that is said again would be one more customer.
        let (calls, agent_calls) = (proxy(0, provider.odmr(), 0), proxy(0, provider.odmr(), 0));
        let local = letterbox.open_for_agent(Arc::clone(&agent_calls));
        let agent = provider.agent(&format!("127.0.0.1:{local}"), "");
        let text = std::fs::read_to_string(agent.config()).expect("it was written");
        let (direct, detour) = (format!(":{}\"", provider.odmr()), format!(":{}\"", agent_calls.port()));
        std::fs::write(agent.config(), text.replace(&direct, &detour)).expect("it can be written");
        Self {
            password: provider.password(),
            config: provider.daemon.config(),
            provider: Mutex::new(provider),
            ledger: Ledger::default(),
            letterbox,
            intake,
            primaries,
            calls,
            agent_calls,
            agent,
            next: AtomicUsize::new(0),
            unsent: Mutex::default(),
            kills: Mutex::default(),
            taken: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            collections: AtomicUsize::new(0),
            agent_collections: AtomicUsize::new(0),
            late: AtomicBool::new(false),
        }
    }

    fn proxies(&self) -> impl Iterator<Item = (&'static str, &Arc<Proxy>)> {
        let names = ["senders", "primary of example.org", "primary of example.com", "collector", "agent"];
        let [org, com] = self.primaries.as_slice() else { unreachable!("there are two") };
        names.into_iter().zip([&self.intake, org, com, &self.calls, &self.agent_calls])
    }

    /// The daemon, for whoever works on it.
    pub fn provider(&self) -> MutexGuard<'_, Provider> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The primaries are there, or refuse every connection.
    pub fn set_down(&self, down: bool) {
        self.primaries.iter().for_each(|proxy| proxy.set_down(down));
    }

    /// Sends messages by swaks over TLS, where it is installed.
    pub fn send_by_swaks(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let recipients = recipients_of(number);
            let attempt = super::courier::by_swaks(self.intake.port(), SENDER, &recipients, number);
            self.ledger.note(number, &recipients, &attempt);
            if !matches!(attempt, Attempt::Acknowledged(_)) {
                self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// What happened to all connections so far.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.proxies().fold(Happened::default(), |all, (_, proxy)| all.and(proxy.happened()))
    }

    /// How mail came to its customers so far.
    #[must_use]
    pub fn paths(&self) -> Paths {
        let by = |by| self.letterbox.count_by(by);
        Paths {
            requested: by(By::Request),
            pushed: by(By::Push),
            atrn: by(By::Atrn),
            agent: by(By::Agent),
            requests: self.requests.load(Ordering::SeqCst),
            collections: self.collections.load(Ordering::SeqCst),
            agent_collections: self.agent_collections.load(Ordering::SeqCst),
        }
    }

    /// Whether it is time to leave the queue to others who collect: mail came in this way, and the time is over.
    fn makes_room(&self, by: By) -> bool {
        self.late.load(Ordering::SeqCst) && self.letterbox.count_by(by) > 0
    }

    /// Lets it go on for `length`, and then for minutes at most until every fault happened and mail came in every way;
    /// `act` is called again and again.
    pub fn weather(&self, length: Duration, mut act: impl FnMut()) {
        let began = Instant::now();
        let all = || self.happened().has_each() && self.paths().have_each();
        while began.elapsed() < length || (began.elapsed() < length + AT_LAST && !all()) {
            self.late.store(began.elapsed() >= length, Ordering::SeqCst);
            act();
        }
    }

    /// Sends one message after the other.
    pub fn send(&self, stop: &AtomicBool, seed: u64) {
        let mut random = Random::new(seed);
        while !stop.load(Ordering::SeqCst) {
            if self.taken.load(Ordering::SeqCst) > self.letterbox.count() + BEHIND {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let taken = (1..=ATTEMPTS).any(|count| {
                let taken = self.attempt(number, Manner::any(&mut random));
                if !taken {
                    std::thread::sleep(BACK_OFF * count);
                }
                taken
            });
            if !taken {
                self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            }
        }
    }

    /// Runs one of the administrator's commands, also while the daemon is dead.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn admin(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(args).arg("--config").arg(&self.config).stdin(Stdio::null());
        command.output().expect("the program starts")
    }

    /// Kills the daemon, and notes when it was dead.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn kill(&self) {
        let mut provider = self.provider();
        provider.daemon.kill();
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        provider.daemon.run();
    }

    fn attempt(&self, number: usize, manner: Manner) -> bool {
        let recipients = recipients_of(number);
        let sender =
            Sender { port: self.intake.port(), sender: SENDER, recipients: &recipients, seed: number };
        let attempt = sender.attempt(manner);
        self.ledger.note(number, &recipients, &attempt);
        let taken = matches!(attempt, Attempt::Acknowledged(_));
        if taken {
            // One for each domain, and a notice.
            let domains = ["@example.org", "@example.com"].iter();
            let entries = domains.filter(|domain| recipients.iter().any(|to| to.ends_with(**domain))).count();
            let notice = usize::from(recipients.iter().any(|recipient| recipient.starts_with("refused")));
            self.taken.fetch_add(entries + notice, Ordering::SeqCst);
        }
        taken
    }

    /// Asks for example.org's mail by ETRN, again and again.
    pub fn ask(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            if self.makes_room(By::Request) {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            if request(self.intake.port(), "ETRN example.org").is_ok_and(|reply| reply.starts_with("25")) {
                self.requests.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    /// Collects it by ATRN, in clear.
    pub fn collect(&self, stop: &AtomicBool) {
        let collector = Collector { letterbox: &self.letterbox, proxy: &self.calls, password: self.password };
        for number in (0..).take_while(|_| !stop.load(Ordering::SeqCst)) {
            if self.makes_room(By::Atrn) {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            if collector.call("example.org", number).is_ok_and(|reply| reply.starts_with("250")) {
                self.collections.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Collects it by the agent, over TLS.
    pub fn run_agent(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let before = self.letterbox.count_by(By::Agent);
            let _ = self.agent.collect();
            let brought = self.letterbox.count_by(By::Agent) > before;
            self.agent_collections.fetch_add(usize::from(brought), Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Good weather, or bad again.
    pub fn set_calm(&self, calm: bool) {
        self.proxies().for_each(|(_, proxy)| proxy.set_calm(calm));
    }

    /// Sends what could not be sent, and drains everything.
    ///
    /// # Panics
    /// When it cannot be sent in good weather, or the queues do not empty in `limit`.
    pub fn finish(&self, limit: Duration) {
        self.set_calm(true);
        let unsent = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        for number in unsent {
            let taken = (0..ATTEMPTS).any(|_| self.attempt(number, Manner::Plain));
            assert!(taken, "{number} is not taken in good weather");
        }
        let provider = self.provider();
        let empty = eventually(limit, || {
            let asked = request(self.intake.port(), "ETRN example.org");
            let empty = provider.daemon.json(&["list"]).is_empty();
            if !empty {
                std::thread::sleep(Duration::from_millis(500));
            }
            empty && asked.is_ok()
        });
        let left = provider.daemon.json(&["list"]);
        assert!(empty, "{} entries are left, one of them {:?}", left.len(), left.first());
    }

    /// What is to be said of the books, with what the server's log and lists say.
    #[must_use]
    pub fn account(&self) -> Account {
        let provider = self.provider();
        let log = provider.daemon.log();
        let said = Said::read(&log);
        assert!(!said.accepted.is_empty(), "the log names no accepted message");
        let circumstances = Circumstances {
            held: entries(&provider.daemon.json(&["list"])),
            deleted: entries(&provider.daemon.json(&["list", "--state", "deleted"])),
            said,
            kills: self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            replays: self.intake.replays(),
        };
        let account = self.ledger.account(&self.letterbox.arrivals(), &circumstances);
        for id in account.suspects.iter().take(SUSPECTS) {
            eprintln!("{id}:\n{}", lines_about(&log, id));
        }
        account
    }

    /// What went on, one line for each of the proxies, and one for those who asked.
    #[must_use]
    pub fn told(&self) -> String {
        let mut lines: Vec<_> =
            self.proxies().map(|(name, proxy)| format!("{name}: {}", proxy.happened())).collect();
        lines.push(format!("all: {}", self.happened()));
        lines.push(self.paths().to_string());
        lines.join("\n")
    }
}
