//! The command line's top level.

use std::path::PathBuf;

use crate::cli::{Options, Verb};

/// Holds mail for domains until their primary calls for it (ETRN).
///
/// `restante serve` is the server. Every other command but `agent`, `config`, `account`, `trust-snippet` and `spool` talks to
/// a running server over its admin socket. Exit codes are those of sysexits: 0 done, 64 usage, 65 data, 69 no server, 75 try again, 77 not
/// allowed, 78 configuration.
#[derive(Debug, clap::Parser)]
#[command(name = "restante", version, propagate_version = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) options: Options,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    /// Look at a configuration without a server
    #[command(subcommand)]
    Config(Config),
    /// Work on the content log of a server that is stopped
    #[command(subcommand)]
    Spool(Spool),
    /// Collect mail, on the primary's side: schedules, ATRN, TURN, ETRN
    #[command(subcommand)]
    Agent(crate::agent::Agent),
    #[command(flatten)]
    Verb(Box<Verb>),
}

/// Run the server
///
/// It takes mail for the configured domains, holds it, and hands it over when asked. It is ready when it prints
/// event=ready. SIGHUP: reads the configuration and the certificate again; a bad one changes nothing. SIGTERM, SIGINT:
/// finishes what is in flight, at most 30 s; the second one ends at once. RESTANTE_LOG sets what is logged, like
/// "info", "debug", "info,restante_delivery=debug".
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {}

/// Looking at a configuration.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Config {
    /// Say what is wrong, with file, line and what was meant; exit code 78 if it cannot be used
    Check {
        /// The configuration file, if not the one of --config
        file: Option<PathBuf>,
    },
    /// Print what is in force as TOML: defaults, domain-defaults and domains.d worked in, secrets left out
    Show {
        /// The configuration file, if not the one of --config
        file: Option<PathBuf>,
    },
}

/// Work on the content log.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Spool {
    /// Check every record; exit code 65 if any is damaged
    Verify {
        /// The data directory, if not the one of the configuration
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Copy out what the log holds: one .eml and one .json envelope per message, without the index
    Export {
        /// Where to; it is made if it is not there
        directory: PathBuf,
        /// The data directory, if not the one of the configuration
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Open an index and read it: what the server asks of a child of its own after a crash
    #[command(hide = true)]
    Probe {
        /// The directory of the index
        directory: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_behind_the_command() {
        let cli = Cli::try_parse_from(["restante", "serve", "--config", "x.toml"]).unwrap();
        assert_eq!(cli.options.config, Some("x.toml".into()));
        let cli = Cli::try_parse_from(["restante", "config", "check", "y.toml", "--json"]).unwrap();
        assert!(matches!(cli.command, Command::Config(Config::Check { file: Some(_) })) && cli.options.json);
    }
}
