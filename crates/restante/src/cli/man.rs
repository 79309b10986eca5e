//! `restante man`

use std::path::PathBuf;

use clap::Args;

/// Print the manual page of a command, or write all of them
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante man status | man -l -
  restante man --output /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The command; without one, the program's own page
    #[arg(conflicts_with = "output")]
    pub(crate) command: Option<String>,
    /// Write the pages of all commands into this directory, replacing what is there
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
