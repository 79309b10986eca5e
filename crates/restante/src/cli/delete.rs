//! `restante delete`

use clap::Args;
use restante_api::{ApplyReport, ChangeRequest, Client};

use super::exit::Exit;
use super::failure::Failure;
use super::filter::FilterArgs;
use super::human::counted;
use super::list;
use super::output::{Output, remark};
use super::preview::{self, Answer};

/// Delete messages, with a preview; they can be restored for 24 hours
///
/// Shows what matches and asks, on a terminal; elsewhere --yes is needed. What arrives between the preview and the
/// answer is not touched.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante delete --from spammer@example.net --reason 'spam run of Tuesday'
  restante delete --domain example.org --state expired --reason 'agreed with the owner' --yes
  restante delete --older 30d --all --reason cleaning --dry-run")]
pub(crate) struct Delete {
    /// Why; it goes to the log
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only show what would be deleted
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Deletes them, once it is sure.
pub(crate) async fn run(verb: Delete, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let filter = verb.filter.at(output.clock.now);
    if filter.is_empty() && !verb.filter.all {
        return Err(Failure::Usage("give a filter, or --all to delete every message".to_owned()));
    }
    if verb.reason.trim().is_empty() {
        return Err(Failure::Usage("--reason is for whoever reads the log: say why".to_owned()));
    }
    let mut change = ChangeRequest {
        filter,
        all: verb.filter.all,
        reason: Some(verb.reason),
        dry_run: true,
        ..ChangeRequest::default()
    };
    if !verb.yes {
        let report = client.delete(&change).await?.finish(|_| ()).await?;
        if verb.dry_run || report.matched == 0 {
            return would(&report, output);
        }
        shown(&report, output)?;
        let question = format!("Delete {}?", counted(report.matched, "message", "messages"));
        match preview::ask(&question)? {
            Answer::Yes => change.as_of = Some(report.as_of),
            Answer::No => {
                remark("Nothing was deleted.");
                return Ok(Exit::Ok);
            }
            Answer::Nobody => {
                return Err(Failure::Usage(
                    "nobody can be asked here: add --yes, or --dry-run to look first".to_owned(),
                ));
            }
        }
    }
    change.dry_run = false;
    let report = client.delete(&change).await?.finish(|_| ()).await?;
    done(&report, output)
}

/// On standard error: the result is yet to come.
fn shown(report: &ApplyReport, output: &mut Output) -> Result<(), Failure> {
    if !output.json {
        list::table(&report.sample, output)?;
    }
    let hidden = report.matched.saturating_sub(report.sample.len() as u64);
    if hidden > 0 {
        remark(&format!("… and {} more ({} in all)", super::human::number(hidden), preview::volume(report)));
    }
    Ok(())
}

fn would(report: &ApplyReport, output: &mut Output) -> Result<Exit, Failure> {
    if output.json {
        output.object(report)?;
    } else if report.matched == 0 {
        output.line("Nothing matches.")?;
    } else {
        list::table(&report.sample, output)?;
        let messages = counted(report.matched, "message", "messages");
        output.line(&format!("Would delete {messages} ({}).", preview::volume(report)))?;
    }
    Ok(Exit::Ok)
}

fn done(report: &ApplyReport, output: &mut Output) -> Result<Exit, Failure> {
    if output.json {
        output.object(report)?;
    } else {
        let messages = counted(report.changed, "message", "messages");
        output.line(&format!(
            "Deleted {messages} ({}); `restante restore ID` brings them back for 24 hours.",
            preview::volume(report)
        ))?;
    }
    Ok(Exit::Ok)
}
