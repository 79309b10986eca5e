//! The mechanisms.

use std::fmt;

/// A SASL mechanism that we speak, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS, RFC 7677, bound to TLS by `tls-exporter` (RFC 9266).
    ScramSha256Plus,
    /// SCRAM-SHA-256, RFC 7677.
    ScramSha256,
    /// EXTERNAL, RFC 4422 appendix A: the client certificate is the proof.
    External,
    /// PLAIN, RFC 4616.
    Plain,
    /// LOGIN, which no RFC has: name and password in two lines.
    Login,
    /// CRAM-MD5, RFC 2195.
    CramMd5,
}

impl Mechanism {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 6] =
        [Self::ScramSha256Plus, Self::ScramSha256, Self::External, Self::Plain, Self::Login, Self::CramMd5];

    /// Its name in IANA's registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::External => "EXTERNAL",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
        }
    }

    /// Finds it by its name, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Whether who listens to the line learns the password.
    #[must_use]
    pub const fn shows_password(self) -> bool {
        matches!(self, Self::Plain | Self::Login)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | mechanism.bit())
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & mechanism.bit() != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Strongest first.
    pub fn iter(self) -> impl Iterator<Item = Mechanism> {
        Mechanism::ALL.into_iter().filter(move |mechanism| self.contains(*mechanism))
    }

    /// The names of a line of EHLO, those that we do not know passed over.
    pub(crate) fn read<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        names.filter_map(Mechanism::by_name).collect()
    }
}

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<I: IntoIterator<Item = Mechanism>>(mechanisms: I) -> Self {
        mechanisms.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What a listener offers of AUTH. The default offers nothing.
///
/// Some hang on the connection besides: PLAIN and LOGIN are offered inside TLS only, EXTERNAL to who showed a
/// certificate, SCRAM-SHA-256-PLUS where TLS has a channel binding; those that need a nonce where the session has a
/// [`Channel`](super::Channel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuthOffer {
    /// These at most.
    pub mechanisms: Mechanisms,
    /// Outside TLS too, those that do not show the password: some account says `allow-cleartext`. Otherwise AUTH, ATRN
    /// and TURN get 530 before TLS.
    pub cleartext: bool,
}
