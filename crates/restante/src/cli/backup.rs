//! `restante backup`

use std::path::PathBuf;

use clap::Args;

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
