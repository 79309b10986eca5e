//! Why a collection did not come about, and what a program's exit code says of it.

use restante_net::TlsError;
use restante_smtp::End;
use restante_types::{Domain, Printable, Reply, Severity};

use crate::local::LocalTrouble;

/// What to make of a failure; the exit codes of sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 75: it will pass.
    TryAgain,
    /// 69: nobody there, or nobody who speaks the protocol.
    Unavailable,
    /// 77: refused, or somebody whom we do not trust.
    NotAllowed,
}

/// Why a collection did not come about, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The name has no address.
    #[error("cannot look up {host}: {error}")]
    Lookup {
        /// Whose.
        host: String,
        /// What the resolver said.
        error: std::io::Error,
    },
    /// None of its addresses answers.
    #[error("cannot connect to {host}: {error}")]
    Connect {
        /// To whom.
        host: String,
        /// What the last address said.
        error: restante_net::ConnectError,
    },
    /// It offers no STARTTLS, or refuses it.
    #[error("the server offers no TLS, and nothing is said in clear where tls is wanted{}", said(.0.as_ref()))]
    NoTls(Option<Reply>),
    /// The handshake failed.
    #[error("{error}{hint}", error = .0, hint = certificate_hint(.0))]
    Tls(TlsError),
    /// What TLS needs cannot be read.
    #[error("TLS cannot be used: {0}")]
    TlsFiles(TlsError),
    /// Octets where nobody may talk: behind the answer to STARTTLS, or between the 250 that turns and our greeting.
    #[error("the server talked out of turn, {0}: nothing of it was read")]
    Early(&'static str),
    /// The conversation ended.
    #[error("{0}")]
    Ended(End),
    /// The password cannot be read.
    #[error("{0}")]
    Secret(String),
    /// The server wants, or we have, no way to prove who we are.
    #[error("cannot authenticate: {0}")]
    NoLogin(String),
    /// It does not believe us.
    #[error("authentication refused: {0}")]
    LoginRefused(Reply),
    /// It is not whom we have the account with.
    #[error("authentication broken off: {0}")]
    Imposter(String),
    /// The answer to ATRN or TURN.
    #[error("{verb} refused: {reply}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// What was said.
        reply: Reply,
    },
    /// The answers to ETRN, where at least one is a refusal.
    #[error("{}", etrns(.0))]
    Etrn(Vec<(Domain, Reply)>),
    /// Mail cannot be taken here.
    #[error("the mail server here: {0}")]
    Local(#[from] LocalTrouble),
    /// The line was cut while mail came in.
    #[error(
        "the connection was lost while mail came in ({0}); what was not acknowledged stays with the server"
    )]
    Cut(String),
    /// Something came in that the local side could not take now.
    #[error("{0} messages or recipients were put off by the mail server here and stay with the server")]
    Deferred(u64),
    /// A collection from this server is under way.
    #[error("a collection from this server is under way already")]
    Busy,
    /// The program stops.
    #[error("stopped before it came to its end")]
    Stopped,
    /// The state file, or the lock beside it.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
}

fn said(reply: Option<&Reply>) -> String {
    reply.map_or_else(String::new, |reply| format!(": {reply}"))
}

fn certificate_hint(error: &TlsError) -> &'static str {
    if error.is_certificate() { " (a private one is named by ca or fingerprint)" } else { "" }
}

fn etrns(refused: &[(Domain, Reply)]) -> String {
    let each: Vec<String> = refused.iter().map(|(domain, reply)| format!("ETRN {domain}: {reply}")).collect();
    each.join("; ")
}

impl Failure {
    /// What to make of it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Lookup { .. } | Self::Connect { .. } | Self::Early(_) => Class::Unavailable,
            Self::Tls(error) if !error.is_certificate() => Class::Unavailable,
            Self::Tls(_) | Self::NoTls(_) | Self::TlsFiles(_) => Class::NotAllowed,
            Self::Secret(_) | Self::NoLogin(_) | Self::Imposter(_) => Class::NotAllowed,
            Self::Ended(end) => ended(end),
            Self::LoginRefused(reply) => login(reply),
            Self::Refused { reply, .. } => refused(reply),
            Self::Etrn(refused) => {
                refused.iter().map(|(_, reply)| etrn(reply)).max().unwrap_or(Class::TryAgain)
            }
            Self::Local(_)
            | Self::Cut(_)
            | Self::Deferred(_)
            | Self::Busy
            | Self::Stopped
            | Self::State(_) => Class::TryAgain,
        }
    }

    /// Its text, safe to show and not too long to keep.
    #[must_use]
    pub fn text(&self) -> String {
        let text = Printable::from(self.to_string().as_str()).to_string();
        text.chars().take(crate::limits::KEPT_TEXT).collect()
    }
}

fn ended(end: &End) -> Class {
    match end {
        End::Refused { reply, .. } if reply.code.get() == 530 => Class::NotAllowed,
        End::Refused { reply, .. } if reply.severity() == Severity::Transient => Class::TryAgain,
        End::Lost(_) | End::TimedOut(_) | End::Quit | End::Abandoned => Class::TryAgain,
        _ => Class::Unavailable,
    }
}

/// [4954-6-agent] 4yz to AUTH is about the server's own troubles.
fn login(reply: &Reply) -> Class {
    if reply.severity() == Severity::Transient { Class::TryAgain } else { Class::NotAllowed }
}

/// [2645-7-agent] 450 is a refusal that the server may mean for ever or for now; what is said of security is for ever.
fn refused(reply: &Reply) -> Class {
    let security = reply.enhanced.is_some_and(|code| code.1 == 7);
    match (reply.severity(), reply.code.get()) {
        (_, 530 | 535 | 550) => Class::NotAllowed,
        (Severity::Transient, _) if security => Class::NotAllowed,
        (Severity::Transient, _) => Class::TryAgain,
        _ => Class::Unavailable,
    }
}

/// [1985-5.1-agent] judged by the first digit, then by the code.
fn etrn(reply: &Reply) -> Class {
    match (reply.severity(), reply.code.get()) {
        (_, 459 | 501 | 530 | 550 | 553 | 554) => Class::NotAllowed,
        (Severity::Transient, _) => Class::TryAgain,
        _ => Class::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [1985-5.1-agent] [2645-7-agent] [4954-6-agent]
    #[test]
    fn answers_are_judged_by_their_codes() {
        let etrn =
            |code| Failure::Etrn(vec![("example.org".parse().unwrap(), Reply::bare(code, "x"))]).class();
        for (code, class) in [
            (458, Class::TryAgain),
            (421, Class::TryAgain),
            (459, Class::NotAllowed),
            (500, Class::Unavailable),
            (501, Class::NotAllowed),
            (502, Class::Unavailable),
            (530, Class::NotAllowed),
            (550, Class::NotAllowed),
            (553, Class::NotAllowed),
        ] {
            assert_eq!(etrn(code), class, "ETRN {code}");
        }
        let atrn = |reply| Failure::Refused { verb: "ATRN", reply }.class();
        assert_eq!(atrn(Reply::bare(450, "later")), Class::TryAgain);
        assert_eq!(atrn(Reply::new(450, (4, 7, 1), "not yours")), Class::NotAllowed);
        assert_eq!(atrn(Reply::bare(451, "x")), Class::TryAgain);
        assert_eq!(atrn(Reply::bare(502, "x")), Class::Unavailable);
        assert_eq!(atrn(Reply::bare(530, "x")), Class::NotAllowed);
        assert_eq!(Failure::LoginRefused(Reply::bare(535, "x")).class(), Class::NotAllowed);
        assert_eq!(Failure::LoginRefused(Reply::bare(454, "x")).class(), Class::TryAgain);
    }

    #[test]
    fn what_the_other_side_says_is_shown_without_its_controls() {
        let failure = Failure::Refused { verb: "ATRN", reply: Reply::bare(450, "a\u{1b}[31mb") };
        assert!(!failure.text().contains('\u{1b}'), "{}", failure.text());
    }
}
