//! What would be done, and whether it should be.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};

use restante_api::ApplyReport;

use super::failure::Failure;
use super::human::size;
use super::limits::MAX_REPLY;

/// What a person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Do it.
    Yes,
    /// Do not.
    No,
    /// No person is there.
    Nobody,
}

/// How much the matching messages hold.
pub(crate) fn volume(report: &ApplyReport) -> String {
    size(report.bytes)
}

/// Asks on the terminal; anything but a clear yes is no.
pub(crate) fn ask(question: &str) -> Result<Answer, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(Answer::Nobody);
    }
    let mut err = io::stderr();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    answer(io::stdin())
}

fn answer(from: impl Read) -> Result<Answer, Failure> {
    let mut line = String::new();
    BufReader::new(from.take(MAX_REPLY)).read_line(&mut line)?;
    let said = line.trim().to_ascii_lowercase();
    Ok(if matches!(said.as_str(), "y" | "yes") { Answer::Yes } else { Answer::No })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_yes() {
        for (said, meant) in [
            ("y\n", Answer::Yes),
            ("YES\n", Answer::Yes),
            ("\n", Answer::No),
            ("", Answer::No),
            ("yep\n", Answer::No),
        ] {
            assert_eq!(answer(said.as_bytes()).unwrap(), meant, "{said:?}");
        }
    }
}
