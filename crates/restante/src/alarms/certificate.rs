//! How long our certificate holds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use restante_types::UnixMillis;

use super::board::Finding;
use super::look::span;
use crate::limits::MAX_CERTIFICATE;

/// The alarm opens when less than this is left.
pub(super) const NOTICE: Duration = Duration::from_secs(14 * 86_400);

/// Whether it runs out soon. A file that cannot be read is somebody else's alarm.
pub(super) fn look(file: &Path, now: UnixMillis) -> Option<Finding> {
    let ends = ends(file).ok()?;
    let left = ends.since(now);
    let detail = || match left {
        Duration::ZERO => format!("{} has expired", file.display()),
        left => format!("{} expires in {}", file.display(), span(left)),
    };
    (left < NOTICE).then(|| Finding::Holds(detail()))
}

/// When the first certificate of a PEM file ends.
fn ends(file: &Path) -> io::Result<UnixMillis> {
    let mut text = Vec::new();
    File::open(file)?.take(MAX_CERTIFICATE).read_to_end(&mut text)?;
    let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    for block in x509_parser::pem::Pem::iter_from_buffer(&text) {
        let block = block.map_err(|error| wrong(error.to_string()))?;
        if block.label == "CERTIFICATE" {
            let certificate = block.parse_x509().map_err(|error| wrong(error.to_string()))?;
            let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
            return Ok(UnixMillis(seconds.saturating_mul(1000)));
        }
    }
    Err(wrong("no certificate".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_weeks_before_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.crt");
        let mut wanted = rcgen::CertificateParams::new(["mx2.example.net".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2030, 1, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&file, wanted.self_signed(&key).unwrap().pem()).unwrap();
        // 2030-01-31T00:00:00Z.
        let end = 1_896_048_000_000;
        assert_eq!(ends(&file).unwrap(), UnixMillis(end));
        let before = |days: u64| look(&file, UnixMillis(end - days * 86_400_000));
        assert_eq!(before(14), None);
        assert!(matches!(before(13), Some(Finding::Holds(text)) if text.ends_with("expires in 13 d")));
        assert!(
            matches!(look(&file, UnixMillis(end + 1)), Some(Finding::Holds(text)) if text.ends_with("expired"))
        );
        assert_eq!(look(Path::new("/nowhere"), UnixMillis(end)), None);
    }
}
