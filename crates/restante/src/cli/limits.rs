//! Bounds of the command line, each with its reason.

/// Entries fetched at once by verbs that do something with each.
pub(crate) const PAGE: u64 = 500;
/// Rows of a list that are laid out together; later ones keep the widths.
pub(crate) const ROWS: usize = 500;
/// Messages in one export: their ids are remembered, so that a message for several domains is exported once.
pub(crate) const MAX_EXPORT: usize = 5_000_000;
/// Octets of an answer to a question.
pub(crate) const MAX_REPLY: u64 = 256;
/// Octets of a configuration file that is searched for the socket.
pub(crate) const MAX_CONFIG: u64 = 16 * 1024 * 1024;
