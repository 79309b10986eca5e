//! `restante completions`

use clap::Args;
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante completions bash > /etc/bash_completion.d/restante
  restante completions fish > ~/.config/fish/completions/restante.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}
