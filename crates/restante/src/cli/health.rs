//! `restante health`

use clap::Args;

/// Tell a monitor whether all is well
///
/// Ends with 0 when mail comes in and goes out; with 1 when somebody should look (the index is being rebuilt, a domain
/// is orphaned or misrouted, the clock is in doubt); with 2 when mail cannot come in, or nobody answers.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante health
  restante health --json | jq -r .problems[]")]
pub(crate) struct Health {}
