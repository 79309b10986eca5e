//! Bounds of the nouns, each with its clause.

/// Octets of a local part. RFC 5321 4.5.3.1.1 asks for 64 and for no limit where that can be had: bounce addresses
/// (VERP, SRS) are longer in practice, and who holds mail for a primary must not refuse what the primary would take.
/// The path's limit is the bound.
pub const MAX_LOCAL_PART: usize = MAX_PATH;
/// Octets of a domain name in A-label form, RFC 5321 4.5.3.1.2 (and RFC 1035 without the root's dot).
pub const MAX_DOMAIN: usize = 253;
/// Octets of one label, RFC 1035 2.3.4.
pub const MAX_LABEL: usize = 63;
/// Octets of a path with its brackets, RFC 5321 4.5.3.1.3.
pub const MAX_PATH: usize = 256;
