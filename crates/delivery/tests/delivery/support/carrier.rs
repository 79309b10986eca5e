//! A way over the wire without a wire.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use restante_delivery::{Carrier, Errand, Hop, Room, Trip};
use restante_queue::{Outcome, Settlement, Work};
use restante_types::{QueueId, Reply};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::store::content as content_of;

type Choice = Box<dyn Fn(usize, &Hop) -> Script + Send + Sync>;
type Answer = Box<dyn Fn(&Work, u16) -> Outcome + Send + Sync>;

/// What one connection does.
pub(crate) struct Script {
    /// Ends before any message.
    pub(crate) end: Option<Trip>,
    /// Time of one message.
    pub(crate) pace: Duration,
    /// Time between a message and its answer; others may be sent meanwhile.
    pub(crate) latency: Duration,
    /// How long it waits for a message, and what it says then.
    pub(crate) patience: Option<(Duration, Reply)>,
    /// After so many messages the connection breaks.
    pub(crate) cut_after: Option<(usize, Reply)>,
    /// What is said about each recipient.
    pub(crate) answer: Answer,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            end: None,
            pace: Duration::ZERO,
            latency: Duration::ZERO,
            patience: None,
            cut_after: None,
            answer: Box::new(|_, _| Outcome::Delivered),
        }
    }
}

impl Script {
    pub(crate) fn refuse(reply: Reply) -> Self {
        Self { end: Some(Trip::Unused(reply)), ..Self::default() }
    }

    pub(crate) fn slow(pace: Duration) -> Self {
        Self { pace, ..Self::default() }
    }
}

/// Follows a script per connection and keeps a record.
pub(crate) struct ScriptedCarrier {
    script: Choice,
    pub(crate) connects: Mutex<Vec<(Instant, Hop)>>,
    /// How often each message was taken over the wire.
    pub(crate) tried: Mutex<HashMap<QueueId, usize>>,
    pub(crate) order: Mutex<Vec<QueueId>>,
    open: AtomicUsize,
    pub(crate) most_open: AtomicUsize,
    under_way: AtomicUsize,
    /// Messages under way on all connections whenever one of them was tried.
    pub(crate) beside: Mutex<Vec<usize>>,
}

const WINDOW: usize = 8;

impl ScriptedCarrier {
    pub(crate) fn new(script: impl Fn(usize, &Hop) -> Script + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            connects: Mutex::default(),
            tried: Mutex::default(),
            order: Mutex::default(),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            beside: Mutex::default(),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connects.lock().unwrap().len()
    }

    pub(crate) fn carried(&self) -> usize {
        self.order.lock().unwrap().len()
    }

    async fn follow(&self, script: Script, errand: &Errand) -> Trip {
        if let Some(end) = script.end {
            return end;
        }
        let feed = &errand.feed;
        let mut done = 0;
        let mut window: Vec<(Instant, Work)> = Vec::new();
        loop {
            while window.len() < WINDOW {
                let room = Room { messages: WINDOW - window.len(), octets: 1000, alone: window.is_empty() };
                let patience = match (window.first(), &script.patience) {
                    (None, Some((patience, _))) => *patience,
                    (None, None) => Duration::MAX,
                    (Some((answer, _)), _) => *answer - Instant::now(),
                };
                let work = match timeout(patience, feed.next(room)).await {
                    Ok(Some(work)) => work,
                    Err(_) if window.is_empty() => {
                        let (_, reply) = script.patience.clone().unwrap();
                        return Trip::Broken(reply);
                    }
                    Ok(None) | Err(_) => break,
                };
                window.push((Instant::now() + script.latency, work));
                self.under_way.fetch_add(1, Ordering::SeqCst);
            }
            if window.is_empty() {
                return Trip::Finished;
            }
            let (answer, work) = window.remove(0);
            sleep_until(answer).await;
            let Ok(mut content) = feed.open_content(&work).await else {
                self.under_way.fetch_sub(1, Ordering::SeqCst);
                feed.skip(work.id);
                continue;
            };
            assert_eq!(content.next().await.unwrap().unwrap(), content_of(work.id));
            sleep(script.pace).await;
            if let Some((after, reply)) = script.cut_after.as_ref().filter(|(after, _)| done == *after) {
                assert_eq!(done, *after);
                window.push((answer, work));
                self.under_way.fetch_sub(window.len(), Ordering::SeqCst);
                window.into_iter().for_each(|(_, work)| feed.put_back(work));
                return Trip::Broken(reply.clone());
            }
            *self.tried.lock().unwrap().entry(work.id).or_default() += 1;
            self.order.lock().unwrap().push(work.id);
            self.beside.lock().unwrap().push(self.under_way.fetch_sub(1, Ordering::SeqCst));
            let outcomes =
                work.waiting.iter().map(|index| (*index, (script.answer)(&work, *index))).collect();
            feed.done(Settlement { id: work.id, outcomes }).await;
            done += 1;
        }
    }
}

#[async_trait]
impl Carrier for ScriptedCarrier {
    async fn carry(&self, errand: Errand) -> Trip {
        let number = {
            let mut connects = self.connects.lock().unwrap();
            connects.push((Instant::now(), errand.hop.clone()));
            connects.len() - 1
        };
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_open.fetch_max(open, Ordering::SeqCst);
        let trip = self.follow((self.script)(number, &errand.hop), &errand).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
        trip
    }
}
