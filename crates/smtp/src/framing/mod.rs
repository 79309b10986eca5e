//! Framing, below parsing: where a command line, a message and a chunk end. Smuggling is stopped here, in one place
//! (`rfc-notes/smuggling.md`).

pub(crate) mod canon;
pub(crate) mod chunk;
pub(crate) mod dot;
pub(crate) mod line;
pub(crate) mod meter;
