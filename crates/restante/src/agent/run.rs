//! `restante agent run`

use jiff::tz::TimeZone;
use restante_agent::{Context, Settings, StateFile};
use restante_net::Stop;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{events, on};
use crate::cli::Exit;
use crate::config::Report;
use crate::{complain, logging};

/// Call every server by its schedule
///
/// It is ready when it prints event=ready. SIGUSR1: calls every server now. SIGTERM, SIGINT: finishes the message that
/// is coming in; the second one ends at once. RESTANTE_LOG sets what is logged, like "debug".
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  restante agent run --config /etc/restante/agent.toml
  systemctl kill --signal=SIGUSR1 restante-agent")]
pub(crate) struct Run {}

/// The signals that it listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    now: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            now: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Keeps the schedule until it is told to stop.
pub(super) fn run(settings: Settings, report: &Report) -> Exit {
    let Ok(_lines) = logging::start().map_err(|error| complain(&error.to_string())) else {
        return Exit::Usage;
    };
    events::findings(report);
    on(Box::pin(keep(settings)), Exit::TryAgain)
}

async fn keep(settings: Settings) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("no signals: {error}"));
            return Exit::TryAgain;
        }
    };
    let state = StateFile::new(&settings.state_file);
    if let Err(error) = state.is_writable() {
        events::no_state(&settings.state_file, &error);
        return Exit::TryAgain;
    }
    let (stop, wake) = (watch::Sender::new(Stop::Run), watch::Sender::new(0));
    let context = Context { hostname: settings.hostname.clone(), state, stop: stop.subscribe(), stays: true };
    events::ready(&settings);
    tell(NotifyState::Ready);
    let waking = wake.subscribe();
    let zone = TimeZone::system();
    let rounds = restante_agent::run(&settings, &context, &waking, &zone);
    tokio::select! {
        () = Box::pin(rounds) => {}
        () = obey(&mut signals, &stop, &wake) => {}
    }
    events::stopped();
    Exit::Ok
}

/// Ends when nothing is waited for any more.
async fn obey(signals: &mut Signals, stop: &watch::Sender<Stop>, wake: &watch::Sender<u64>) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            _ = signals.hangup.recv() => {
                events::not_reloaded();
                continue;
            }
            _ = signals.now.recv() => {
                events::woken();
                wake.send_modify(|count| *count += 1);
                continue;
            }
        }
        if *stop.borrow() != Stop::Run {
            return;
        }
        events::stopping();
        tell(NotifyState::Stopping);
        stop.send_replace(Stop::Finish);
    }
}

fn tell(state: NotifyState<'_>) {
    // Nobody listens, or systemd is in trouble; both is none of the mail's business.
    let _ = sd_notify::notify(&[state]);
}
