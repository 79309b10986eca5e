//! What the counts of the store say: one look at each queue, none at its entries.

use std::collections::BTreeMap;
use std::time::Duration;

use restante_queue::{DomainStats, Health, HoldKind, IndexHealth, IntakeHealth, QueueStore};
use restante_types::{Domain, Printable, UnixMillis};

use super::board::{Board, Change, Finding};
use super::habits::Habits;
use super::kind::Kind;
use super::settings::{Settings, Watched};
use crate::limits::QUEUES_AT_ONCE;

/// [`Kind::RetentionNear`] opens when this part of the retention, in percent, is left.
const RETENTION_LEFT: u32 = 20;
/// It closes when more than this is left.
const RETENTION_SAFE: u32 = 25;

/// A mark of free room, in percent of the mark below which no mail is taken: [`Kind::DiskLow`] opens below this, before
/// mail is refused.
const DISK_LOW: u64 = 125;
/// It closes above this.
const DISK_SAFE: u64 = 150;

/// The queues of one configured domain.
#[derive(Debug, Default)]
struct Sum {
    messages: u64,
    /// The arrival of the oldest, and the queue in which it waits.
    oldest: Option<(UnixMillis, Domain)>,
    /// What is left of its retention, the least first.
    left: Option<(Duration, Domain)>,
    misrouted: Option<String>,
    circuit: Option<String>,
    /// The last time that the next hop took something.
    took: Option<UnixMillis>,
}

impl Sum {
    fn add(&mut self, stats: DomainStats, rules: &Watched, now: UnixMillis) {
        let took = stats.last_drain.as_ref().filter(|last| last.delivered > 0).map(|last| last.at);
        self.took = self.took.max(took);
        if let Some(note) = &stats.held {
            let why = Printable::from(note.reason.as_str()).to_string();
            match note.kind {
                HoldKind::Misrouted => self.misrouted = Some(why),
                HoldKind::Circuit => self.circuit = Some(why),
                HoldKind::Operator | HoldKind::Orphaned => {}
            }
        }
        let Some(oldest) = stats.oldest.filter(|_| stats.messages > 0) else { return };
        self.messages += stats.messages;
        // Time in which the operator stopped the clock is none.
        let left = stats.pauses.expires(oldest, rules.retention, now).since(now);
        if self.left.as_ref().is_none_or(|(least, _)| left < *least) {
            self.left = Some((left, stats.domain.clone()));
        }
        if self.oldest.as_ref().is_none_or(|(first, _)| oldest < *first) {
            self.oldest = Some((oldest, stats.domain));
        }
    }
}

/// What one look at all queues found, by configured domain.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<Domain, Sum>);

impl Seen {
    /// Looks. Lets others run between pages.
    pub(super) async fn look(store: &dyn QueueStore, settings: &Settings, now: UnixMillis) -> Self {
        let mut seen = Self::default();
        let mut after: Option<Domain> = None;
        loop {
            let page = store.stats_page(after.as_ref(), QUEUES_AT_ONCE);
            let Some(last) = page.last() else { return seen };
            after = Some(last.domain.clone());
            for stats in page {
                if let Some((domain, rules)) = settings.covering(&stats.domain) {
                    seen.0.entry(domain.clone()).or_default().add(stats, rules, now);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// What it comes to.
    pub(super) fn judge(
        &self,
        board: &mut Board,
        habits: &Habits,
        settings: &Settings,
        (up, now): (UnixMillis, UnixMillis),
    ) -> Vec<Change> {
        let mut found: BTreeMap<Kind, BTreeMap<Option<Domain>, Finding>> =
            OF_QUEUES.into_iter().map(|kind| (kind, BTreeMap::new())).collect();
        let mut changes = Vec::new();
        let nothing = Sum::default();
        for (domain, rules) in settings.domains.iter() {
            let sum = self.0.get(domain).unwrap_or(&nothing);
            let silent = silent(board, habits, domain, rules, (up, now));
            let findings = [
                (Kind::MailHeld, held(sum, rules)),
                (Kind::Uncollected, uncollected(sum, rules, now)),
                (Kind::RetentionNear, retention(sum, rules)),
                (Kind::Misrouted, sum.misrouted.clone().map(Finding::Holds)),
                (Kind::CircuitOpen, sum.circuit.clone().map(Finding::Holds)),
                (Kind::AgentSilent, silent),
            ];
            for (kind, finding) in findings {
                if let Some(finding) = finding {
                    found.entry(kind).or_default().insert(Some(domain.clone()), finding);
                }
            }
            // Whoever takes mail is up, whether or not delivery still knows that it was down.
            let key = (Kind::PrimaryDown, Some(domain.clone()));
            let since = board.get(&key).map(|open| open.since);
            if since.zip(sum.took).is_some_and(|(since, took)| took > since) {
                changes.extend(board.calm(&key, now));
            }
        }
        changes.extend(found.into_iter().flat_map(|(kind, found)| board.take(kind, found, now)));
        changes
    }
}

/// The kinds that a look at the queues decides.
const OF_QUEUES: [Kind; 6] = [
    Kind::MailHeld,
    Kind::Uncollected,
    Kind::RetentionNear,
    Kind::Misrouted,
    Kind::CircuitOpen,
    Kind::AgentSilent,
];

fn held(sum: &Sum, rules: &Watched) -> Option<Finding> {
    (rules.on_demand && sum.messages > 0).then(|| Finding::Holds(waiting(sum.messages)))
}

fn waiting(messages: u64) -> String {
    if messages == 1 { "1 message waits".to_owned() } else { format!("{messages} messages wait") }
}

fn uncollected(sum: &Sum, rules: &Watched, now: UnixMillis) -> Option<Finding> {
    let (oldest, queue) = sum.oldest.as_ref()?;
    let waited = now.since(*oldest);
    let detail = || format!("{}, the oldest (for {queue}) for {}", waiting(sum.messages), span(waited));
    (waited >= rules.uncollected?).then(|| Finding::Holds(detail()))
}

fn retention(sum: &Sum, rules: &Watched) -> Option<Finding> {
    let (left, queue) = sum.left.as_ref()?;
    if *left <= rules.retention * RETENTION_LEFT / 100 {
        return Some(Finding::Holds(format!("the oldest message for {queue} expires in {}", span(*left))));
    }
    (*left <= rules.retention * RETENTION_SAFE / 100).then_some(Finding::Between)
}

fn silent(
    board: &Board,
    habits: &Habits,
    domain: &Domain,
    rules: &Watched,
    (up, now): (UnixMillis, UnixMillis),
) -> Option<Finding> {
    if let Some(silence) = habits.silent(domain, rules.uncollected, up, now) {
        return Some(Finding::Holds(format!("nobody has asked for its mail for {}", span(silence))));
    }
    // Only a request ends it, not a restart of ours.
    let open = board.get(&(Kind::AgentSilent, Some(domain.clone())))?;
    (!habits.asked_since(domain, open.since)).then_some(Finding::Between)
}

/// What the store's own condition comes to.
pub(super) fn judge_store(board: &mut Board, health: &Health, now: UnixMillis) -> Vec<Change> {
    let one = |finding: Option<Finding>| finding.map(|finding| (None, finding)).into_iter().collect();
    let mut changes = board.take(Kind::DiskLow, one(disk(health)), now);
    changes.extend(board.take(Kind::StoreFailing, one(failing(health)), now));
    changes
}

fn disk(health: &Health) -> Option<Finding> {
    if health.intake == IntakeHealth::LowDisk {
        return Some(Finding::Holds("mail is refused: the disk is too full".to_owned()));
    }
    let octets = health.free_bytes.zip(health.low_water_bytes).and_then(|room| near(room, "octets"));
    let inodes = health.inodes.and_then(|room| near((room.free, room.low_water), "inodes"));
    // That one of them is back does not say that there is room.
    match (octets, inodes) {
        (holds @ Some(Finding::Holds(_)), _) | (_, holds @ Some(Finding::Holds(_))) => holds,
        (octets, inodes) => octets.or(inodes),
    }
}

/// How near what is free is to the mark below which no mail is taken.
fn near((free, mark): (u64, u64), what: &str) -> Option<Finding> {
    let share = |percent: u64| mark.saturating_mul(percent) / 100;
    if free < share(DISK_LOW) {
        return Some(Finding::Holds(format!("{free} {what} are free; below {mark} mail is refused")));
    }
    (free < share(DISK_SAFE)).then_some(Finding::Between)
}

fn failing(health: &Health) -> Option<Finding> {
    let cause = match (&health.intake, &health.index) {
        (IntakeHealth::Failing(cause), _) => format!("mail is refused: {cause}"),
        (_, IndexHealth::Failing(cause)) => format!("no mail leaves: {cause}"),
        _ => return None,
    };
    Some(Finding::Holds(Printable::from(cause.as_str()).to_string()))
}

/// A span for people: `3 d`, `5 h`, `12 min`.
pub(super) fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 2 * 86_400 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 2 * 3_600 => format!("{} h", seconds / 3_600),
        seconds if seconds >= 120 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use restante_queue::InodeRoom;

    use super::*;

    fn health(free: u64, intake: IntakeHealth) -> Health {
        Health {
            inodes: None,
            intake,
            index: IndexHealth::Ready,
            free_bytes: Some(free),
            low_water_bytes: Some(100),
            messages: 0,
            damaged: 0,
            clock_doubted: false,
        }
    }

    #[test]
    fn a_disk_that_fills_is_told_before_mail_is_refused_and_once() {
        let mut board = Board::default();
        let mut minute = 0;
        let mut look = |free: u64, intake: IntakeHealth| -> Vec<bool> {
            minute += 1;
            let now = UnixMillis(minute * 120_000);
            judge_store(&mut board, &health(free, intake), now).iter().map(|change| change.open).collect()
        };
        assert!(look(150, IntakeHealth::Open).is_empty());
        assert!(look(125, IntakeHealth::Open).is_empty());
        assert_eq!(look(124, IntakeHealth::Open), [true]);
        for free in [126, 124, 149, 99] {
            assert!(look(free, IntakeHealth::Open).is_empty(), "{free}");
        }
        assert!(look(99, IntakeHealth::LowDisk).is_empty());
        assert!(look(150, IntakeHealth::Open).is_empty(), "it must stay so");
        assert_eq!(look(150, IntakeHealth::Open), [false]);
        assert_eq!(look(1000, IntakeHealth::Failing("EIO".into())), [true]);
    }

    #[test]
    fn inodes_that_run_out_are_told_before_mail_is_refused_too() {
        let mut board = Board::default();
        let mut minute = 0;
        let mut look = |octets: u64, inodes: u64| -> Vec<(bool, String)> {
            minute += 1;
            let now = UnixMillis(minute * 120_000);
            let inodes = Some(InodeRoom { free: inodes, low_water: 1000 });
            let health = Health { inodes, ..health(octets, IntakeHealth::Open) };
            let changes = judge_store(&mut board, &health, now);
            changes.into_iter().map(|change| (change.open, change.detail)).collect()
        };
        assert_eq!(look(150, 1500), []);
        assert_eq!(look(150, 1250), []);
        let told = "1249 inodes are free; below 1000 mail is refused".to_owned();
        assert_eq!(look(150, 1249), [(true, told)]);
        // It is one alarm, and open until there is enough of both.
        for (octets, inodes) in [(124, 1249), (124, 2000), (150, 1499), (149, 1500), (150, 1500)] {
            assert_eq!(look(octets, inodes), [], "{octets}, {inodes}");
        }
        let closed: Vec<_> = look(150, 1500).into_iter().map(|(open, _)| open).collect();
        assert_eq!(closed, [false]);
        let told = "124 octets are free; below 100 mail is refused".to_owned();
        assert_eq!(look(124, 1400), [(true, told)]);
    }

    #[test]
    fn spans_are_for_people() {
        let shown = |seconds| span(Duration::from_secs(seconds));
        assert_eq!([0, 119, 120, 7200, 172_800].map(shown), ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
