//! The administrator's verbs. Each talks to the running server over its admin socket; none touches the store.
//!
//! One file per verb: its arguments, its help and what it does stand together. The program's `Cli` flattens
//! [`Options`] and [`Verb`] and hands both to [`run`].

mod account;
mod backup;
mod completions;
mod connect;
mod delete;
mod exit;
mod explain;
mod export;
pub(crate) mod failure;
mod filter;
mod flush;
mod health;
mod hold;
pub(crate) mod human;
mod limits;
mod list;
mod man;
pub(crate) mod output;
mod preview;
pub(crate) mod progress;
mod restore;
mod route;
mod show;
mod status;
pub(crate) mod table;
mod trust_snippet;
mod value;
mod why;

use std::path::PathBuf;

pub(crate) use exit::Exit;
use failure::Failure;
pub(crate) use human::{counted, size};
use output::Output;
pub(crate) use progress::bar;

/// Options of every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Print JSON, one object per line, instead of tables
    ///
    /// Keys are only ever added. Times are RFC 3339 in UTC, sizes are octets. Characters that could steer a terminal
    /// are written as \uXXXX.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Configuration file; without it, /etc/restante/restante.toml, or /etc/restante/agent.toml for the agent
    ///
    /// Commands that talk to a running server find its admin socket there.
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
    Route(route::Route),
    Why(why::Why),
    Explain(explain::Explain),
    TrustSnippet(trust_snippet::TrustSnippet),
    Flush(flush::Flush),
    Hold(hold::Hold),
    Release(hold::Release),
    Delete(delete::Delete),
    Restore(restore::Restore),
    Backup(backup::Backup),
    Account(account::Account),
    Health(health::Health),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Does what the verb says, and tells on standard error what went wrong. `command` is the whole program's, for
/// `completions` and `man`.
pub(crate) async fn run(verb: Verb, options: Options, command: clap::Command) -> Exit {
    let mut output = Output::standard(options.json);
    let outcome = dispatch(verb, &options, command, &mut output).await;
    // What was written before a failure is still the reader's.
    let outcome = output.flush().and(outcome);
    outcome.unwrap_or_else(|failure| {
        failure.report();
        failure.exit()
    })
}

async fn dispatch(
    verb: Verb,
    options: &Options,
    command: clap::Command,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = || connect::client(options);
    match verb {
        Verb::Status(verb) => status::run(verb, &client()?, output).await,
        Verb::List(verb) => list::run(verb, &client()?, output).await,
        Verb::Show(verb) => show::run(verb, &client()?, output).await,
        Verb::Export(verb) => export::run(verb, &client()?, output).await,
        Verb::Route(verb) => route::run(verb, &client()?, output).await,
        Verb::Why(verb) => why::run(verb, &client()?, output).await,
        Verb::Explain(verb) => explain::run(verb, &client()?, output).await,
        Verb::TrustSnippet(verb) => trust_snippet::run(verb, options, output),
        Verb::Flush(verb) => flush::run(verb, &client()?, output).await,
        Verb::Hold(verb) => hold::hold(verb, &client()?, output).await,
        Verb::Release(verb) => hold::release(verb, &client()?, output).await,
        Verb::Delete(verb) => delete::run(verb, &client()?, output).await,
        Verb::Restore(verb) => restore::run(verb, &client()?, output).await,
        Verb::Backup(verb) => backup::run(verb, &client()?, output).await,
        Verb::Account(verb) => account::run(verb, options, output),
        Verb::Health(verb) => health::run(verb, &client()?, output).await,
        Verb::Completions(verb) => completions::run(&verb, command, output),
        Verb::Man(verb) => man::run(&verb, command, output),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "restante", version)]
    struct Program {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        verb: Verb,
    }

    fn parsed(line: &str) -> Result<Program, clap::Error> {
        Program::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Program::command().debug_assert();
    }

    #[test]
    fn only_filters_stand_under_filter() {
        for verb in Program::command().get_subcommands() {
            let under = verb.get_arguments().filter(|arg| arg.get_help_heading() == Some("Filter"));
            let names: Vec<&str> = under.map(|arg| arg.get_id().as_str()).collect();
            let own = ["limit", "format", "output", "yes", "dry_run", "domains"];
            assert!(own.iter().all(|name| !names.contains(name)), "{}: {names:?}", verb.get_name());
        }
    }

    #[test]
    fn every_verb_of_the_interface_parses() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let lines = [
            "restante status --json".to_owned(),
            "restante --socket /x status example.org".to_owned(),
            "restante list --domain example.org,example.com --from a --to b --older 3d --younger 2026-01-01 --larger 1MB \
             --smaller 2MB --state failed,expired --reason refused"
                .to_owned(),
            format!("restante show {id} --content"),
            format!("restante export --id {id} --format eml --output /x"),
            "restante flush example.org example.com --reset --no-wait".to_owned(),
            "restante hold example.org --reason moving".to_owned(),
            "restante hold example.org --until 2h --pause-retention".to_owned(),
            "restante route example.org".to_owned(),
            "restante why example.org --json".to_owned(),
            "restante explain rcpt a@example.org --client 192.0.2.7 --from b@example.net --helo x".to_owned(),
            "restante trust-snippet example.org --for postfix --address 192.0.2.9".to_owned(),
            "restante release --domain example.org --state failed".to_owned(),
            "restante delete --all --reason why --yes".to_owned(),
            format!("restante restore {id}"),
            "restante backup /x".to_owned(),
            "restante account add x --domain example.org,example.com --shared --password-file -".to_owned(),
            "restante account set-password x".to_owned(),
            "restante account list --json".to_owned(),
            "restante account remove x".to_owned(),
            "restante health --config /x".to_owned(),
            "restante completions bash".to_owned(),
            "restante man status".to_owned(),
        ];
        for line in lines {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(parsed(&line).is_ok(), "{line}: {}", parsed(&line).unwrap_err());
        }
    }

    #[test]
    fn slips_are_refused() {
        for line in [
            "restante delete --all",
            "restante list --state gone",
            "restante list --older soon",
            "restante list --reason a --last-reply b",
            "restante show nonsense",
            "restante flush",
            "restante export --format eml",
            "restante delete --all --reason x --yes --dry-run",
            "restante explain rcpt a@example.org",
            "restante trust-snippet example.org",
            "restante trust-snippet example.org --for sendmail",
            "restante hold example.org --until soon",
            "restante status a..b",
            "restante account add x",
            "restante account add a=b --domain example.org",
            "restante account add x --domain example.org --legacy-cram-md5 --no-password",
            "restante account set-password x secret",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_stand_before_or_behind_the_verb() {
        for line in ["restante --json --socket /x list", "restante list --socket /x --json"] {
            let program = parsed(line).unwrap();
            assert!(program.options.json && program.options.socket == Some("/x".into()));
            assert!(matches!(program.verb, Verb::List(_)));
        }
    }

    #[test]
    fn every_verb_has_help_with_examples_and_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let page = man::Man { command: None, output: Some(dir.path().to_owned()) };
        let mut output = Output::to(output::Shared::default(), false, jiff::Timestamp::UNIX_EPOCH);
        man::run(&page, Program::command(), &mut output).unwrap();
        for verb in Program::command().get_subcommands() {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            let examples = verb.get_after_long_help().unwrap().to_string();
            assert!(examples.contains(&format!("restante {}", verb.get_name())), "{examples}");
            let page = dir.path().join(format!("restante-{}.1", verb.get_name()));
            assert!(std::fs::read_to_string(page).unwrap().contains(".SH SYNOPSIS"));
        }
        assert!(dir.path().join("restante.1").exists());
    }
}
