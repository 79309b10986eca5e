//! What was found about one message.

use restante_types::Vouched;

use crate::dkim::DkimFinding;
use crate::spf::SpfFinding;

/// Facts about the sender of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Whether somebody vouches for the identity in MAIL FROM.
    pub vouched: Vouched,
    /// SPF, where it was asked.
    pub spf: Option<SpfFinding>,
    /// The signatures that were looked at, those of the sender's domain first.
    pub dkim: Vec<DkimFinding>,
    /// The results are to be told to those behind us.
    pub wanted: bool,
}
