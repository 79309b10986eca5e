//! The life of the server between its start and the signal that ends it.

use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::error::StartError;
use super::house::House;
use super::{events, supervisor};
use crate::config::Config;
use crate::limits::{ACCOUNTS_LOOK, ROUNDS, SHUTDOWN_GRACE};

/// Signals that mean the end.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> Result<Self, StartError> {
        let take = |kind| signal(kind).map_err(StartError::Signals);
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Opens the house, lives in it, and closes it in order.
///
/// # Errors
/// When it does not open.
pub(super) async fn serve(config: Config) -> Result<(), StartError> {
    // Before the store opens: a signal that comes meanwhile must not kill us halfway.
    let mut ends = Ends::new()?;
    let hangup = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let mut house = Box::pin(House::open(config)).await?;
    house.announce();
    supervisor::ready();
    Box::pin(live(&mut house, hangup, &mut ends)).await;
    events::stopping();
    supervisor::stopping();
    tokio::select! {
        () = Box::pin(house.close(SHUTDOWN_GRACE)) => events::stopped(),
        () = ends.next() => events::stopping_at_once(),
    }
    Ok(())
}

async fn live(house: &mut House, mut hangup: Signal, ends: &mut Ends) {
    let mut rounds = every(ROUNDS);
    let mut pulse = every(supervisor::rhythm());
    let mut looks = every(ACCOUNTS_LOOK);
    loop {
        tokio::select! {
            () = ends.next() => return,
            _ = hangup.recv() => {
                supervisor::reloading();
                Box::pin(house.reload(SystemTime::now().into())).await;
                supervisor::ready();
            }
            _ = rounds.tick() => Box::pin(house.round(SystemTime::now().into())).await,
            _ = looks.tick() => Box::pin(house.look_at_accounts()).await,
            _ = pulse.tick() => supervisor::alive(&house.health()),
        }
    }
}

fn every(span: Duration) -> tokio::time::Interval {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
