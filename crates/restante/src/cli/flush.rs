//! `restante flush`

use clap::Args;
use restante_types::Domain;

/// Start to deliver a domain's mail now, as ETRN would, and show its progress
///
/// The drain runs in the server: ending this command does not end it. A domain on hold is not flushed; `release` it
/// first.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante flush example.org
  restante flush --reset example.org example.com
  restante flush --no-wait example.org")]
pub(crate) struct Flush {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    pub(crate) domains: Vec<Domain>,
    /// Forget the retry history first: attempts, planned attempts, and that the primary was found dead
    #[arg(long)]
    pub(crate) reset: bool,
    /// Only start the drain, do not wait for its end
    #[arg(long)]
    pub(crate) no_wait: bool,
}
