//! `restante hold` and `restante release`

use clap::Args;
use restante_types::Domain;

use super::filter::FilterArgs;

/// Stop domains or single messages: they are kept and not delivered
///
/// A stopped domain still takes mail; its primary's ETRN is answered 458. The stop survives restarts, until
/// `release`. Name domains, or give a filter for single messages: `hold example.org` stops the domain with everything
/// that is to come, `hold --domain example.org` stops the messages that are there now.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante hold example.org --reason 'their server is being moved'
  restante hold --from spammer@example.net --yes")]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Let stopped domains or messages go again
///
/// A released domain is no longer stopped, whoever stopped it: the operator, a route that led back to us, or a domain
/// that left the configuration and came back. Released messages go back to `queued`, also those that were parked as
/// failed, expired or misrouted.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante release example.org
  restante release --domain example.org --state failed --last-reply 'user unknown'")]
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
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Why, for the log and for whoever looks next
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}
