//! `restante restore`

use clap::Args;
use restante_types::QueueId;

/// Bring deleted messages back
///
/// Deleted messages can be restored for 24 hours, in the state they had. `list --state deleted` shows them.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante restore 01890a5d-ac96-774b-bcce-b302099a8057
  restante list --state deleted --json | jq -r .id | xargs restante restore")]
pub(crate) struct Restore {
    /// The messages' ids
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<QueueId>,
}
