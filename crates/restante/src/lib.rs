//! restante holds mail for domains until their primary calls for it.
//!
//! One program: the server, the administrator's commands, and offline work on the spool.

mod accounts;
mod agent;
mod alarms;
mod args;
mod cli;
mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
mod limits;
mod logging;
mod serve;
mod spool;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::cli::Exit;

/// Does what the command line says; the code says how that went.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told when this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    let exit = match cli.command {
        Command::Serve(_) => serve::run(&cli.options),
        Command::Config(what) => config::run(&what, &cli.options),
        Command::Spool(what) => spool::run(what, &cli.options),
        Command::Agent(what) => agent::run(what, &cli.options),
        Command::Verb(verb) => ask(*verb, cli.options),
    };
    exit.into()
}

/// The administrator's verbs talk to the running server; one thread is plenty.
fn ask(verb: cli::Verb, options: cli::Options) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(verb, options, Cli::command())),
        Err(error) => {
            complain(&format!("no runtime: {error}"));
            Exit::TryAgain
        }
    }
}

/// Tells on standard error what is wrong, before there is a log.
fn complain(what: &str) {
    // Nobody is left to be told when this cannot be written.
    let _ = writeln!(std::io::stderr(), "restante: {what}");
}
