//! A door for the fuzz targets (`fuzz/` at the top), there under `--cfg fuzzing` alone: what others write.

pub use crate::notice::fuzzing::fill;

/// The id that TXT records at `_mta-sts` announce.
#[must_use]
pub fn record_id(records: &[String]) -> Option<String> {
    crate::tls::record_id(records).ok()
}
