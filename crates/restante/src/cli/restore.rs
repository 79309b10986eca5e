//! `restante restore`

use clap::Args;
use restante_api::{ChangeRequest, Client, EntryFilter};
use restante_types::QueueId;

use super::exit::Exit;
use super::failure::Failure;
use super::human::counted;
use super::output::Output;

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

/// Brings them back.
pub(crate) async fn run(verb: Restore, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let filter = EntryFilter { ids: verb.ids, ..EntryFilter::default() };
    let change = ChangeRequest { filter, ..ChangeRequest::default() };
    let report = client.restore(&change).await?.finish(|_| ()).await?;
    if report.matched == 0 {
        return Err(Failure::Data(
            "none of them is deleted; `restante list --state deleted` shows what is".to_owned(),
        ));
    }
    if output.json {
        output.object(&report)?;
    } else {
        output.line(&format!("Restored {}.", counted(report.changed, "message", "messages")))?;
    }
    Ok(Exit::Ok)
}
