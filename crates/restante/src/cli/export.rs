//! `restante export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::filter::SearchArgs;

/// How exported messages are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A directory with one ID.eml per message
    Eml,
    /// One file, in the mboxrd variant: lines that look like a separator get one more `>`, and lose it on the way back
    Mbox,
    /// A Maildir, new or existing; messages appear in its new/
    Maildir,
}

/// Copy messages out, byte for byte
///
/// Content is written as it is held: lines end in CRLF, the topmost Received line is ours. Nothing is removed from the
/// queue, and no file is ever overwritten. A file appears under its name only once it is whole and on the disk. A
/// message that is held for several domains is exported once.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante export --domain example.org --format mbox --output example.org.mbox
  restante export --id 01890a5d-ac96-774b-bcce-b302099a8057 --format eml --output .
  restante export --all --format maildir --output /var/backups/held
  restante export --domain example.org --format mbox --output - | less")]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// How to lay the messages out
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    /// Where to: a directory for eml and maildir, a new file for mbox (`-` is standard output)
    #[arg(long, value_name = "PATH")]
    pub(crate) output: PathBuf,
}
