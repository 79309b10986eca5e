//! What goes wrong, on either side of the socket.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whose fault it is, and whether asking again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request makes no sense (400).
    BadRequest,
    /// The peer may not ask this (403).
    NotAllowed,
    /// No such domain, message or entry (404).
    NotFound,
    /// What was asked does not fit the present state (409).
    Conflict,
    /// Stored data is damaged (500).
    Damaged,
    /// The server went wrong (500).
    Internal,
    /// Not now (503).
    Unavailable,
}

impl ErrorCode {
    /// The HTTP status it travels with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NotAllowed => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Damaged | Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// The server's refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind.
    pub code: ErrorCode,
    /// One line for people; safe to show.
    pub message: String,
}

impl ApiError {
    /// A refusal with a line for people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Why a client got no answer it can use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no server listens on {}", .0.display())]
    NotRunning(PathBuf),
    /// The socket's permissions keep this user out.
    #[error("the socket {} may not be used by this user", .0.display())]
    Forbidden(PathBuf),
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// The connection broke or the server fell silent.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
    /// The answer is not one this client understands; the two may be of different versions.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(String),
}

impl ClientError {
    /// Reads the cause out of an HTTP client's error.
    pub(crate) fn from_http(error: &reqwest::Error, socket: &std::path::Path) -> Self {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut innermost = error.to_string();
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<io::Error>().filter(|_| error.is_connect()) {
                match io.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                        return Self::NotRunning(socket.to_owned());
                    }
                    io::ErrorKind::PermissionDenied => return Self::Forbidden(socket.to_owned()),
                    _ => {}
                }
            }
            innermost = cause.to_string();
            source = cause.source();
        }
        if error.is_timeout() {
            Self::Broken("no answer in time".to_owned())
        } else {
            Self::Broken(innermost)
        }
    }
}
