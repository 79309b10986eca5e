//! What there are alarms about.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long most conditions must be gone before their alarm closes: what comes and goes is one alarm.
const SETTLE: Duration = Duration::from_secs(60);

/// One kind of alarm. The names are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Mail is refused for want of room, or nearly so.
    DiskLow,
    /// The store cannot write.
    StoreFailing,
    /// Our certificate runs out in less than two weeks.
    CertificateExpiring,
    /// The primary could not be reached several times in a row.
    PrimaryDown,
    /// The domain leads to ourselves or takes no mail.
    Misrouted,
    /// The primary refused too much for good.
    CircuitOpen,
    /// Waiting mail has used up four fifths of its retention.
    RetentionNear,
    /// Mail has waited for longer than `uncollected-alarm`.
    Uncollected,
    /// Whoever asked for the domain's mail regularly stopped.
    AgentSilent,
    /// Mail waits for a domain that had none.
    MailHeld,
}

impl Kind {
    /// All of them, the gravest first.
    pub(crate) const ALL: [Self; 10] = [
        Self::DiskLow,
        Self::StoreFailing,
        Self::CertificateExpiring,
        Self::PrimaryDown,
        Self::Misrouted,
        Self::CircuitOpen,
        Self::RetentionNear,
        Self::Uncollected,
        Self::AgentSilent,
        Self::MailHeld,
    ];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DiskLow => "disk-low",
            Self::StoreFailing => "store-failing",
            Self::CertificateExpiring => "certificate-expiring",
            Self::PrimaryDown => "primary-down",
            Self::Misrouted => "misrouted",
            Self::CircuitOpen => "circuit-open",
            Self::RetentionNear => "retention-near",
            Self::Uncollected => "uncollected",
            Self::AgentSilent => "agent-silent",
            Self::MailHeld => "mail-held",
        }
    }

    /// The name of its end, where that is news of its own; people are told of these by mail too.
    pub(crate) const fn end_name(self) -> Option<&'static str> {
        match self {
            Self::DiskLow => Some("disk-ok"),
            Self::PrimaryDown => Some("primary-up"),
            _ => None,
        }
    }

    /// Whether it is about one domain; otherwise it is about the server.
    pub(crate) const fn is_of_domain(self) -> bool {
        !matches!(self, Self::DiskLow | Self::StoreFailing | Self::CertificateExpiring)
    }

    /// Whether somebody should act; otherwise it is only good to know.
    pub(crate) const fn is_warning(self) -> bool {
        !matches!(self, Self::MailHeld)
    }

    /// How long its condition must be gone before it closes.
    pub(crate) const fn settle(self) -> Duration {
        match self {
            // Known from the end itself: it took mail, somebody asked, there is another certificate.
            Self::PrimaryDown | Self::AgentSilent | Self::CertificateExpiring => Duration::ZERO,
            _ => SETTLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }
}
