//! `restante list`

use clap::Args;

use super::filter::SearchArgs;

/// List held messages
///
/// One line per entry, in the order of domain, then arrival. A message for two held domains is two entries under one
/// id. Conditions are combined with "and"; without any, everything but deleted entries is listed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante list --domain example.org --older 3d
  restante list --state failed,expired
  restante list --from '<>' --larger 1MB
  restante list --json --reason 'connection refused' | jq -r .id")]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// At most this many entries
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u64>,
}
