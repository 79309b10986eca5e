//! `restante serve`: opens everything, keeps it running, and closes it in order.

mod calls;
mod certificate;
mod collectors;
mod counted;
mod current;
mod error;
mod events;
mod house;
mod known;
mod monitors;
mod notices;
mod orphans;
mod outbound;
mod settings;
mod signals;
mod supervisor;
#[cfg(test)]
mod tests;
mod ways;

use std::io::Write;

pub(crate) use monitors::check as check_token;

use crate::cli::{Exit, Options};
use crate::config::{self, Config, Machine};
use crate::{complain, logging};

/// Runs the server until it is told to stop.
pub(crate) fn run(options: &Options) -> Exit {
    let file = config::file(None, options);
    let (config, report) = config::load(&file, &Machine::this());
    let Some(config) = config else {
        // Nobody is left to be told when this cannot be written.
        let _ = write!(std::io::stderr(), "{report}");
        return Exit::Configuration;
    };
    let Ok(_lines) = logging::start().map_err(|error| complain(&error.to_string())) else {
        return Exit::Usage;
    };
    events::findings(&report);
    // Held mail is nobody's business but ours and the group's; whoever wants a file narrower says so.
    nix::sys::stat::umask(nix::sys::stat::Mode::S_IWGRP | nix::sys::stat::Mode::S_IRWXO);
    raise_open_files();
    if nix::unistd::geteuid().is_root() {
        events::running_as_root();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads(&config))
        .thread_name("restante")
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(Box::pin(signals::serve(config)));
            // What still runs now was told to end and did not.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error::StartError::Runtime(error)),
    };
    match ended {
        Ok(()) => Exit::Ok,
        Err(error) => {
            events::not_started(&error);
            complain(&error.to_string());
            error.exit()
        }
    }
}

/// The threads that serve connections: as configured, else half of the processors. Disk and index have threads of
/// their own, and on few processors a second one costs more in wake-ups than it gives.
fn worker_threads(config: &Config) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    config.top.worker_threads.0.unwrap_or_else(|| (processors() / 2).max(1))
}

/// Each connection is a descriptor, and the usual soft limit of 1024 is from other times.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        events::open_files_not_raised(error.into());
    }
}
