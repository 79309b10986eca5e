//! The log's threads: one writes messages, one marks, one gives room back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::Place;
use super::inbox::Inbox;
use super::marker::{MarkCall, Marker};
use super::shared::Shared;
use super::space::Sweeper;
use super::writer::{Append, Writer};
use crate::error::StoreError;
use crate::limits::{SWEEP_PAUSE, URGENT_SWEEP};

/// How work reaches the threads.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    pub(crate) appends: Inbox<Append>,
    pub(crate) marks: Inbox<MarkCall>,
    pub(crate) dead: Inbox<Place>,
}

impl Inboxes {
    /// Lets nothing in any more; the threads finish what they have and end.
    pub(crate) fn close(&self) {
        self.appends.close();
        self.marks.close();
        self.dead.close();
    }
}

/// Sees to it that nobody waits for a thread that is gone, whatever ended it.
struct Ending<'a, T> {
    inbox: &'a Inbox<T>,
    shared: &'a Shared,
}

impl<T> Drop for Ending<'_, T> {
    fn drop(&mut self) {
        self.inbox.abandon();
        if std::thread::panicking() {
            self.shared.set_intake(Some(StoreError::Unavailable("the log's thread broke down".into())));
        } else {
            self.shared.end_intake();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// Starts them.
pub(crate) fn start(
    shared: &Arc<Shared>,
    inboxes: &Arc<Inboxes>,
    writer: Writer,
) -> io::Result<Vec<JoinHandle<()>>> {
    let clones = || (Arc::clone(shared), Arc::clone(inboxes));
    let (log, work) = clones();
    let write = spawn("restante-log", move || {
        let _ending = Ending { inbox: &work.appends, shared: &log };
        run_writer(writer, &work.appends);
    })?;
    let (log, work) = clones();
    let mark = spawn("restante-marks", move || {
        let _ending = Ending { inbox: &work.marks, shared: &log };
        run_marker(&Marker::new(Arc::clone(&log)), &work.marks);
    })?;
    let (log, work) = clones();
    let sweep = spawn("restante-space", move || run_sweeper(Sweeper::new(log), &work.dead))?;
    Ok(vec![write, mark, sweep])
}

fn run_writer(mut writer: Writer, inbox: &Inbox<Append>) {
    let mut waiting = VecDeque::new();
    let (mut open, mut company) = (true, false);
    while open {
        open = inbox.take(&mut waiting, Some(writer.timeout(Instant::now())));
        if company {
            // Whoever is ready to run goes first: where the processors are busy more messages come to share the sync,
            // and where they are not this is over at once.
            std::thread::yield_now();
            inbox.take_also(&mut waiting);
        }
        company = waiting.len() > 1;
        let now = Instant::now();
        writer.tick(now);
        writer.commit(&mut waiting, now);
    }
    writer.finish();
}

fn run_marker(marker: &Marker, inbox: &Inbox<MarkCall>) {
    let mut calls = VecDeque::new();
    let mut open = true;
    while open {
        open = inbox.take(&mut calls, None);
        marker.commit(&mut calls);
    }
}

fn run_sweeper(mut sweeper: Sweeper, inbox: &Inbox<Place>) {
    let interval = sweeper.interval();
    let mut places = VecDeque::new();
    let mut swept = Instant::now();
    loop {
        let patience = if sweeper.has_unseen() { SWEEP_PAUSE } else { URGENT_SWEEP.min(interval) };
        if !inbox.take(&mut places, Some(patience)) {
            // What is dead is found again at the next start.
            return;
        }
        sweeper.note(&mut places);
        sweeper.look_at_unseen();
        if swept.elapsed() >= if sweeper.is_urgent() { URGENT_SWEEP.min(interval) } else { interval } {
            sweeper.sweep_all();
            swept = Instant::now();
        }
    }
}
