//! The account of every message: acknowledged, delivered, lost, doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::{Recipient, body_of};
use crate::{Accepted, Behaviour, Daemon, Sink};

/// Two sinks, one per domain, and what came to them; kept over restarts of the daemon.
#[derive(Debug)]
pub struct Account {
    sinks: [(Recipient, Sink); 2],
    delivered: BTreeMap<(usize, Recipient), u32>,
    changed: Vec<String>,
}

/// The sums of an account; messages for two domains count twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Acknowledged to a client.
    pub accepted: usize,
    /// Of these, delivered at least once.
    pub delivered: usize,
    /// Of these, reported as damaged or still held.
    pub held: usize,
    /// Of these, neither.
    pub lost: Vec<(usize, Recipient)>,
    /// Deliveries beyond the first of a message.
    pub doubled: u32,
    /// Delivered although no client heard 250: the connection broke before.
    pub unasked: usize,
    /// What was delivered and is not what was sent.
    pub changed: Vec<String>,
}

impl fmt::Display for Sums {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, held, lost, doubled, unasked, changed } = self;
        write!(
            out,
            "{accepted} accepted, {delivered} delivered, {held} held, {} lost, {doubled} doubled, \
             {unasked} delivered without a 250 that was heard, {} changed",
            lost.len(),
            changed.len()
        )
    }
}

impl Sums {
    /// Nothing is lost and nothing was changed.
    ///
    /// # Panics
    /// When something is.
    pub fn check(&self, what: &str) {
        let lost: Vec<_> = self.lost.iter().take(20).collect();
        assert!(self.lost.is_empty(), "{what}: {} lost, of them {lost:?}; {self}", self.lost.len());
        assert!(self.changed.is_empty(), "{what}: {:?}", self.changed);
    }
}

impl Account {
    /// Sinks on the ports where the daemon's primaries are.
    #[must_use]
    pub fn open(daemon: &Daemon, behaviour: &Behaviour) -> Self {
        let ports = daemon.ports();
        let sink = |recipient, port| (recipient, Sink::start(port, behaviour.clone()));
        let sinks = [sink(Recipient::Org, ports.org), sink(Recipient::Com, ports.com)];
        Self { sinks, delivered: BTreeMap::new(), changed: Vec::new() }
    }

    /// Takes up what has come so far.
    pub fn collect(&mut self) {
        let came: Vec<_> = self.sinks.iter().map(|(recipient, sink)| (*recipient, sink.take())).collect();
        for (recipient, messages) in came {
            for message in messages {
                match number_of(&message, recipient) {
                    Ok(number) => *self.delivered.entry((number, recipient)).or_default() += 1,
                    Err(what) => self.changed.push(what),
                }
            }
        }
    }

    /// What was delivered so far.
    pub fn delivered(&mut self) -> BTreeSet<(usize, Recipient)> {
        self.collect();
        self.delivered.keys().copied().collect()
    }

    /// Deliveries so far.
    pub fn deliveries(&mut self) -> u64 {
        self.collect();
        self.delivered.values().copied().map(u64::from).sum()
    }

    /// The sums: `accepted` were acknowledged, `before` were delivered elsewhere.
    pub fn sums(&mut self, accepted: &BTreeSet<usize>, before: &BTreeSet<(usize, Recipient)>) -> Sums {
        self.collect();
        let owed: BTreeSet<_> = accepted
            .iter()
            .flat_map(|number| Recipient::of(*number).iter().map(|to| (*number, *to)))
            .collect();
        let here = |one: &&(usize, Recipient)| self.delivered.contains_key(*one);
        let lost =
            owed.iter().filter(|one| !here(one) && !before.contains(*one)).copied().collect::<Vec<_>>();
        let again = before.iter().filter(here).count();
        let more: u32 = self.delivered.values().map(|times| times - 1).sum();
        Sums {
            accepted: owed.len(),
            delivered: owed.len() - lost.len(),
            held: 0,
            doubled: more + u32::try_from(again).unwrap_or(u32::MAX),
            unasked: self.delivered.keys().filter(|one| !owed.contains(*one)).count(),
            lost,
            changed: self.changed.clone(),
        }
    }

    /// Asks for both queues until nothing waits in them and all of these are delivered, at most `limit`. False: it did
    /// not come to that.
    pub fn drain(&mut self, daemon: &Daemon, wanted: &BTreeSet<(usize, Recipient)>, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut empty_since = None;
        loop {
            for recipient in [Recipient::Org, Recipient::Com] {
                let _ = daemon.try_etrn(recipient.domain());
            }
            std::thread::sleep(Duration::from_millis(100));
            self.collect();
            let all = wanted.iter().all(|one| self.delivered.contains_key(one));
            let waiting = daemon.try_waiting();
            if waiting == Some(0) && all {
                return true;
            }
            let empty = waiting == Some(0);
            let since = *empty_since.get_or_insert_with(Instant::now);
            if !empty {
                empty_since = None;
            } else if since.elapsed() > Duration::from_secs(8) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
        }
    }
}

/// Which message it is, if it is what was sent.
fn number_of(message: &Accepted, recipient: Recipient) -> Result<usize, String> {
    let text = String::from_utf8_lossy(&message.content[..message.content.len().min(4096)]).into_owned();
    let number = crate::sample_number(text.as_bytes()).ok_or("a message without a number")?;
    let to = recipient.domain();
    if message.recipients.len() != 1 || !message.recipients[0].contains(to) {
        return Err(format!("message {number} came to {to} for {:?}", message.recipients));
    }
    if !Recipient::of(number).contains(&recipient) {
        return Err(format!("message {number} is not for {to}"));
    }
    if !text.starts_with("Received: ") || crate::without_received(&message.content) != body_of(number) {
        return Err(format!("message {number} is another"));
    }
    Ok(number)
}
