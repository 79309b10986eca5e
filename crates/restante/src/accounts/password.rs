//! Where passwords come from: never from the command line, where others could read them.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use restante_smtp::Secret;
use restante_turn::MAX_PASSWORD;

/// Where a password is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file with one line.
    File(PathBuf),
    /// Standard input: one line, or a person who is asked twice.
    Input,
}

impl Source {
    /// As `--password-file` says; `-` is standard input.
    pub(crate) fn of(file: Option<&Path>) -> Self {
        match file {
            Some(file) if file != Path::new("-") => Self::File(file.to_owned()),
            _ => Self::Input,
        }
    }
}

/// Reads a new password.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::InvalidInput`] where the two differ or the text is no password.
pub(crate) fn ask(source: &Source) -> io::Result<Secret> {
    match source {
        Source::File(path) => line_of(File::open(path)?),
        Source::Input if io::stdin().is_terminal() => typed(),
        Source::Input => line_of(io::stdin().lock()),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

/// One line, its end left out.
fn line_of(from: impl Read) -> io::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    // The line's end may be two octets, and one more tells that it is too long.
    from.take(MAX_PASSWORD as u64 + 3).read_to_string(&mut text).map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData { refused("the password is not UTF-8") } else { error }
    })?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.contains('\n') {
        return Err(refused("one line with the password is wanted, not several"));
    }
    Ok(Secret::new(line.to_owned()))
}

/// A person types it twice, unseen.
fn typed() -> io::Result<Secret> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let first = prompt(&mut terminal, "New password: ")?;
    let second = prompt(&mut terminal, "Once more: ")?;
    if first == second { Ok(first) } else { Err(refused("the two passwords differ")) }
}

fn prompt(terminal: &mut File, text: &str) -> io::Result<Secret> {
    let quiet = Quiet::begin(terminal)?;
    terminal.write_all(text.as_bytes())?;
    let mut line = zeroize::Zeroizing::new(Vec::with_capacity(MAX_PASSWORD + 1));
    let mut octet = [0];
    while terminal.read(&mut octet)? == 1 && octet[0] != b'\n' {
        if line.len() > MAX_PASSWORD {
            return Err(refused("the password is too long"));
        }
        line.push(octet[0]);
    }
    drop(quiet);
    terminal.write_all(b"\n")?;
    let text = std::str::from_utf8(&line).map_err(|_| refused("the password is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

/// The terminal while it does not show what is typed.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that went away needs no echo.
        let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<String, io::ErrorKind> {
        line_of(text).map(|password| password.expose().to_owned()).map_err(|error| error.kind())
    }

    #[test]
    fn a_password_is_one_line() {
        for text in [&b"a b"[..], b"a b\n", b"a b\r\n"] {
            assert_eq!(read(text), Ok("a b".to_owned()));
        }
        assert_eq!(read(b" a \n"), Ok(" a ".to_owned()));
        for text in [&b"a\nb"[..], b"a\n\n", b"\xff"] {
            assert_eq!(read(text), Err(io::ErrorKind::InvalidInput));
        }
        assert!(read(&[b'x'; 5000]).unwrap().len() > MAX_PASSWORD, "too long is seen as too long");
    }
}
