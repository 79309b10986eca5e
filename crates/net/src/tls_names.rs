//! Which names a certificate is for, as RFC 7672 3.2.3 has it.

use restante_types::Domain;
use rustls::pki_types::ServerName;
use webpki::EndEntityCert;

/// [7672-3.2.3] Whether a certificate is for this name: by its DNS-IDs; only where it has none by its CN-ID. A wildcard
/// is the whole first label and stands for one.
pub(crate) fn bears(certificate: &EndEntityCert<'_>, name: &Domain) -> bool {
    let Ok(wanted) = ServerName::try_from(name.as_str()) else { return false };
    if certificate.valid_dns_names().next().is_some() {
        return certificate.verify_is_valid_for_subject_name(&wanted).is_ok();
    }
    let Some(presented) = common_name(certificate.subject()) else { return false };
    match presented.strip_prefix("*.") {
        Some(parent) => Domain::parse(parent).ok() == name.parent(),
        None => Domain::parse(presented).is_ok_and(|presented| presented == *name),
    }
}

/// The most specific common name of a subject: the last of the sequence (RFC 5280 4.1.2.6, RFC 6125 1.8).
fn common_name(mut subject: &[u8]) -> Option<&str> {
    /// id-at-commonName, 2.5.4.3
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const SET: u8 = 0x31;
    const SEQUENCE: u8 = 0x30;
    const OID: u8 = 0x06;
    let mut found = None;
    while let Some((SET, mut set, rest)) = element(subject) {
        subject = rest;
        while let Some((SEQUENCE, attribute, more)) = element(set) {
            set = more;
            if let Some((OID, COMMON_NAME, value)) = element(attribute)
                && let Some((_, text, _)) = element(value)
            {
                found = std::str::from_utf8(text).ok();
            }
        }
    }
    found
}

/// The first element of some DER: its tag, what it holds, and what stands behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        // Longer than any name.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_found_and_nothing_else_is() {
        let attribute = |oid: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let mut der = vec![0x31, length + 9, 0x30, length + 7, 6, 3, 0x55, 4, oid, 0x0c, length];
            der.extend(text.as_bytes());
            der
        };
        let subject =
            [attribute(10, "An Organisation"), attribute(3, "a.example"), attribute(3, "b.example")];
        assert_eq!(common_name(&subject.concat()), Some("b.example"));
        assert_eq!(common_name(&attribute(10, "a.example")), None);
        let whole = attribute(3, "a.example");
        for cut in 0..whole.len() {
            assert_eq!(common_name(&whole[..cut]), None, "{cut}");
        }
        for place in 0..whole.len() {
            for octet in 0..=255 {
                let mut spoiled = whole.clone();
                spoiled[place] = octet;
                let _no_panic = common_name(&spoiled);
            }
        }
        assert_eq!(element(&[0x30, 0x83, 0, 0, 1, 7]), None);
        assert_eq!(element(&[0x30, 0x82, 0, 1, 7, 9]), Some((0x30, &[7][..], &[9][..])));
    }
}
