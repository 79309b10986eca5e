//! When: requests and the schedule become drains, a bounded number at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use restante_queue::{DrainCause, DrainRequests};
use restante_types::Domain;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::drain::{self, Context, Stop};
use crate::events;
use crate::limits::{DRAINS, DUE_DOMAINS, NOTICES_DRAINS, SCHEDULE_TICK};

/// Domains that want a drain, each at most once, first come first served; held domains before those where notices go.
#[derive(Default)]
struct Line {
    order: VecDeque<Domain>,
    notices: VecDeque<Domain>,
    causes: HashMap<Domain, DrainCause>,
}

impl Line {
    fn join(&mut self, domain: Domain, cause: DrainCause) {
        match self.causes.get_mut(&domain) {
            // Somebody's asking takes all that waits, a schedule only what is due.
            Some(known) if *known == DrainCause::Schedule => *known = cause,
            Some(_) => {}
            None => {
                let order = if is_notices(&domain) { &mut self.notices } else { &mut self.order };
                order.push_back(domain.clone());
                self.causes.insert(domain, cause);
            }
        }
    }

    fn next(&mut self, notices: bool) -> Option<(Domain, DrainCause)> {
        let other = || if notices { self.notices.pop_front() } else { None };
        let domain = self.order.pop_front().or_else(other)?;
        let cause = self.causes.remove(&domain)?;
        Some((domain, cause))
    }

    /// How many may have to be looked past to find one that does not stand here yet.
    fn longest(&self) -> usize {
        self.order.len().max(self.notices.len())
    }

    /// Whether so many stand before it that it is soon enough to join later; it stays due.
    fn is_long(&self, domain: &Domain) -> bool {
        let order = if is_notices(domain) { &self.notices } else { &self.order };
        order.len() >= DRAINS + DUE_DOMAINS
    }
}

/// Strangers choose where notices go, and how slow it is there.
fn is_notices(domain: &Domain) -> bool {
    domain.notices_to().is_some()
}

pub(crate) struct Dispatcher {
    context: Arc<Context>,
    line: Line,
    drains: JoinSet<Option<DrainCause>>,
    running: HashMap<Id, Domain>,
    running_notices: usize,
    busy: HashSet<Domain>,
    /// Asked for while a drain of ours runs or is just ending.
    later: HashMap<Domain, DrainCause>,
}

impl Dispatcher {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            line: Line::default(),
            drains: JoinSet::new(),
            running: HashMap::new(),
            running_notices: 0,
            busy: HashSet::new(),
            later: HashMap::new(),
        }
    }

    /// Runs until a shutdown is asked for and every drain is back.
    pub(crate) async fn run(mut self, mut requests: DrainRequests) {
        let mut tick = interval(SCHEDULE_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = self.context.stop.clone();
        loop {
            self.start_drains();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop > Stop::Run) => break,
                Some(ended) = self.drains.join_next_with_id() => self.ended(ended),
                Some(request) = requests.recv() => self.ask(request.domain, request.cause),
                _ = tick.tick() => self.look_at_schedule(),
            }
        }
        while self.drains.join_next().await.is_some() {}
    }

    fn look_at_schedule(&mut self) {
        let now = self.context.now();
        if self.context.store.next_due().is_some_and(|due| due <= now) {
            // Those that stand in line already are due too, and come first. A line that is long enough to keep all drains
            // busy grows no longer: the cost of a look must not grow with what waits.
            let limit = DUE_DOMAINS + self.line.longest().min(DRAINS);
            for domain in self.context.store.domains_due(now, limit) {
                if !self.busy.contains(&domain) && !self.line.is_long(&domain) {
                    self.line.join(domain, DrainCause::Schedule);
                }
            }
        }
    }

    fn ask(&mut self, domain: Domain, cause: DrainCause) {
        if self.busy.contains(&domain) {
            self.later.insert(domain, cause);
        } else {
            self.line.join(domain, cause);
        }
    }

    fn start_drains(&mut self) {
        while self.drains.len() < DRAINS {
            let notices = self.running_notices < NOTICES_DRAINS;
            let Some((domain, cause)) = self.line.next(notices) else { return };
            self.running_notices += usize::from(is_notices(&domain));
            self.busy.insert(domain.clone());
            let drain = self.drains.spawn(drain::run(self.context.clone(), domain.clone(), cause));
            self.running.insert(drain.id(), domain);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Option<DrainCause>), JoinError>) {
        let (id, again) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                events::task_lost(&error);
                (error.id(), None)
            }
        };
        let Some(domain) = self.running.remove(&id) else { return };
        self.busy.remove(&domain);
        self.running_notices -= usize::from(is_notices(&domain));
        if let Some(cause) = self.later.remove(&domain).or(again) {
            self.line.join(domain, cause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_stands_in_line_once_and_asking_beats_the_schedule() {
        let name = |text: &str| Domain::parse(text).unwrap();
        let mut line = Line::default();
        line.join(name("a.example"), DrainCause::Schedule);
        line.join(name("b.example"), DrainCause::Flush);
        line.join(name("a.example"), DrainCause::Etrn);
        line.join(name("a.example"), DrainCause::Schedule);
        assert_eq!(line.next(true), Some((name("a.example"), DrainCause::Etrn)));
        assert_eq!(line.next(true), Some((name("b.example"), DrainCause::Flush)));
        assert_eq!(line.next(true), None);
    }

    #[test]
    fn held_domains_never_wait_for_notices() {
        let name = |text: &str| Domain::parse(text).unwrap();
        let mut line = Line::default();
        for text in ["tarpit.example.notices.invalid", "slow.example.notices.invalid", "a.example"] {
            line.join(name(text), DrainCause::Schedule);
        }
        let mut next = |notices| line.next(notices).map(|(domain, _)| domain.to_string());
        assert_eq!(next(true).unwrap(), "a.example");
        assert_eq!(next(false), None, "as many as may be are under way");
        assert_eq!(next(true).unwrap(), "tarpit.example.notices.invalid");
        assert_eq!(line.longest(), 1);
    }
}
