//! What systemd is told (sd_notify(3)). Without systemd all of it does nothing.

use std::time::Duration;

use restante_queue::{Health, IndexHealth, IntakeHealth};
use sd_notify::NotifyState;

/// How often the status is told where no watchdog wants it sooner.
const USUAL: Duration = Duration::from_secs(10);

/// How often [`alive`] wants to be called: twice per watchdog interval.
pub(super) fn rhythm() -> Duration {
    sd_notify::watchdog_enabled()
        .map_or(USUAL, |interval| (interval / 2).clamp(Duration::from_millis(100), USUAL))
}

/// Ready, or ready again.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// On the way out.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// We live, the store answers, and this is its condition.
pub(super) fn alive(health: &Health) {
    let status = status(health);
    tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
}

/// We live, and open the store again.
pub(super) fn reopening() {
    tell(&[NotifyState::Watchdog, NotifyState::Status("the index failed; opening the store again")]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Nobody listens, or systemd is in trouble; both is none of the mail's business.
    let _ = sd_notify::notify(state);
}

fn status(health: &Health) -> String {
    let intake = match &health.intake {
        IntakeHealth::Open => "",
        IntakeHealth::LowDisk => "; no mail is taken: the disk is full",
        IntakeHealth::Failing(_) => "; no mail is taken: writing fails",
    };
    let index = match &health.index {
        IndexHealth::Ready => String::new(),
        IndexHealth::Rebuilding { done, total } => {
            format!("; reading the log, {} %", done * 100 / total.max(&1))
        }
        IndexHealth::Failing(_) => "; no mail leaves: the index fails".to_owned(),
    };
    format!("{} messages held{intake}{index}", health.messages)
}
