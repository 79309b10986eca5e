//! `restante completions`

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante completions bash > /etc/bash_completion.d/restante
  restante completions fish > ~/.config/fish/completions/restante.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Prints them.
pub(crate) fn run(verb: &Completions, mut command: Command, output: &mut Output) -> Result<Exit, Failure> {
    let name = command.get_name().to_owned();
    // Into memory first: the generator takes no reader that goes away.
    let mut script = Vec::new();
    clap_complete::generate(verb.shell, &mut command, name, &mut script);
    output.octets(&script)?;
    Ok(Exit::Ok)
}
