//! The schedule, kept: one task for each server.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit, Zoned};
use rand::SeedableRng;
use rand::rngs::StdRng;
use restante_net::Stop;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::collect::{Context, collect, record};
use crate::events;
use crate::failure::{Class, Failure};
use crate::limits::LOOK;
use crate::schedule::{back_off, jitter, later};
use crate::settings::{ServerSettings, Settings};
use crate::tally::Progress;

/// Calls every server when its time has come, until `context.stop` says so. A change of `wake` means: now. Cron
/// expressions are read in `zone`.
pub async fn run(settings: &Settings, context: &Context, wake: &watch::Receiver<u64>, zone: &TimeZone) {
    let mut rounds = JoinSet::new();
    for server in &settings.servers {
        let round = Round {
            server: server.clone(),
            context: context.clone(),
            wake: wake.clone(),
            zone: zone.clone(),
            random: StdRng::from_os_rng(),
            failures: 0,
        };
        rounds.spawn(round.run());
    }
    while rounds.join_next().await.is_some() {}
}

struct Round {
    server: ServerSettings,
    context: Context,
    wake: watch::Receiver<u64>,
    zone: TimeZone,
    random: StdRng,
    failures: u32,
}

impl Round {
    async fn run(mut self) {
        let known = self.context.state.read().unwrap_or_default();
        let last = known.get(&self.server.name).and_then(|record| record.last_run);
        let first = self.server.schedule.first(&self.now(), last);
        let mut next = later(first, jitter(self.server.jitter, &mut self.random));
        let shown = Arc::new(watch::Sender::new(Progress::Idle));
        loop {
            self.announce(next).await;
            if !self.wait(next).await {
                return;
            }
            let (_, result) = Box::pin(collect(&self.server, &self.context, &shown)).await;
            next = self.after(result.as_ref().err());
        }
    }

    fn now(&self) -> Zoned {
        Timestamp::now().to_zoned(self.zone.clone())
    }

    /// As scheduled; after failures that may pass as the back-off says, sooner or later than that.
    fn after(&mut self, failure: Option<&Failure>) -> Timestamp {
        let now = self.now();
        let scheduled = later(self.server.schedule.next(&now), jitter(self.server.jitter, &mut self.random));
        let failure = match failure {
            None => {
                self.failures = 0;
                return scheduled;
            }
            // Somebody else does what we wanted to do.
            Some(Failure::Busy) => return scheduled,
            Some(failure) => failure,
        };
        self.failures = self.failures.saturating_add(1);
        let wait = later(now.timestamp(), back_off(self.failures, &mut self.random));
        // What is not allowed does not become so by asking more often than was agreed.
        if failure.class() == Class::NotAllowed { scheduled.max(wait) } else { wait }
    }

    async fn announce(&self, next: Timestamp) {
        let next = next.round(Unit::Second).unwrap_or(next);
        events::waiting(&self.server, next);
        if let Err(error) =
            record(&self.context, &self.server, move |record| record.next_run = Some(next)).await
        {
            events::not_recorded(&self.server, &error);
        }
    }

    /// Waits for the time, by the clock on the wall, or for the word to go now. False: it is over.
    async fn wait(&mut self, next: Timestamp) -> bool {
        let mut stop = self.context.stop.clone();
        loop {
            let left = Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO);
            if left.is_zero() {
                return *stop.borrow() == Stop::Run;
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop > Stop::Run) => return false,
                Ok(()) = self.wake.changed() => return true,
                () = sleep(left.min(LOOK)) => {}
            }
        }
    }
}
