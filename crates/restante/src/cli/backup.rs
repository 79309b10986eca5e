//! `restante backup`

use std::io::{self, IsTerminal};
use std::path::{PathBuf, absolute};

use clap::Args;
use restante_api::{BackupRequest, Client};

use super::exit::Exit;
use super::failure::Failure;
use super::human::{counted, span};
use super::output::Output;
use super::progress;

/// Copy the whole store, consistently, while the server runs
///
/// The directory must not exist yet, or be empty, and the server must be able to write there. A restored copy starts
/// with every domain on hold, so that nothing is delivered twice by surprise.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante backup /var/backups/restante/2026-01-31")]
pub(crate) struct Backup {
    /// Where to
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// Makes it, and waits for its end.
pub(crate) async fn run(verb: Backup, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let directory = absolute(&verb.directory).map_err(Failure::file(&verb.directory))?;
    let stream = client.backup(&BackupRequest { directory }).await?;
    let spinner = (!output.json && io::stderr().is_terminal()).then(progress::spinner);
    let outcome = stream.finish(|progress| {
        if let Some(spinner) = &spinner {
            let seconds = std::time::Duration::from_secs(progress.seconds);
            spinner.set_message(format!("copying for {}", span(seconds)));
        }
    });
    let report = outcome.await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let report = report?;
    if output.json {
        output.object(&report)?;
    } else {
        let messages = counted(report.messages, "message", "messages");
        output.line(&format!("Copied {messages} to {}.", report.directory.display()))?;
    }
    Ok(Exit::Ok)
}
