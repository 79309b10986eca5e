//! One function per event that an operator greps for.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use restante_types::{Mailbox, Printable};

use super::board::Change;
use super::call::Call;

/// An alarm was raised, or is over: once for each change. `alarm` is its name; `domain` is absent where it is about
/// the server.
pub(super) fn changed(change: &Change) {
    let (kind, domain) = &change.key;
    let (alarm, domain) = (kind.name(), domain.as_ref().map(ToString::to_string));
    let (domain, detail) = (domain.as_deref(), change.detail.as_str());
    if !change.open {
        let seconds = change.at.since(change.since).as_secs();
        tracing::info!(event = "alarm_closed", alarm, domain, seconds);
    } else if kind.is_warning() {
        tracing::warn!(event = "alarm_opened", alarm, domain, detail);
    } else {
        tracing::info!(event = "alarm_opened", alarm, domain, detail);
    }
}

/// What was remembered of alarms cannot be used: those that are open are told again.
pub(super) fn not_read(file: &Path, error: &io::Error) {
    tracing::error!(event = "alarms_not_read", file = %file.display(), error = %error, consequence = "open alarms are told again");
}

/// What is to be remembered cannot be written. Told once until it works again.
pub(super) fn not_saved(file: &Path, error: &dyn fmt::Display) {
    tracing::error!(event = "alarms_not_saved", file = %file.display(), error = %error, consequence = "a restart may repeat alarms");
}

/// The webhook took a call.
pub(super) fn called(call: &Call) {
    tracing::debug!(event = "webhook_called", id = %call.id);
}

/// The webhook did not take a call; it is tried again.
pub(super) fn call_failed(call: &Call, error: &str, waiting: usize, pause: Duration) {
    let error = Printable::from(error);
    tracing::warn!(event = "webhook_failed", id = %call.id, error = %error, waiting, again_seconds = pause.as_secs());
}

/// A call was given up: it is a day old, or too many wait.
pub(super) fn call_dropped(call: &str, why: &'static str) {
    tracing::error!(event = "webhook_dropped", id = %call, why);
}

/// Somebody was told by mail.
pub(super) fn mailed(to: &Mailbox, alarm: &'static str, id: restante_types::QueueId) {
    let to = to.to_string();
    tracing::info!(event = "alarm_mailed", alarm, to = %Printable::from(to.as_str()), id = %id);
}

/// Somebody could not be told by mail; it is tried again.
pub(super) fn not_mailed(to: &Mailbox, alarm: &'static str, error: &dyn fmt::Display) {
    let to = to.to_string();
    tracing::warn!(event = "alarm_not_mailed", alarm, to = %Printable::from(to.as_str()), error = %error);
}
