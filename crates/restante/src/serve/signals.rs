//! The life of the server between its start and the signal that ends it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use restante_queue::IndexHealth;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::error::StartError;
use super::house::{House, clock};
use super::{events, settings, supervisor};
use crate::alarms::{Alarms, Watching};
use crate::config::Config;
use crate::limits::{
    ACCOUNTS_LOOK, INDEX_LOOK, REOPEN_GRACE, REOPEN_PAUSE, REOPEN_PAUSE_MAX, ROUNDS, SHUTDOWN_GRACE,
};

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

/// Why a life ends.
enum Until {
    /// A signal.
    Told,
    /// The index cannot be used any more, for this reason.
    IndexFailed(String),
}

/// Opens the house, lives in it, and closes it in order.
///
/// # Errors
/// When it does not open.
pub(super) async fn serve(config: Config) -> Result<(), StartError> {
    // Before the store opens: a signal that comes meanwhile must not kill us halfway.
    let mut ends = Ends::new()?;
    let mut hangup = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let alarms = Alarms::new(&config.top.data_dir, settings::alarms(&config), Arc::default(), clock());
    let mut house = Box::pin(House::open(config, &alarms)).await?;
    let watching = alarms.watch();
    loop {
        house.announce();
        supervisor::ready();
        match Box::pin(live(&mut house, &mut hangup, &mut ends)).await {
            Until::Told => {
                end(house, watching, &mut ends).await;
                return Ok(());
            }
            Until::IndexFailed(cause) => match Box::pin(reopen(house, &alarms, &cause, &mut ends)).await {
                Some(opened) => house = opened,
                None => {
                    watching.stop().await;
                    return Ok(());
                }
            },
        }
    }
}

async fn end(house: House, watching: Watching, ends: &mut Ends) {
    events::stopping();
    supervisor::stopping();
    tokio::select! {
        () = Box::pin(close(house, watching)) => events::stopped(),
        () = ends.next() => events::stopping_at_once(),
    }
}

async fn close(house: House, watching: Watching) {
    house.close(SHUTDOWN_GRACE).await;
    watching.stop().await;
}

async fn live(house: &mut House, hangup: &mut Signal, ends: &mut Ends) -> Until {
    let mut rounds = every(ROUNDS);
    let mut pulse = every(supervisor::rhythm());
    let mut looks = every(ACCOUNTS_LOOK);
    let mut doubts = every(INDEX_LOOK);
    loop {
        tokio::select! {
            () = ends.next() => return Until::Told,
            _ = hangup.recv() => {
                supervisor::reloading();
                Box::pin(house.reload(SystemTime::now().into())).await;
                supervisor::ready();
            }
            _ = rounds.tick() => Box::pin(house.round(SystemTime::now().into())).await,
            _ = looks.tick() => Box::pin(house.look_at_accounts()).await,
            _ = pulse.tick() => supervisor::alive(&house.health()),
            // The cheap question first.
            _ = doubts.tick() => if !house.takes_mail()
                && let IndexHealth::Failing(cause) = house.health().index
            {
                return Until::IndexFailed(cause);
            }
        }
    }
}

/// After its first write error the index is of no use, and the log has everything: the house is closed and opened again,
/// as often as it takes. A full disk that has room again, or a medium that works again, needs nobody's hand. None when
/// a signal came first.
async fn reopen(house: House, alarms: &Alarms, cause: &str, ends: &mut Ends) -> Option<House> {
    events::reopening(cause);
    alarms.store_failed(cause).await;
    let config = house.config();
    let closed = watched(Box::pin(house.close(REOPEN_GRACE)));
    tokio::select! {
        () = closed => {}
        () = ends.next() => {
            events::stopping_at_once();
            return None;
        }
    }
    let mut pause = REOPEN_PAUSE;
    loop {
        tokio::select! {
            () = watched(sleep(pause)) => {}
            () = ends.next() => {
                events::stopped();
                return None;
            }
        }
        match watched(Box::pin(House::open(config.clone(), alarms))).await {
            Ok(house) => return Some(house),
            Err(error) => events::not_reopened(&error),
        }
        pause = (pause * 2).min(REOPEN_PAUSE_MAX);
    }
}

/// Does it while the watchdog is told that we live.
async fn watched<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut pulse = every(supervisor::rhythm());
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = pulse.tick() => supervisor::reopening(),
        }
    }
}

fn every(span: Duration) -> tokio::time::Interval {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
