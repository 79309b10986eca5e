//! Inputs, and how they are cut.

/// An input: one octet for the setting, one for the cuts, the rest.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Which setting.
    pub setting: u8,
    /// How it is cut.
    pub cuts: u8,
    /// What comes.
    pub octets: &'a [u8],
}

impl<'a> Input<'a> {
    /// `None` where there are not even the two octets.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let [setting, cuts, octets @ ..] = data else { return None };
        Some(Self { setting: *setting, cuts: *cuts, octets })
    }

    /// The setting's bit.
    #[must_use]
    pub const fn has(&self, bit: u8) -> bool {
        self.setting & (1 << bit) != 0
    }

    /// The octets in pieces; none is empty. Where `glued` says so of what stands before a place, they are not cut there.
    #[must_use]
    pub fn pieces(&self, glued: impl Fn(&[u8]) -> bool) -> Vec<&'a [u8]> {
        let mut random = Random(u64::from(self.cuts) | 0x9e37_79b9_0000);
        let (mut pieces, mut from) = (Vec::new(), 0);
        while from < self.octets.len() {
            let most = [1, 3, 30, 700][usize::from(self.cuts % 4)];
            let mut to = (from + 1 + random.below(most)).min(self.octets.len());
            while to < self.octets.len() && glued(&self.octets[..to]) {
                to += 1;
            }
            pieces.push(&self.octets[from..to]);
            from = to;
        }
        pieces
    }
}

/// A small generator: the same numbers for the same seed.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % end.max(1)
    }
}
