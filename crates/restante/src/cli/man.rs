//! `restante man`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;

/// Print the manual page of a command, or write all of them
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante man status | man -l -
  restante man --output /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The command; without one, the program's own page
    #[arg(conflicts_with = "output")]
    pub(crate) command: Option<String>,
    /// Write the pages of all commands into this directory, replacing what is there
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// Prints or writes them.
pub(crate) fn run(verb: &Man, command: Command, output: &mut Output) -> Result<Exit, Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    if let Some(directory) = &verb.output {
        fs::create_dir_all(directory).map_err(Failure::file(directory))?;
        write_all(&command, command.get_name(), directory)?;
        return Ok(Exit::Ok);
    }
    let page = match &verb.command {
        None => command,
        Some(name) => named(&command, name)?,
    };
    let title = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
    output.octets(&render(page, &title)?)?;
    Ok(Exit::Ok)
}

fn named(command: &Command, name: &str) -> Result<Command, Failure> {
    command.find_subcommand(name).cloned().ok_or_else(|| {
        let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        Failure::Usage(format!("no such command; one of {}", names.join(" ")))
    })
}

fn write_all(command: &Command, title: &str, directory: &Path) -> Result<(), Failure> {
    let path = directory.join(format!("{title}.1"));
    fs::write(&path, render(command.clone(), title)?).map_err(Failure::file(&path))?;
    // The depth is that of our own commands.
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_all(sub, &format!("{title}-{}", sub.get_name()), directory)?;
    }
    Ok(())
}

fn render(command: Command, title: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Page::new(command)
        .title(title.to_owned())
        .section("1")
        .source(concat!("restante ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    Ok(page)
}
