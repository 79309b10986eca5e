//! Fingerprints of certificates, as people write them.

use std::fmt;
use std::str::FromStr;

/// SHA-256 over the DER of a certificate: `sha256:` and 64 hexadecimal digits, which may stand in pairs with colons
/// between them, as `openssl x509 -fingerprint -sha256` prints them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is \"sha256:\" and 64 hexadecimal digits")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (kind, digits) = text.split_once(':').ok_or(FingerprintError)?;
        if !kind.eq_ignore_ascii_case("sha256") {
            return Err(FingerprintError);
        }
        let pairs: Vec<&[u8]> = match digits.contains(':') {
            true => digits.split(':').map(str::as_bytes).collect(),
            false => digits.as_bytes().chunks(2).collect(),
        };
        let octets: Option<Vec<u8>> = pairs.into_iter().map(octet).collect();
        octets.and_then(|octets| octets.try_into().ok()).map(Self).ok_or(FingerprintError)
    }
}

fn octet(pair: &[u8]) -> Option<u8> {
    let [high, low] = pair else { return None };
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_read() {
        let plain = format!("sha256:{}", "0a".repeat(32));
        let colons = format!("SHA256:{}", ["0A"; 32].join(":"));
        let fingerprint: Fingerprint = plain.parse().unwrap();
        assert_eq!(colons.parse(), Ok(fingerprint));
        assert_eq!(fingerprint.to_string(), plain);
    }

    #[test]
    fn slips_are_refused() {
        let long = format!("sha256:{}", "0a".repeat(33));
        let odd = format!("sha256:{}0", "0a".repeat(31));
        let wide = format!("sha256:{}", "0ä".repeat(22));
        for text in ["", "sha256:", "sha1:00", "0a", &long, &odd, &wide, "sha256:+1"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
