//! [3030-deviation] How much may stand unanswered on a connection: what its end may deliver twice.
//!
//! Little at first, and never more than the connection has carried, so that what comes twice after a cut is no more than
//! what came through. It grows as TCP's own window does in slow start, doubling with each round trip, as long as answers do
//! not take longer for it: a server that is busy gains nothing from more. And it is lost with the connection: after a cut,
//! 421, nonsense or content that is damaged the next one begins anew.

use std::time::Duration;

use super::job::Room;
use super::limits::{
    WINDOW_MESSAGES, WINDOW_OCTETS, WINDOW_OCTETS_START, WINDOW_PATIENCE, WINDOW_RECIPIENTS, WINDOW_REFUSAL,
    WINDOW_START,
};

/// A message under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) octets: u64,
    pub(super) recipients: usize,
}

/// The window of one connection, and what is in it.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What it has earned: messages,
    earned: usize,
    /// and octets.
    octets_earned: u64,
    /// Under way now.
    messages: usize,
    octets: u64,
    recipients: usize,
    /// Under way when it was needed last, and not answered since: only they earn.
    needed: usize,
    /// The least time in which a message was taken.
    least: Option<Duration>,
}

impl Window {
    fn most_messages(&self) -> usize {
        self.earned.clamp(WINDOW_START, WINDOW_MESSAGES)
    }

    fn most_octets(&self) -> u64 {
        self.octets_earned.clamp(WINDOW_OCTETS_START, WINDOW_OCTETS)
    }

    /// What still fits.
    pub(super) fn room(&self) -> Room {
        if self.messages == 0 {
            return Room { messages: 1, octets: u64::MAX, recipients: WINDOW_RECIPIENTS };
        }
        Room {
            messages: self.most_messages().saturating_sub(self.messages),
            octets: self.most_octets().saturating_sub(self.octets),
            recipients: WINDOW_RECIPIENTS.saturating_sub(self.recipients),
        }
    }

    /// A message goes out.
    pub(super) fn begin(&mut self, load: Load) {
        self.messages += 1;
        self.octets = self.octets.saturating_add(load.octets);
        self.recipients += load.recipients;
        if self.messages > self.most_messages() / 2 || self.octets > self.most_octets() / 2 {
            self.needed = self.messages;
        }
    }

    /// It was taken, by one recipient at least, so long after it went out.
    pub(super) fn taken(&mut self, load: Load, after: Duration) {
        let was_needed = self.needed > 0;
        self.end(load);
        let least = self.least.map_or(after, |least| least.min(after));
        self.least = Some(least);
        if after > least * WINDOW_PATIENCE {
            self.lose(1, load.octets);
        } else if was_needed {
            self.earned = (self.earned + 1).min(WINDOW_MESSAGES);
            self.octets_earned = self.octets_earned.saturating_add(load.octets).min(WINDOW_OCTETS);
        }
    }

    /// Nobody took it.
    pub(super) fn refused(&mut self, load: Load) {
        self.end(load);
        self.lose(WINDOW_REFUSAL, load.octets.saturating_mul(WINDOW_REFUSAL as u64));
    }

    fn lose(&mut self, messages: usize, octets: u64) {
        self.earned = self.earned.saturating_sub(messages);
        self.octets_earned = self.octets_earned.saturating_sub(octets);
    }

    const fn end(&mut self, load: Load) {
        self.messages -= 1;
        self.octets = self.octets.saturating_sub(load.octets);
        self.recipients -= load.recipients;
        self.needed = self.needed.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(600);

    const fn load(octets: u64) -> Load {
        Load { octets, recipients: 1 }
    }

    /// Fills it with messages of this size; how many went.
    fn fill(window: &mut Window, octets: u64) -> usize {
        let mut out = 0;
        while window.room().takes(octets, 1) {
            window.begin(load(octets));
            out += 1;
        }
        out
    }

    fn wide() -> Window {
        Window { earned: WINDOW_MESSAGES, octets_earned: WINDOW_OCTETS, ..Window::default() }
    }

    /// One crossing after the other, each window answered in full.
    fn crossings(octets: u64, count: usize) -> Vec<usize> {
        let mut window = Window::default();
        let crossing = |_| {
            let out = fill(&mut window, octets);
            (0..out).for_each(|_| window.taken(load(octets), SOON));
            out
        };
        (0..count).map(crossing).collect()
    }

    /// [3030-deviation]
    #[test]
    fn it_doubles_with_each_crossing_up_to_its_bound() {
        assert_eq!(crossings(1000, 8), [32, 32, 64, 128, 256, 512, 1024, 1024]);
    }

    #[test]
    fn octets_bind_larger_messages_and_grow_likewise() {
        let size = 64 * 1024;
        assert_eq!(crossings(size, 5), [16, 16, 32, 64, 64]);
    }

    #[test]
    fn no_more_stands_unanswered_than_was_taken_but_for_a_start() {
        let (mut window, mut taken, mut under_way) = (Window::default(), 0_usize, 0);
        for step in 0..20_000_usize {
            under_way += fill(&mut window, 100);
            assert!(under_way <= taken.max(WINDOW_START) && under_way <= WINDOW_MESSAGES, "{step}");
            let heard = 1 + step % under_way;
            (0..heard).for_each(|_| window.taken(load(100), SOON));
            (under_way, taken) = (under_way - heard, taken + heard);
        }
        assert!(taken > 20_000 && window.most_messages() > WINDOW_MESSAGES / 2);
    }

    #[test]
    fn a_server_that_is_busy_is_not_sent_more() {
        // A line without delay: whoever stands in line waits for all that stand before.
        let (mut window, each) = (Window::default(), Duration::from_millis(10));
        window.begin(load(100));
        window.taken(load(100), each);
        for _ in 0..10 * WINDOW_MESSAGES {
            fill(&mut window, 100);
            let waited = each * u32::try_from(window.messages).unwrap();
            window.taken(load(100), waited);
        }
        assert_eq!(window.most_messages(), WINDOW_START);

        let mut slowing = wide();
        slowing.least = Some(each);
        for _ in 0..WINDOW_MESSAGES {
            fill(&mut slowing, 100);
            slowing.taken(load(100), each * 100);
        }
        assert_eq!(slowing.most_messages(), WINDOW_START, "nor one that was not before");
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut window = Window::default();
        for _ in 0..10 * WINDOW_MESSAGES {
            (0..WINDOW_START / 2).for_each(|_| window.begin(load(100)));
            (0..WINDOW_START / 2).for_each(|_| window.taken(load(100), SOON));
        }
        assert_eq!(window.most_messages(), WINDOW_START);
    }

    #[test]
    fn a_storm_of_refusals_makes_it_small_and_a_few_do_not() {
        let mut stormy = wide();
        assert_eq!(fill(&mut stormy, 100), WINDOW_MESSAGES);
        (0..WINDOW_MESSAGES).for_each(|_| stormy.refused(load(100)));
        assert_eq!(fill(&mut stormy, 100), WINDOW_START);

        let mut fair = wide();
        for number in 0..10 * WINDOW_MESSAGES {
            fill(&mut fair, 100);
            if number % 10 == 0 { fair.refused(load(100)) } else { fair.taken(load(100), SOON) }
        }
        assert!(fair.most_messages() > WINDOW_MESSAGES / 2);
    }

    #[test]
    fn a_lone_message_may_be_of_any_size_and_nothing_goes_beside_it() {
        let mut window = Window::default();
        window.begin(load(u64::MAX));
        assert_eq!(window.room().octets, 0);
        window.refused(load(u64::MAX));
        let many = Load { octets: 1, recipients: WINDOW_RECIPIENTS };
        window.begin(many);
        assert!(window.room().is_none(), "nor beside so many recipients");
        window.refused(many);
        assert_eq!(window.room().octets, u64::MAX, "empty again");
    }
}
