//! Why the server does not start, or keeps the configuration it has.

use std::io;
use std::path::PathBuf;

use restante_admin::StartError as AdminError;
use restante_delivery::DnsSettingsError;
use restante_queue::OpenError;
use restante_server::ServerError;

use super::certificate::CertificateError;
use crate::cli::{Exit, counted};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// No threads.
    #[error("no runtime: {0}")]
    Runtime(#[source] io::Error),
    /// No signals.
    #[error("signals cannot be taken: {0}")]
    Signals(#[source] io::Error),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The thread that opened it is gone.
    #[error("the store does not open: {0}")]
    StoreThread(String),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The trust anchors of DNSSEC.
    #[error("[dns] trust-anchor: {0}")]
    Dns(#[from] DnsSettingsError),
    /// What the installation keeps for its accounts.
    #[error("accounts: {0}")]
    Accounts(#[source] io::Error),
    /// The listeners.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// What monitors are let in with.
    #[error("[admin] token-file {}: {}", .0.display(), .1)]
    Token(PathBuf, #[source] io::Error),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl StartError {
    /// The exit code of sysexits that fits.
    pub(crate) fn exit(&self) -> Exit {
        let of_io = |error: &io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotAllowed,
            _ => Exit::Unavailable,
        };
        match self {
            Self::Store(OpenError::InUse(_)) | Self::Admin(AdminError::InUse(_)) => Exit::TryAgain,
            Self::Store(OpenError::UnknownVersion { .. } | OpenError::Unreadable { .. }) => Exit::Data,
            Self::Store(OpenError::Io { cause, .. }) => of_io(cause),
            Self::Admin(AdminError::Io { error, .. } | AdminError::Http { error, .. })
            | Self::Accounts(error)
            | Self::Token(_, error) => of_io(error),
            Self::Server(ServerError::Listen(error)) => of_io(&error.source),
            Self::Certificate(_) | Self::Dns(_) | Self::Server(ServerError::NoCertificate(_)) => {
                Exit::Configuration
            }
            Self::Runtime(_)
            | Self::Signals(_)
            | Self::StoreThread(_)
            | Self::Store(_)
            | Self::Admin(AdminError::NotASocket(_)) => Exit::Unavailable,
        }
    }
}

/// Why the old configuration stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The new one has errors; they are logged one by one.
    #[error("{}, the first: {}", counted(*.0 as u64, "error", "errors"), .1)]
    Findings(usize, String),
    /// It could not be read at all.
    #[error("it could not be read: {0}")]
    Thread(String),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The trust anchors of DNSSEC.
    #[error("[dns] trust-anchor: {0}")]
    Dns(#[from] DnsSettingsError),
    /// The listeners.
    #[error(transparent)]
    Server(#[from] ServerError),
}
