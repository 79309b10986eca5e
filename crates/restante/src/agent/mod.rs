//! `restante agent`: the primary's side of on-demand mail.

mod collect;
mod config;
mod events;
mod run;
mod status;

use std::io::Write;
use std::path::{Path, PathBuf};

use restante_agent::{Class, Settings};

use crate::cli::{Exit, Options};
use crate::complain;
use crate::config::{Machine, Report};

/// Where a site keeps the agent's configuration.
const DEFAULT_CONFIG: &str = "/etc/restante/agent.toml";

/// What the agent can be told.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Agent {
    Run(run::Run),
    Collect(collect::Collect),
    Status(status::Status),
}

/// Does what the command says.
pub(crate) fn run(what: Agent, options: &Options) -> Exit {
    let file = options.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
    let Some((settings, report)) = load(&file) else { return Exit::Configuration };
    match what {
        Agent::Run(_) => run::run(settings, &report),
        Agent::Collect(collect) => collect::run(collect, settings, options.json),
        Agent::Status(status) => status::run(status, &settings, options.json),
    }
}

/// The settings, or everything that is wrong with them on standard error.
fn load(file: &Path) -> Option<(Settings, Report)> {
    let (settings, report) = config::load(file, &Machine::this());
    if settings.is_none() {
        // Nobody is left to be told when this cannot be written.
        let _ = write!(std::io::stderr(), "{report}");
    }
    settings.map(|settings| (settings, report))
}

/// See `crate::fuzzing`.
#[cfg(fuzzing)]
pub(crate) fn fuzzing(file: &Path, machine: &Machine) -> Result<(), String> {
    let (settings, report) = config::load(file, machine);
    assert_eq!(settings.is_none(), report.has_errors());
    if settings.is_some() { Ok(()) } else { Err(report.to_string()) }
}

/// A runtime to do `work` on.
fn on<T>(work: impl Future<Output = T>, otherwise: T) -> T {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(work);
            // A look-up that hangs in the system's resolver must not hold up the end.
            runtime.shutdown_background();
            done
        }
        Err(error) => {
            complain(&format!("no runtime: {error}"));
            otherwise
        }
    }
}

/// The exit code of the worst that happened.
fn exit(worst: Option<Class>) -> Exit {
    match worst {
        None => Exit::Ok,
        Some(Class::TryAgain) => Exit::TryAgain,
        Some(Class::Unavailable) => Exit::Unavailable,
        Some(Class::NotAllowed) => Exit::NotAllowed,
    }
}
