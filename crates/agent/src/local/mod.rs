//! The local side: a mail server or a Maildir that takes each message while it comes in.

mod maildir;
mod relay;

use restante_smtp::Capabilities;
use restante_types::{Domain, Envelope, Recipient, Reply};

pub(crate) use maildir::Maildir;
pub(crate) use relay::Relay;

use crate::address::Local;

/// Why mail cannot be taken here now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalTrouble {
    /// Nobody there.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    /// It does not want to talk, or not in this language.
    #[error("{0}: {1}")]
    Ended(String, String),
    /// The Maildir cannot be used.
    #[error("maildir {0}: {1}")]
    Maildir(String, String),
}

impl LocalTrouble {
    /// What the other side is told: its mail stays, and there is no use in going on.
    pub(crate) fn reply(&self) -> Reply {
        Reply::new(421, (4, 3, 0), "The mail server behind this one is not available now")
    }
}

/// The local side, for the time of one collection. Every refusal is the reply that goes back to the other side.
#[derive(Debug)]
pub(crate) enum LocalSide {
    /// By SMTP or LMTP.
    Relay(Box<Relay>),
    /// Into files.
    Maildir(Box<Maildir>),
}

impl LocalSide {
    /// Opens it: whoever cannot take mail need not ask for any.
    pub(crate) async fn open(local: &Local, hostname: &Domain) -> Result<Self, LocalTrouble> {
        match local {
            Local::Smtp(address) => {
                Relay::smtp(address.clone(), hostname).await.map(Box::new).map(Self::Relay)
            }
            Local::Lmtp(lmtp) => Relay::lmtp(lmtp.clone(), hostname).await.map(Box::new).map(Self::Relay),
            Local::Maildir(path) => Maildir::open(path).await.map(Box::new).map(Self::Maildir),
        }
    }

    /// What it offers.
    pub(crate) fn capabilities(&self) -> Capabilities {
        match self {
            Self::Relay(relay) => relay.capabilities(),
            Self::Maildir(_) => {
                Capabilities { eight_bit_mime: true, smtputf8: true, ..Capabilities::default() }
            }
        }
    }

    /// [2033-4.2] Whether it answers once per recipient after content, so that a transaction may have one only.
    pub(crate) fn one_recipient(&self) -> bool {
        matches!(self, Self::Relay(relay) if relay.is_lmtp())
    }

    /// A message begins.
    pub(crate) async fn mail(&mut self, envelope: &Envelope, size: Option<u64>) -> Result<(), Reply> {
        match self {
            Self::Relay(relay) => relay.mail(envelope, size).await,
            Self::Maildir(maildir) => {
                maildir.mail(envelope).await;
                Ok(())
            }
        }
    }

    /// One more recipient.
    pub(crate) async fn recipient(&mut self, recipient: &Recipient) -> Result<(), Reply> {
        match self {
            Self::Relay(relay) => relay.recipient(recipient).await,
            Self::Maildir(maildir) => {
                maildir.recipient(recipient);
                Ok(())
            }
        }
    }

    /// Content follows.
    pub(crate) async fn begin(&mut self) -> Result<(), Reply> {
        match self {
            Self::Relay(relay) => relay.begin().await,
            Self::Maildir(maildir) => maildir.begin().await,
        }
    }

    /// A piece of it, canonical.
    pub(crate) async fn content(&mut self, octets: &[u8]) -> Result<(), Reply> {
        match self {
            Self::Relay(relay) => relay.content(octets).await,
            Self::Maildir(maildir) => maildir.content(octets).await,
        }
    }

    /// The content is over. Its 2yz is the only leave to acknowledge the message.
    pub(crate) async fn end(&mut self) -> Result<Reply, Reply> {
        match self {
            Self::Relay(relay) => relay.end().await,
            Self::Maildir(maildir) => maildir.end().await,
        }
    }

    /// The message that was coming will not come to its end.
    pub(crate) async fn abandon(&mut self) {
        match self {
            Self::Relay(relay) => relay.abandon().await,
            Self::Maildir(maildir) => maildir.abandon().await,
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        match self {
            Self::Relay(relay) => relay.close().await,
            Self::Maildir(mut maildir) => maildir.abandon().await,
        }
    }
}
