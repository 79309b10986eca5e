//! What of the content reaches the sink.

use restante_types::Reply;

use super::canon::Canon;
use crate::limits::MAX_SWALLOWED;
use crate::server::{ContentFacts, ContentSink};

/// Why content is void although it still comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Void {
    /// Over the size limit, after normalising.
    TooLarge,
    /// A bare LF or CR where the listener is strict.
    Bare,
    /// The caller cannot keep it.
    Refused(Reply),
}

/// The last stage of content: canonical line ends, the size limit ([1870-6.2], after normalising, and nothing is kept),
/// the strict listener's refusal. Once something is wrong it swallows.
#[derive(Debug)]
pub(crate) struct Meter {
    canon: Canon,
    limit: u64,
    strict: bool,
    facts: ContentFacts,
    void: Option<Void>,
    swallowed: u64,
}

impl Meter {
    pub(crate) fn new(limit: u64, strict: bool) -> Self {
        Self {
            canon: Canon::default(),
            limit,
            strict,
            facts: ContentFacts::default(),
            void: None,
            swallowed: 0,
        }
    }

    /// Takes a piece of content, dots already unstuffed.
    pub(crate) fn feed(&mut self, octets: &[u8], sink: &mut dyn ContentSink) {
        if self.void.is_some() {
            self.swallowed = self.swallowed.saturating_add(octets.len() as u64);
            return;
        }
        let Self { canon, limit, strict, facts, void, .. } = self;
        canon.feed(octets, &mut |octets, changed| pass(octets, changed, *limit, *strict, facts, void, sink));
    }

    /// The content, or this chunk of it if it is the last, ends.
    pub(crate) fn finish(&mut self, sink: &mut dyn ContentSink) {
        let Self { canon, limit, strict, facts, void, .. } = self;
        canon.finish(&mut |octets, changed| pass(octets, changed, *limit, *strict, facts, void, sink));
    }

    /// From now on everything is swallowed; the first reason stays.
    pub(crate) fn spoil(&mut self, reason: Void) {
        self.void.get_or_insert(reason);
    }

    pub(crate) const fn void(&self) -> Option<&Void> {
        self.void.as_ref()
    }

    /// More was swallowed than politeness asks for.
    pub(crate) const fn is_glutted(&self) -> bool {
        self.swallowed > MAX_SWALLOWED
    }

    pub(crate) const fn facts(&self) -> ContentFacts {
        self.facts
    }
}

/// Lets octets through, until something is wrong: the first of it in the order of the content, wherever it was cut.
fn pass(
    octets: &[u8],
    changed: bool,
    limit: u64,
    strict: bool,
    facts: &mut ContentFacts,
    void: &mut Option<Void>,
    sink: &mut dyn ContentSink,
) {
    if void.is_some() {
        return;
    }
    facts.normalised |= changed;
    if changed && strict {
        *void = Some(Void::Bare);
        return;
    }
    let size = facts.size.saturating_add(octets.len() as u64);
    if size > limit {
        *void = Some(Void::TooLarge);
        return;
    }
    facts.size = size;
    sink.content(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept(Vec<u8>);
    impl ContentSink for Kept {
        fn content(&mut self, octets: &[u8]) {
            self.0.extend_from_slice(octets);
        }
    }

    #[test]
    fn the_limit_holds_after_normalising() {
        let (mut meter, mut sink) = (Meter::new(4, false), Kept(Vec::new()));
        meter.feed(b"a\nb", &mut sink);
        assert_eq!((meter.void(), meter.facts().size), (None, 4));
        let (mut meter, mut sink) = (Meter::new(4, false), Kept(Vec::new()));
        meter.feed(b"a\nbc", &mut sink);
        assert_eq!(meter.void(), Some(&Void::TooLarge));
        assert_eq!(sink.0, b"a\r\n");
        meter.feed(b"d", &mut sink);
        assert_eq!(sink.0, b"a\r\n");
    }

    #[test]
    fn a_strict_listener_spoils_what_is_not_canonical() {
        let (mut meter, mut sink) = (Meter::new(100, true), Kept(Vec::new()));
        meter.feed(b"a\r", &mut sink);
        assert_eq!(meter.void(), None);
        meter.finish(&mut sink);
        assert_eq!(meter.void(), Some(&Void::Bare));
    }

    /// Which of two faults is told does not depend on how the content was cut.
    #[test]
    fn the_first_fault_counts_under_every_cut() {
        for (content, fault) in [(&b"ab\ncdef"[..], Void::Bare), (b"abcdef\n", Void::TooLarge)] {
            for cut in 0..=content.len() {
                let (mut meter, mut sink) = (Meter::new(5, true), Kept(Vec::new()));
                meter.feed(&content[..cut], &mut sink);
                meter.feed(&content[cut..], &mut sink);
                meter.finish(&mut sink);
                assert_eq!(meter.void(), Some(&fault), "{cut}");
            }
        }
    }
}
