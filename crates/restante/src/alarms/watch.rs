//! The task that looks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use restante_delivery::{News, PostError};
use restante_queue::IndexHealth;
use restante_types::{Domain, Printable, UnixMillis};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::board::{Board, Change, Finding};
use super::call::Call;
use super::kind::Kind;
use super::letters::Due;
use super::look::{Seen, judge_store};
use super::{Alarms, Attached, certificate, events, letters, lock, memory};
use crate::limits::{
    ALARMS_LOOK, ALARMS_SAVING, ALARMS_SHARE, CERTIFICATE_DATE_LOOK, HABITS_SAVED, LETTERS_AT_ONCE,
    LETTERS_PAUSE, MAX_DETAIL,
};

/// A line for people: printable, and not too long.
pub(super) fn line(text: &str) -> String {
    let text = Printable::from(text).to_string();
    match text.char_indices().nth(MAX_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// When something that is done now and then was done last.
#[derive(Default)]
pub(super) struct Last {
    certificate: Option<UnixMillis>,
    saved: Option<UnixMillis>,
    /// The store took no letter.
    refused: Option<UnixMillis>,
}

fn is_due(last: Option<UnixMillis>, now: UnixMillis, every: std::time::Duration) -> bool {
    last.is_none_or(|last| now.since(last) >= every || now < last)
}

impl Alarms {
    pub(super) async fn watch_on(&self) {
        let mut last = Last::default();
        let mut pause = ALARMS_LOOK;
        loop {
            let looks = tokio::select! {
                () = self.0.bell.notified() => false,
                () = sleep(pause) => true,
            };
            self.hear((self.0.clock)()).await;
            if looks {
                let begun = Instant::now();
                self.look(&mut last).await;
                pause = ALARMS_LOOK.max(begun.elapsed() * ALARMS_SHARE);
            }
        }
    }

    /// Takes what delivery told.
    pub(super) async fn hear(&self, now: UnixMillis) {
        let news = std::mem::take(&mut *lock(&self.0.news));
        let changes = {
            let mut memory = lock(&self.0.memory);
            news.into_iter()
                .filter_map(|((_, domain), news)| heard(&mut memory.board, domain, news, now))
                .collect()
        };
        self.tell(changes).await;
    }

    async fn look(&self, last: &mut Last) {
        let now = (self.0.clock)();
        if is_due(last.certificate, now, CERTIFICATE_DATE_LOOK) {
            last.certificate = Some(now);
            self.look_at_certificate(now).await;
        }
        let attached = self.0.attached.load_full();
        if let Some(attached) = &attached {
            self.look_at(attached, now).await;
        }
        if is_due(last.saved, now, HABITS_SAVED) {
            last.saved = Some(now);
            self.0.unsaved.store(true, Ordering::Relaxed);
        }
        if self.0.unsaved.load(Ordering::Relaxed) {
            self.saved().await;
        }
        if let Some(attached) = &attached {
            self.write_letters(attached, last, now).await;
        }
    }

    /// What the counts of the queues say, and the store's condition.
    pub(super) async fn look_at(&self, attached: &Arc<Attached>, now: UnixMillis) {
        let settings = self.0.settings.load_full();
        let health = attached.store.health();
        // While the log is read again, the counts say nothing.
        let counted = matches!(health.index, IndexHealth::Ready);
        let seen = if counted { Some(Seen::look(&*attached.store, &settings, now).await) } else { None };
        // What a store says that is being closed is no news.
        if !self.0.attached.load().as_ref().is_some_and(|still| Arc::ptr_eq(still, attached)) {
            return;
        }
        let asked = std::mem::take(&mut *lock(&self.0.asked));
        let changes = {
            let mut memory = lock(&self.0.memory);
            asked.into_iter().for_each(|(domain, at)| memory.habits.asked(domain, at));
            let mut changes = judge_store(&mut memory.board, &health, now);
            if let Some(seen) = seen {
                let memory = &mut *memory;
                changes.extend(seen.judge(&mut memory.board, &memory.habits, &settings, (self.0.up, now)));
            }
            changes
        };
        self.tell(changes).await;
    }

    async fn look_at_certificate(&self, now: UnixMillis) {
        let file = self.0.settings.load().certificate.clone();
        let looked = spawn_blocking(move || certificate::look(&file?, now)).await;
        let found: BTreeMap<Option<Domain>, Finding> =
            looked.ok().flatten().map(|finding| (None, finding)).into_iter().collect();
        let changes = lock(&self.0.memory).board.take(Kind::CertificateExpiring, found, now);
        self.tell(changes).await;
    }

    /// Logs and counts what changed, writes it down together with the calls that follow from it, and only then lets
    /// anybody be told.
    pub(super) async fn tell(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let settings = self.0.settings.load_full();
        for change in &changes {
            events::changed(change);
            if change.open {
                self.0.metrics.alarm(change.key.0.name());
            }
        }
        if settings.webhook.is_some() {
            let mut memory = lock(&self.0.memory);
            for change in &changes {
                if let Some(gone) = memory.call(Call::about(change, &settings.hostname)) {
                    events::call_dropped(&gone.id, "too many calls wait");
                }
            }
        }
        self.saved().await;
        self.0.calls.notify_one();
    }

    /// Writes down what is known. Comes back when it is on the disk; after a while also without.
    pub(super) async fn saved(&self) {
        self.0.unsaved.store(true, Ordering::Relaxed);
        let alarms = self.clone();
        // A task of its own: whoever stops waiting must not stop the writing.
        let saving = tokio::spawn(async move { alarms.save().await });
        let _late_or_done = timeout(ALARMS_SAVING, saving).await;
    }

    async fn save(&self) {
        // A disk that hangs must not gather tasks; what changes meanwhile is written in the next round.
        let Ok(mut failed) = self.0.saving.clone().try_lock_owned() else { return };
        self.0.unsaved.store(false, Ordering::Relaxed);
        let (file, text) = (self.0.file.clone(), lock(&self.0.memory).text());
        let written = spawn_blocking(move || memory::write(&file, &text)).await;
        let error = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = &error {
            self.0.unsaved.store(true, Ordering::Relaxed);
            if !*failed {
                events::not_saved(&self.0.file, error);
            }
        }
        *failed = error.is_some();
    }

    /// Posts what is due. A store that takes none now is asked again in a while.
    pub(super) async fn write_letters(&self, attached: &Attached, last: &mut Last, now: UnixMillis) {
        let settings = self.0.settings.load_full();
        let due = letters::due(&mut lock(&self.0.memory), &settings, now);
        if last.refused.is_some_and(|refused| !is_due(Some(refused), now, LETTERS_PAUSE)) {
            self.remember(&due);
            return;
        }
        let mut sent = false;
        for (index, one) in due.iter().take(LETTERS_AT_ONCE).enumerate() {
            let (name, to) = (one.key.0.name(), &one.letter.to);
            match attached.post.post(&one.letter).await {
                Ok(id) => events::mailed(to, name, id),
                Err(error) => {
                    events::not_mailed(to, name, &error);
                    if matches!(error, PostError::Store(_)) {
                        last.refused = Some(now);
                        self.remember(&due[index..]);
                        break;
                    }
                    // To this address nothing can go; it counts as told.
                }
            }
            sent = true;
            letters::sent(&mut lock(&self.0.memory), one.key.clone(), one.open, now);
        }
        if sent {
            self.saved().await;
        }
    }

    /// The store takes no letter now; what these would tell is told later, even if it is over by then.
    fn remember(&self, due: &[Due]) {
        let is_new = letters::remember(&mut lock(&self.0.memory), due);
        self.0.unsaved.fetch_or(is_new, Ordering::Relaxed);
    }
}

fn heard(board: &mut Board, domain: Domain, news: News, now: UnixMillis) -> Option<Change> {
    let mut raise = |kind: Kind, why: &str| board.raise((kind, Some(domain.clone())), line(why), now);
    match news {
        News::PrimaryDown { why, .. } => raise(Kind::PrimaryDown, &why),
        News::Misrouted { why, .. } => raise(Kind::Misrouted, &why),
        News::CircuitOpen { why, .. } => raise(Kind::CircuitOpen, &why),
        News::PrimaryUp { .. } => board.calm(&(Kind::PrimaryDown, Some(domain)), now),
    }
}
