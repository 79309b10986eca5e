//! One DKIM-Signature field.

use std::collections::HashMap;

use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::{Canonicalization, Signature as Parsed};
use restante_types::{Domain, UnixMillis};

use super::{DkimFinding, DkimResult, Key, tags};
use crate::limits::{SIGNATURE, SIGNED_FIELDS};

/// A signature that can be verified.
#[derive(Debug)]
pub(crate) struct Signature {
    parsed: Parsed,
    pub(crate) domain: Domain,
    pub(crate) selector: Domain,
    start: String,
    /// Its place among the fields of the header section.
    at: usize,
}

impl Signature {
    /// [6376-6.1.1] Reads the field at a place. What is no good, or proves nothing, is told at once.
    pub(crate) fn read(at: usize, value: &[u8], now: UnixMillis) -> Result<Self, DkimFinding> {
        let mut finding =
            DkimFinding { result: DkimResult::PermError, domain: None, selector: None, start: String::new() };
        let Some(tags) = tags::read(value).filter(|_| value.len() <= SIGNATURE) else { return Err(finding) };
        finding.domain = tags::value(&tags, "d").and_then(name);
        finding.selector = tags::value(&tags, "s").and_then(name);
        finding.start = tags::value(&tags, "b").map(start).unwrap_or_default();
        let parsed = Parsed::parse(value).ok().filter(|parsed| parsed.v == 1);
        let (Some(parsed), Some(domain), Some(selector)) = (parsed, &finding.domain, &finding.selector)
        else {
            return Err(finding);
        };
        let (domain, selector) = (domain.clone(), selector.clone());
        // [6376-5.4] What leaves the author's field open signs somebody else's message.
        let from = parsed.h.iter().any(|field| field.eq_ignore_ascii_case("from"));
        // [6376-3.5-i] The identity is the domain's or of a name below it.
        let identity = parsed.i.rsplit_once('@').map(|(_, host)| host.parse::<Domain>());
        let identity = match identity {
            Some(Ok(host)) => host == domain || host.is_below(&domain),
            Some(Err(_)) => false,
            None => parsed.i.is_empty(),
        };
        if !from || !identity || parsed.h.len() > SIGNED_FIELDS {
            return Err(finding);
        }
        // [8301-3.1] SHA-1 proves nothing; [6376-8.2] `l=` lets anybody add to the body; [6376-3.5-x] and time is up.
        let stale = parsed.x != 0 && parsed.x <= now.0 / 1000;
        if parsed.a == Algorithm::RsaSha1 || tags::value(&tags, "l").is_some() || stale {
            finding.result = DkimResult::Policy;
            return Err(finding);
        }
        Ok(Self { parsed, domain, selector, start: finding.start, at })
    }

    /// The form of body that it signs.
    pub(crate) const fn body(&self) -> Canonicalization {
        self.parsed.cb
    }

    /// The algorithm that its key must be for.
    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.parsed.a
    }

    /// Where its key is.
    pub(crate) fn key_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// What it signs with, decoded: the same however the field is written.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.parsed.b
    }

    /// What to tell about it.
    pub(crate) fn finding(&self, result: DkimResult) -> DkimFinding {
        let (domain, selector) = (Some(self.domain.clone()), Some(self.selector.clone()));
        DkimFinding { result, domain, selector, start: self.start.clone() }
    }

    /// Whether it signs this body.
    pub(crate) fn covers(&self, body: [u8; 32]) -> bool {
        self.parsed.bh == body
    }

    /// [6376-6.1.3] Verifies it; the body is known to be the signed one. Takes a processor for a tenth of a millisecond.
    pub(crate) fn verify(&self, fields: &Fields<'_>, key: &Key) -> DkimResult {
        let below =
            self.parsed.i.rsplit_once('@').is_some_and(|(_, host)| host.parse().as_ref() != Ok(&self.domain));
        if key.exact && below {
            return DkimResult::PermError;
        }
        let Some((name, value)) = fields.all.get(self.at) else { return DkimResult::PermError };
        let open = unsigned(value);
        let mut covered = fields.covered(&self.parsed.h);
        covered.push((name, &open));
        match key.signed(&mut covered.into_iter(), &self.parsed) {
            false => DkimResult::Fail,
            // [6376-3.6.1] A domain that is trying is to be treated as if it did not sign.
            true if key.testing => DkimResult::Neutral,
            true => DkimResult::Pass,
        }
    }
}

fn name(value: &[u8]) -> Option<Domain> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The first eight characters of a signature.
fn start(value: &[u8]) -> String {
    let base64 = |octet: &&u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
    value.iter().filter(base64).take(8).map(|octet| char::from(*octet)).collect()
}

/// Where the fields of each name stand: a name may be asked for hundreds of times among thousands of fields.
pub(crate) struct Fields<'a> {
    all: Vec<(&'a [u8], &'a [u8])>,
    places: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(all: Vec<(&'a [u8], &'a [u8])>) -> Self {
        let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (at, (name, _)) in all.iter().enumerate() {
            places.entry(name.trim_ascii_end().to_ascii_lowercase()).or_default().push(at);
        }
        Self { all, places }
    }

    /// [6376-5.4.2] The fields that `h=` names, each name taking the last one that is not taken yet; names without a
    /// field are nothing.
    fn covered(&self, names: &[String]) -> Vec<(&'a [u8], &'a [u8])> {
        let mut taken: HashMap<Vec<u8>, usize> = HashMap::new();
        let take = |name: &String| {
            let name = name.as_bytes().to_ascii_lowercase();
            let places = self.places.get(&name)?;
            let taken = taken.entry(name).or_default();
            *taken += 1;
            places.len().checked_sub(*taken).map(|last| self.all[places[last]])
        };
        names.iter().filter_map(take).collect()
    }
}

/// [6376-3.7] The field as it was signed: without what `b=` holds and without its last CRLF.
fn unsigned(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\r\n").unwrap_or(value);
    let mut open = Vec::with_capacity(value.len());
    for (index, tag) in value.split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            open.push(b';');
        }
        match tag.iter().position(|octet| *octet == b'=') {
            Some(at) if tag[..at].trim_ascii() == b"b" => open.extend_from_slice(&tag[..=at]),
            _ => open.extend_from_slice(tag),
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dkim::fields;

    // [6376-5.4.2]
    #[test]
    fn a_name_takes_the_last_field_that_is_left() {
        let section = b"A: 1\r\nB: 2\r\na : 3\r\n";
        let all = Fields::new(fields(section));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let covered = |wanted: &[&str]| -> Vec<String> {
            let covered = all.covered(&names(wanted)).into_iter();
            covered.map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned()).collect()
        };
        assert_eq!(covered(&["A", "b", "a", "A", "C", "B"]), ["3", "2", "1"]);
    }

    // [6376-3.7]
    #[test]
    fn the_signature_itself_is_left_open() {
        let open = |value: &str| String::from_utf8(unsigned(value.as_bytes())).unwrap();
        assert_eq!(open(" v=1; b = ab\r\n cd ; bh=xy=\r\n"), " v=1; b =; bh=xy=");
        assert_eq!(open("bh=b=1; b=2"), "bh=b=1; b=");
    }

    proptest! {
        /// Whatever stands in a field or in a record, it is read or refused.
        #[test]
        fn nothing_from_the_network_breaks_it(words in prop::collection::vec(prop::sample::select(vec![
            "v=1", "a=", "rsa-sha256", "ed25519-sha256", "b=", "bh=", "AAAA", "====", "c=", "relaxed/simple", "/", "d=",
            "example.org", "h=", "from", ":", "i=", "@", "l=", "99999999999999999999", "s=", "key", "t=", "x=", "z=", "q=",
            ";", " ", "\r\n ", "\u{fc}", "=", "k=rsa", "p=", "n=", "v=DKIM1", "r=y", "atps=x", "atpsh=sha1",
        ]), 0..40)) {
            let text = words.concat();
            let now = UnixMillis(1_800_000_000_000);
            if let Ok(signature) = Signature::read(0, text.as_bytes(), now) {
                let name = signature.key_name();
                prop_assert!(name.ends_with("._domainkey.example.org"), "{}", name);
            }
            let records = [text.into_bytes()];
            for algorithm in [Algorithm::RsaSha256, Algorithm::Ed25519Sha256] {
                let _read = Key::read(&records, algorithm);
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read = Signature::read(0, &octets, UnixMillis(0));
            let _key = Key::read(&[octets], Algorithm::RsaSha256);
        }
    }
}
