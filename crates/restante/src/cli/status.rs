//! `restante status`

use clap::Args;
use restante_types::Domain;

/// Show what each domain holds
///
/// One line per domain: the messages that wait to be collected, their octets, the oldest and the newest of them,
/// whether the operator stopped it, when the server tries on its own next, and how the last drain ended. With a
/// domain, everything that is known about that domain.
///
/// Parked messages (failed, expired, misrouted, damaged, dead) do not wait, so they are not counted as messages; they
/// show in a column of their own.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante status
  restante status example.org
  restante status --json | jq 'select(.messages > 0)'")]
pub(crate) struct Status {
    /// Only this domain, in detail
    pub(crate) domain: Option<Domain>,
}
