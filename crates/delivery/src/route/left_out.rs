//! What the DNS names and nobody tries, for whoever asks why.

use crate::limits::LEFT_OUT;

/// Something on the way that is not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// An MX record, a host or an address, as the DNS names it.
    pub what: String,
    /// In words, for the operator.
    pub why: String,
}

/// A bounded list of them; what finds no room is counted.
#[derive(Default)]
pub(super) struct LeftOuts {
    list: Vec<LeftOut>,
    more: usize,
}

impl LeftOuts {
    pub(super) fn add(&mut self, what: String, why: &str) {
        if self.list.len() < LEFT_OUT {
            self.list.push(LeftOut { what, why: why.to_owned() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<LeftOut> {
        if self.more > 0 {
            let what = format!("{} more", self.more);
            self.list.push(LeftOut { what, why: "not listed one by one".to_owned() });
        }
        self.list
    }
}
