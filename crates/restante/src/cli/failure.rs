//! What went wrong, for people: what, why, and what to do about it.

use std::io::{self, Write};
use std::path::PathBuf;

use restante_api::{ClientError, ErrorCode};

use super::exit::Exit;

/// Why a verb did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server said no, or did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Standard output went away; nobody is there to be told.
    #[error("nobody reads the output")]
    NobodyReads,
    /// A file or directory.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Standard output, standard input.
    #[error("{0}")]
    Io(io::Error),
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// What was named is not there.
    #[error("{0}")]
    Data(String),
    /// The configuration file cannot be read.
    #[error("{}: {message}", path.display())]
    Configuration {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A finding about the configuration, which says where.
    #[error("{0}")]
    Finding(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::NobodyReads } else { Self::Io(error) }
    }
}

impl Failure {
    /// A file or directory and what the system said about it.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { path, error }
    }

    /// The exit code that fits.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NobodyReads => Exit::Ok,
            Self::Usage(_) => Exit::Usage,
            Self::Data(_) => Exit::Data,
            Self::Configuration { .. } | Self::Finding(_) => Exit::Configuration,
            Self::File { error, .. } | Self::Io(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => Exit::NotAllowed,
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    Exit::Data
                }
                _ => Exit::TryAgain,
            },
            Self::Client(ClientError::NotRunning(_)) => Exit::Unavailable,
            Self::Client(ClientError::Forbidden(_)) => Exit::NotAllowed,
            Self::Client(ClientError::Broken(_) | ClientError::Nonsense(_)) => Exit::TryAgain,
            Self::Client(ClientError::Refused(refusal)) => match refusal.code {
                ErrorCode::BadRequest => Exit::Usage,
                ErrorCode::NotAllowed => Exit::NotAllowed,
                ErrorCode::NotFound | ErrorCode::Conflict | ErrorCode::Damaged => Exit::Data,
                ErrorCode::Unavailable | ErrorCode::Internal => Exit::TryAgain,
            },
        }
    }

    /// What to do about it, where that is known.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Client(ClientError::NotRunning(_)) => Some(
                "Start it with `restante serve --config FILE` or `systemctl start restante`; if it runs elsewhere, \
                 name it with --config FILE or --socket PATH.",
            ),
            Self::Client(ClientError::Forbidden(_)) => {
                Some("Run it as root, or as a member of the group `restante`.")
            }
            _ => None,
        }
    }

    /// Tells it on standard error, unless nobody reads.
    pub(crate) fn report(&self) {
        if matches!(self, Self::NobodyReads) {
            return;
        }
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "restante: {self}");
        if let Some(hint) = self.hint() {
            let _ = writeln!(err, "{hint}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_api::ApiError;

    #[test]
    fn failures_end_with_the_codes_of_sysexits() {
        let code = |failure: Failure| failure.exit() as u8;
        let refused = |code| Failure::Client(ClientError::Refused(ApiError::new(code, "no")));
        assert_eq!(code(Failure::Client(ClientError::NotRunning("/s".into()))), 69);
        assert_eq!(code(Failure::Client(ClientError::Forbidden("/s".into()))), 77);
        assert_eq!(code(Failure::Client(ClientError::Broken("cut".to_owned()))), 75);
        assert_eq!(code(refused(ErrorCode::BadRequest)), 64);
        assert_eq!(code(refused(ErrorCode::NotFound)), 65);
        assert_eq!(code(refused(ErrorCode::Conflict)), 65);
        assert_eq!(code(refused(ErrorCode::NotAllowed)), 77);
        assert_eq!(code(refused(ErrorCode::Unavailable)), 75);
        assert_eq!(code(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe))), 0);
        assert_eq!(code(Failure::file("/x")(io::ErrorKind::AlreadyExists.into())), 65);
        assert_eq!(code(Failure::file("/x")(io::ErrorKind::PermissionDenied.into())), 77);
    }
}
