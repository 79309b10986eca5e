//! The names of the queues in which notices wait: one per place they go to, apart from the held domains' own.

use crate::domain::Domain;

/// The name above all of them. No such name can ever exist in the DNS (RFC 2606 2), so no client can address one.
pub const NOTICES: &str = "notices.invalid";

impl Domain {
    /// The queue of notices to this domain, `example.net.notices.invalid`; none where the name would be too long.
    #[must_use]
    pub fn notice_queue(&self) -> Option<Self> {
        Self::parse(&format!("{self}.{NOTICES}")).ok()
    }

    /// Where the notices of this queue go to, if it is a queue of notices.
    #[must_use]
    pub fn notices_to(&self) -> Option<Self> {
        let name = self.as_str().strip_suffix(NOTICES)?.strip_suffix('.')?;
        Self::parse(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_knows_where_its_notices_go() {
        let domain: Domain = "example.net".parse().unwrap();
        let queue = domain.notice_queue().unwrap();
        assert_eq!(queue.as_str(), "example.net.notices.invalid");
        assert_eq!(queue.notices_to(), Some(domain.clone()));
        assert_eq!(domain.notices_to(), None);
        for name in ["notices.invalid", "xnotices.invalid"] {
            assert_eq!(name.parse::<Domain>().unwrap().notices_to(), None, "{name}");
        }
        let label = "a".repeat(60);
        let long: Domain = [label.as_str(); 4].join(".").parse().unwrap();
        assert_eq!(long.notice_queue(), None);
    }
}
