//! `restante show`

use clap::Args;
use restante_types::QueueId;

/// Show one message: its envelope, what became of each recipient, its headers
///
/// With --content the message's content and nothing else is printed: byte for byte into a pipe or a file; on a
/// terminal, characters that could steer it are escaped, unless --raw is given.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante show 01890a5d-ac96-774b-bcce-b302099a8057
  restante show --content 01890a5d-ac96-774b-bcce-b302099a8057 > message.eml")]
pub(crate) struct Show {
    /// The message's id, as `list` shows it
    pub(crate) id: QueueId,
    /// Print the content instead, byte for byte
    #[arg(long)]
    pub(crate) content: bool,
    /// Do not escape content on a terminal
    #[arg(long, requires = "content")]
    pub(crate) raw: bool,
}
