//! The server's side of one exchange, whatever its mechanism.

use super::channel::Channel;
use super::evidence::{Evidence, Identity};
use super::keys::ScramKeys;
use super::mechanism::{Mechanism, Mechanisms};
use super::scram::server::{Server as Scram, Terms};
use super::secret::Unprepared;
use super::{cram, plain, secret};
use crate::limits::MAX_AUTH_NAME;

/// Why a response leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is not what the mechanism says.
    Malformed,
    /// [4954-4-prep] SASLprep does not allow the name or the password, so no account has them.
    Unprepared,
}

impl From<Unprepared> for Bad {
    fn from(Unprepared: Unprepared) -> Self {
        Self::Unprepared
    }
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// This goes to the client, which answers.
    Challenge(Vec<u8>),
    /// The caller is asked for this account's keys.
    Keys(String),
    /// The caller is asked what it thinks of this.
    Evidence(Evidence),
    /// The client is told that it is authenticated.
    Done(Identity),
    /// Over.
    Bad(Bad),
}

/// One exchange.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// PLAIN's message is awaited.
    Plain,
    /// EXTERNAL's message is awaited.
    External,
    /// LOGIN's name is awaited.
    LoginName,
    /// LOGIN's password is awaited.
    LoginPassword(String),
    /// CRAM-MD5's answer to this is awaited.
    Cram(String),
    /// SCRAM
    Scram(Box<Scram>),
    /// The caller agreed and the server's last word is out; the client's empty answer is awaited.
    Last(Identity),
}

impl Exchange {
    /// Begins. `None` where the mechanism needs a channel and there is none.
    pub(crate) fn begin(
        mechanism: Mechanism,
        offered: Mechanisms,
        channel: Option<&mut Channel>,
        hostname: &str,
    ) -> Option<Self> {
        Some(match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::External => Self::External,
            Mechanism::Login => Self::LoginName,
            // [2195-2-challenge] In the form of a message's id. It is fresh without a clock.
            Mechanism::CramMd5 => Self::Cram(format!("<{}@{hostname}>", channel?.nonce())),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let channel = channel?;
                let plus_offered = offered.contains(Mechanism::ScramSha256Plus);
                let (binding, nonce) = (channel.layer().binding(), channel.nonce());
                Self::Scram(Box::new(Scram::Begun(Terms { mechanism, plus_offered, binding, nonce })))
            }
        })
    }

    /// What is sent where AUTH brought no initial response. RFC 4422 5.1: where the client begins it is asked to.
    pub(crate) fn first_challenge(&self) -> Vec<u8> {
        match self {
            Self::LoginName => b"Username:".to_vec(),
            Self::Cram(challenge) => challenge.clone().into_bytes(),
            _ => Vec::new(),
        }
    }

    /// [4954-4-first] Whether AUTH may bring the response along. LOGIN's name comes along in practice.
    pub(crate) const fn takes_initial_response(&self) -> bool {
        !matches!(self, Self::Cram(_))
    }

    /// The client said something, base64 taken off.
    pub(crate) fn respond(&mut self, response: &[u8]) -> Step {
        match self {
            Self::Plain => step(plain::read(response)),
            Self::External => step(external(response)),
            Self::LoginName => match std::str::from_utf8(response) {
                Ok(name) if name.len() <= MAX_AUTH_NAME && !name.is_empty() && !name.contains('\0') => {
                    *self = Self::LoginPassword(name.to_owned());
                    Step::Challenge(b"Password:".to_vec())
                }
                _ => Step::Bad(Bad::Malformed),
            },
            Self::LoginPassword(name) => step(login(name, response)),
            Self::Cram(challenge) => match cram::read(response) {
                Ok((name, digest)) => {
                    Step::Evidence(Evidence::CramMd5 { name, challenge: challenge.clone(), digest })
                }
                Err(bad) => Step::Bad(bad),
            },
            Self::Scram(scram) => scram.respond(response),
            Self::Last(identity) if response.is_empty() => Step::Done(identity.clone()),
            Self::Last(_) => Step::Bad(Bad::Malformed),
        }
    }

    /// The caller has the keys.
    pub(crate) fn keys(&mut self, keys: ScramKeys) -> Step {
        match self {
            Self::Scram(scram) => scram.keys(keys).map_or(Step::Bad(Bad::Malformed), Step::Challenge),
            _ => Step::Bad(Bad::Malformed),
        }
    }

    /// The caller agrees. `None`: there is nothing to agree to, because the client proved nothing.
    pub(crate) fn agree(&mut self, identity: Identity) -> Option<Step> {
        match self {
            Self::Scram(scram) => {
                // [4954-4-additional] 235 has no place for it, so it goes as a challenge that is answered by nothing.
                let last = scram.success()?;
                *self = Self::Last(identity);
                Some(Step::Challenge(last))
            }
            _ => Some(Step::Done(identity)),
        }
    }
}

fn step(read: Result<Evidence, Bad>) -> Step {
    read.map_or_else(Step::Bad, Step::Evidence)
}

/// [4422-A] The message is the authorisation identity, or nothing.
fn external(response: &[u8]) -> Result<Evidence, Bad> {
    let text = std::str::from_utf8(response).map_err(|_| Bad::Malformed)?;
    if text.contains('\0') || text.len() > MAX_AUTH_NAME {
        return Err(Bad::Malformed);
    }
    let authzid = if text.is_empty() { None } else { Some(secret::prepare(text)?.into_owned()) };
    Ok(Evidence::External { authzid })
}

fn login(name: &str, response: &[u8]) -> Result<Evidence, Bad> {
    let password = std::str::from_utf8(response).map_err(|_| Bad::Malformed)?;
    plain::evidence(Mechanism::Login, None, name, password)
}
