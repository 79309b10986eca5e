//! The client's side of one exchange, and which mechanism it takes.

use std::fmt;

use zeroize::Zeroizing;

use super::channel::{Channel, Layer};
use super::mechanism::{Mechanism, Mechanisms};
use super::plain;
use super::scram::client::{Client as Scram, Terms};
use super::secret::{Secret, prepare, prepare_secret};

/// Who a client is, and how it may prove it.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account.
    pub name: String,
    /// Its password, where it has one: SCRAM, or PLAIN.
    pub password: Option<Secret>,
    /// EXTERNAL may be used: a client certificate was shown.
    pub external: bool,
    /// PLAIN may be used, inside TLS: the server's certificate was verified, so that nobody else gets the password.
    pub plain: bool,
}

/// The server offers no mechanism that these credentials allow on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMechanism {
    /// Something is under way.
    #[error("something else is under way")]
    Busy,
    /// Nothing in common.
    #[error("the server offers no way to authenticate that may be used on this connection")]
    NoneInCommon,
    /// SASLprep (RFC 4013) does not allow the name or the password.
    #[error("the account's name or password has characters that are not allowed there")]
    Unprepared,
}

/// Why authentication was broken off: the server is not what it pretends to be, or does not speak the mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// What came is no base64, or not what the mechanism says.
    #[error("a challenge that the mechanism does not know")]
    Challenge,
    /// The server's nonce does not go on from ours.
    #[error("a nonce that is not an answer to ours")]
    Nonce,
    /// Fewer than 4096 iterations, or so many that they are meant to make us work.
    #[error("{0} iterations are out of bounds")]
    Iterations(u32),
    /// It accepted us, or wanted to, without knowing our password's keys.
    #[error("the server did not prove that it knows the account")]
    Server,
}

/// One exchange.
pub(crate) enum Exchange {
    /// One message says it all.
    Single,
    /// SCRAM
    Scram(Scram),
    /// The first message did not go with the command: the server asks for it by an empty challenge.
    Held(Box<Exchange>, Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "Single",
            Self::Scram(_) => "Scram",
            Self::Held(..) => "Held",
        })
    }
}

/// An exchange that begins: its mechanism, itself, and its first message.
type Begun = (Mechanism, Exchange, Zeroizing<Vec<u8>>);

impl Exchange {
    /// Takes the strongest mechanism that both sides have: SCRAM with channel binding, SCRAM, EXTERNAL, PLAIN inside TLS.
    /// Never CRAM-MD5, never LOGIN.
    pub(crate) fn begin(
        credentials: &Credentials,
        offered: Mechanisms,
        channel: &mut Channel,
    ) -> Result<Begun, NoMechanism> {
        let mechanism = choose(credentials, offered, channel.layer()).ok_or(NoMechanism::NoneInCommon)?;
        if mechanism == Mechanism::External {
            return Ok((mechanism, Self::Single, Zeroizing::default()));
        }
        let name = prepare(&credentials.name).map_err(|_| NoMechanism::Unprepared)?;
        let password = credentials.password.as_ref().map_or("", Secret::expose);
        let password = prepare_secret(password).map_err(|_| NoMechanism::Unprepared)?;
        if mechanism == Mechanism::Plain {
            return Ok((mechanism, Self::Single, plain::write(&name, &password)));
        }
        let terms = match (mechanism, channel.layer().binding()) {
            (Mechanism::ScramSha256Plus, Some(binding)) => Terms::Exporter(binding),
            (_, Some(_)) => Terms::NotOffered,
            (_, None) => Terms::Unsupported,
        };
        let (scram, first) = Scram::begin(terms, &name, password, channel.nonce());
        Ok((mechanism, Self::Scram(scram), Zeroizing::new(first)))
    }

    /// The first message waits until the server asks for it.
    pub(crate) fn with_first(self, first: Zeroizing<Vec<u8>>) -> Self {
        Self::Held(Box::new(self), first)
    }

    /// The server said something, base64 taken off.
    pub(crate) fn challenge(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        match self {
            Self::Single => Err(AuthError::Challenge),
            Self::Scram(scram) => scram.challenge(challenge),
            Self::Held(..) if !challenge.is_empty() => Err(AuthError::Challenge),
            Self::Held(exchange, first) => {
                let first = std::mem::take(first);
                *self = std::mem::replace(exchange, Self::Single);
                Ok(first)
            }
        }
    }

    /// The server says that we are authenticated.
    pub(crate) const fn success(&self) -> Result<(), AuthError> {
        match self {
            Self::Single => Ok(()),
            Self::Scram(scram) if scram.is_proven() => Ok(()),
            Self::Scram(_) | Self::Held(..) => Err(AuthError::Server),
        }
    }
}

fn choose(credentials: &Credentials, offered: Mechanisms, layer: Layer) -> Option<Mechanism> {
    let tls = matches!(layer, Layer::Tls { .. });
    let may = |mechanism| match mechanism {
        Mechanism::ScramSha256Plus => credentials.password.is_some() && layer.binding().is_some(),
        Mechanism::ScramSha256 => credentials.password.is_some(),
        Mechanism::External => credentials.external && tls,
        Mechanism::Plain => credentials.password.is_some() && credentials.plain && tls,
        Mechanism::Login | Mechanism::CramMd5 => false,
    };
    offered.iter().find(|mechanism| may(*mechanism))
}
