//! `restante hold` and `restante release`

use clap::Args;
use restante_api::{ApplyReport, ChangeRequest, Client};
use restante_types::{Domain, QueueId};

use super::exit::Exit;
use super::failure::Failure;
use super::filter::FilterArgs;
use super::human::counted;
use super::list;
use super::output::Output;
use super::preview;
use super::value::Until;

/// Stop domains or single messages: they are kept and not delivered
///
/// A stopped domain still takes mail; its primary's ETRN is answered 458. The stop survives restarts, until
/// `release`. Name domains, or give a filter for single messages: `hold example.org` stops the domain with everything
/// that is to come, `hold --domain example.org` stops the messages that are there now.
///
/// With --pause-retention the mail of a stopped domain gets no older, so that none expires over a long repair; `show`
/// and `list` count it in.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante hold example.org --reason 'their server is being moved'
  restante hold example.org --until 2026-01-31T08:00:00Z --pause-retention --reason repair
  restante hold example.org --until 2h
  restante hold --from spammer@example.net --reason 'looks odd'")]
pub(crate) struct Hold {
    /// When domains go again on their own: a span from now (90m, 12h, 3d) or a time (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<Until>,
    /// Mail gets no older while its domain is stopped
    #[arg(long)]
    pub(crate) pause_retention: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Let stopped domains or messages go again
///
/// A released domain is no longer stopped, whoever stopped it: the operator, a route that led back to us, a primary that
/// refused too much, or a domain that left the configuration and came back. Released messages go back to `queued`, also
/// those that were parked as failed, expired or misrouted, and dead letters: they are sent again. A dead letter that is a
/// notice of delay or of success goes to whom it is for, the sender of the mail that it is about.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante release example.org
  restante release --domain example.org --state failed --last-reply 'user unknown'
  restante release --domain example.org --state dead")]
pub(crate) struct Release {
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Domains, or single messages by a filter.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Whole domains
    #[arg(value_name = "DOMAIN")]
    pub(crate) domains: Vec<Domain>,
    /// Why, for the log and for whoever looks next
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

impl Target {
    /// The change as the server takes it. What the server would refuse is refused here with the command line's words.
    fn change(self, output: &Output) -> Result<ChangeRequest, Failure> {
        let filter = self.filter.at(output.clock.now);
        let by_filter = self.filter.all || !filter.is_empty();
        // An id could be the name of a domain, and never is.
        if let Some(id) = self.domains.iter().find(|domain| domain.as_str().parse::<QueueId>().is_ok()) {
            return Err(Failure::Usage(format!("{id} is a message and no domain: write --id {id}")));
        }
        match (self.domains.is_empty(), by_filter) {
            (true, false) => Err(Failure::Usage(
                "name domains, or give a filter for messages (--all for every message)".to_owned(),
            )),
            (false, true) => {
                Err(Failure::Usage("name domains, or give a filter for messages, not both".to_owned()))
            }
            _ => Ok(ChangeRequest {
                domains: self.domains,
                filter,
                all: self.filter.all,
                reason: self.reason,
                dry_run: self.dry_run,
                ..ChangeRequest::default()
            }),
        }
    }
}

/// Stops them.
pub(crate) async fn hold(verb: Hold, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let mut change = verb.target.change(output)?;
    if change.domains.is_empty() && (verb.until.is_some() || verb.pause_retention) {
        let what = "only whole domains are held until a time or with --pause-retention: name domains";
        return Err(Failure::Usage(what.to_owned()));
    }
    let passed = || Failure::Usage("--until: that time has passed already".to_owned());
    let until = |until: Until| until.at(output.clock.now).ok_or_else(passed);
    change.until = verb.until.map(until).transpose()?;
    change.pause_retention = verb.pause_retention;
    let report = client.hold(&change).await?.finish(|_| ()).await?;
    tell(&change, &report, ("hold", "Held"), output)
}

/// Lets them go.
pub(crate) async fn release(verb: Release, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let change = verb.target.change(output)?;
    let report = client.release(&change).await?.finish(|_| ()).await?;
    tell(&change, &report, ("release", "Released"), output)
}

fn tell(
    change: &ChangeRequest,
    report: &ApplyReport,
    (verb, done): (&str, &str),
    output: &mut Output,
) -> Result<Exit, Failure> {
    if output.json {
        output.object(report)?;
        return Ok(Exit::Ok);
    }
    let (one, many) = if change.domains.is_empty() { ("message", "messages") } else { ("domain", "domains") };
    if report.dry_run {
        list::table(&report.sample, output)?;
        let matched = counted(report.matched, one, many);
        output.line(&format!("Would {verb} {matched} ({}).", preview::volume(report)))?;
        return Ok(Exit::Ok);
    }
    let already = report.matched - report.changed.min(report.matched);
    let rest = if already == 0 { String::new() } else { format!("; {already} had nothing to change") };
    let until = change.until.map_or_else(String::new, |time| format!(" until {}", output.clock.both(time)));
    let paused = if change.pause_retention { ", retention paused" } else { "" };
    output.line(&format!("{done} {}{until}{paused}{rest}.", counted(report.changed, one, many)))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;

    fn target(domains: &[&str], all: bool) -> Target {
        Target {
            domains: domains.iter().map(|name| name.parse().unwrap()).collect(),
            filter: FilterArgs { all, ..FilterArgs::default() },
            reason: None,
            dry_run: false,
        }
    }

    #[test]
    fn domains_or_a_filter_and_never_both() {
        let output = Output::to(Shared::default(), false, jiff::Timestamp::UNIX_EPOCH);
        let exit = |target: Target| target.change(&output).map_err(|failure| failure.exit()).err();
        assert_eq!(exit(target(&[], false)), Some(Exit::Usage));
        assert_eq!(exit(target(&["example.org"], true)), Some(Exit::Usage));
        assert_eq!(exit(target(&["example.org"], false)), None);
        assert_eq!(exit(target(&[], true)), None);
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let told = target(&[id], false).change(&output).unwrap_err().to_string();
        assert!(told.contains(&format!("--id {id}")), "{told}");
    }

    #[test]
    fn what_was_done_is_told() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, jiff::Timestamp::UNIX_EPOCH);
        let report = |matched, changed, dry_run| ApplyReport {
            matched,
            changed,
            bytes: 1000,
            sample: Vec::new(),
            dry_run,
            as_of: QueueId::MAX,
        };
        let change = target(&["example.org"], false).change(&output).unwrap();
        tell(&change, &report(1, 1, false), ("hold", "Held"), &mut output).unwrap();
        tell(&change, &report(2, 1, false), ("release", "Released"), &mut output).unwrap();
        let until = Some("2026-01-31T08:00:00Z".parse().unwrap());
        let long = ChangeRequest { until, pause_retention: true, ..change.clone() };
        tell(&long, &report(1, 1, false), ("hold", "Held"), &mut output).unwrap();
        let change = ChangeRequest { domains: Vec::new(), ..change };
        tell(&change, &report(2, 0, true), ("hold", "Held"), &mut output).unwrap();
        let expected = "Held 1 domain.\nReleased 1 domain; 1 had nothing to change.\n\
             Held 1 domain until 2026-01-31 08:00 (in 20484d), retention paused.\nWould hold 2 messages (1.0 kB).\n";
        assert_eq!(shared.text(), expected);
    }
}
