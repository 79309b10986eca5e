//! `restante delete`

use clap::Args;

use super::filter::FilterArgs;

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
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Why; it goes to the log
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only show what would be deleted
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}
