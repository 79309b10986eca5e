//! The administrator's verbs. Each talks to the running server over its admin socket; none touches the store.
//!
//! One file per verb: its arguments, its help and what it does stand together. The program's `Cli` flattens
//! [`Options`] and [`Verb`] and hands both to [`run`].

mod backup;
mod completions;
mod delete;
mod exit;
mod export;
mod filter;
mod flush;
mod health;
mod hold;
mod list;
mod man;
mod restore;
mod show;
mod status;
mod value;

use std::path::PathBuf;

pub(crate) use exit::Exit;

/// Options of every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Print JSON, one object per line, instead of tables
    ///
    /// Keys are only ever added. Times are RFC 3339 in UTC, sizes are octets. Characters that could steer a terminal
    /// are written as \uXXXX.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Configuration file; the admin socket is found in it
    #[arg(long, global = true, value_name = "FILE", env = "RESTANTE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The running server's admin socket, where it is not the one of the configuration file
    #[arg(long, global = true, value_name = "PATH", env = "RESTANTE_SOCKET")]
    pub(crate) socket: Option<PathBuf>,
}

/// What an administrator can ask of a running server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Status(status::Status),
    List(list::List),
    Show(show::Show),
    Export(export::Export),
    Flush(flush::Flush),
    Hold(hold::Hold),
    Release(hold::Release),
    Delete(delete::Delete),
    Restore(restore::Restore),
    Backup(backup::Backup),
    Health(health::Health),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Does what the verb says. `command` is the whole program's, for `completions` and `man`.
pub(crate) async fn run(verb: Verb, options: Options, command: clap::Command) -> Exit {
    let _ = (verb, options, command);
    Exit::Unavailable
}
