//! Exit codes, as in sysexits.

use std::process::ExitCode;

/// What the program ends with. `health` uses 0, 1 and 2 as monitors expect; everything else is sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// `health` only: it works, and somebody should look.
    Warning = 1,
    /// `health` only: it does not work.
    Critical = 2,
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// What was named does not exist or is damaged (EX_DATAERR).
    Data = 65,
    /// The server does not run (EX_UNAVAILABLE).
    Unavailable = 69,
    /// Not now; asking again may help (EX_TEMPFAIL).
    TryAgain = 75,
    /// Not for you (EX_NOPERM).
    NotAllowed = 77,
    /// The configuration is wrong (EX_CONFIG).
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
