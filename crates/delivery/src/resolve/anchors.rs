//! What is believed from the start: the root's keys that are built in, or those of a file.

use std::sync::Arc;

use hickory_resolver::net::NetError;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, PublicKeyBuf, TrustAnchors, Verifier};
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};

/// Keys, and digests of keys that are looked up when they are first needed.
#[derive(Clone)]
pub(super) struct Anchors {
    keys: TrustAnchors,
    digests: Vec<(Name, DS)>,
}

impl Anchors {
    /// The root's.
    pub(super) fn built_in() -> Self {
        Self { keys: TrustAnchors::default(), digests: Vec::new() }
    }

    /// DNSKEY and DS records, one a line, as zone files write them. Those of the root stand in place of what is built
    /// in, those of other zones beside it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut digests, mut others) = (Vec::new(), String::new());
        for line in text.lines() {
            match digest(line) {
                Some(digest) => digests.push(digest?),
                None => others.extend([line, "\n"]),
            }
        }
        let entries = Parser::new(others).parse();
        let entries = entries.map_err(|error| format!("only DNSKEY and DS records are read: {error}"))?;
        let mut found: Vec<(&Name, &PublicKeyBuf)> = Vec::new();
        for entry in &entries {
            let Entry::DNSKEY(record) = entry else {
                return Err("only DNSKEY and DS records are read".to_owned());
            };
            found.push((record.name(), record.data().public_key()));
        }
        if found.is_empty() && digests.is_empty() {
            return Err("holds no DNSKEY and no DS record".to_owned());
        }
        let mut zones = found.iter().map(|(zone, _)| *zone).chain(digests.iter().map(|(zone, _)| zone));
        let mut keys = if zones.any(Name::is_root) { TrustAnchors::empty() } else { TrustAnchors::default() };
        for (zone, key) in found {
            keys.insert_with_name(key, zone.into());
        }
        Ok(Self { keys, digests })
    }

    /// The keys, with those that the digests stand for.
    ///
    /// # Errors
    /// A zone's keys cannot be had, or none of them is the one that is meant.
    pub(super) async fn keys(
        &self,
        wire: &impl DnsHandle,
        options: DnsRequestOptions,
    ) -> Result<Arc<TrustAnchors>, NetError> {
        let mut keys = self.keys.clone();
        let mut zones: Vec<&Name> = self.digests.iter().map(|(zone, _)| zone).collect();
        zones.sort_unstable();
        zones.dedup();
        for zone in zones {
            let query = Query::query(zone.clone(), RecordType::DNSKEY);
            let answer = wire.lookup(query, options).first_answer().await?;
            let shown = answer.answers.iter().filter_map(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key),
                _ => None,
            });
            let mut none = true;
            for key in shown.filter(|key| self.is_meant(zone, key)) {
                keys.insert_with_name(key.public_key(), zone.into());
                none = false;
            }
            if none {
                return Err(NetError::from(format!(
                    "no key of {zone} is the one that the trust anchor means"
                )));
            }
        }
        Ok(Arc::new(keys))
    }

    fn is_meant(&self, zone: &Name, key: &DNSKEY) -> bool {
        let of_zone = self.digests.iter().filter(|(name, _)| name == zone);
        of_zone.map(|(_, digest)| digest).any(|digest| {
            digest.algorithm() == key.algorithm()
                && key.calculate_key_tag().is_ok_and(|tag| tag == digest.key_tag())
                && digest.covers(zone, key).unwrap_or(false)
        })
    }
}

/// A line that holds a DS record; `None` where it holds something else.
fn digest(line: &str) -> Option<Result<(Name, DS), String>> {
    let words: Vec<&str> = line.split(';').next().unwrap_or_default().split_whitespace().collect();
    let at =
        words.iter().position(|word| word.eq_ignore_ascii_case("DS")).filter(|at| (1..=3).contains(at))?;
    let wrong = || format!("this is no DS record: {}", line.chars().take(80).collect::<String>());
    Some(read_digest(words[0], &words[at + 1..]).ok_or_else(wrong))
}

fn read_digest(zone: &str, words: &[&str]) -> Option<(Name, DS)> {
    let [tag, algorithm, kind, digest @ ..] = words else { return None };
    let digest = digest.concat();
    let pairs = digest.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    let digest: Vec<u8> = pairs.collect::<Option<_>>().filter(|octets: &Vec<u8>| !octets.is_empty())?;
    let mut zone = Name::from_ascii(zone).ok()?.to_lowercase();
    zone.set_fqdn(true);
    let (algorithm, kind) =
        (Algorithm::from_u8(algorithm.parse().ok()?), DigestType::from(kind.parse::<u8>().ok()?));
    let usable = algorithm.is_supported() && kind.is_supported();
    usable.then(|| Some((zone, DS::new(tag.parse().ok()?, algorithm, kind, digest))))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "IN DNSKEY 257 3 13 \
        mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";
    const DIGEST: &str = "DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

    #[test]
    fn keys_of_the_root_replace_and_others_are_added() {
        assert_eq!(Anchors::parse(&format!(". {KEY}\n")).unwrap().keys.len(), 1);
        let built_in = TrustAnchors::default().len();
        let added = Anchors::parse(&format!("; ours\ncorp.example. 3600 {KEY}\n")).unwrap();
        assert_eq!(added.keys.len(), built_in);
        let by_digest = Anchors::parse(&format!(".\t86400\tIN\t{DIGEST} ; KSK-2017\n")).unwrap();
        assert_eq!((by_digest.keys.len(), by_digest.digests.len()), (0, 1));
        let both = Anchors::parse(&format!("corp.example. {DIGEST}\ncorp.example. {KEY}\n")).unwrap();
        assert_eq!((both.keys.len(), both.digests.len()), (built_in, 1));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let short = DIGEST.trim_end_matches('D');
        for text in [
            "",
            "; nothing\n",
            "garbage",
            ". IN DS 20326 8 2",
            ". IN DS 20326 8 2 XX",
            ". IN DS 20326 253 2 E06D",
            &format!(". IN {short}"),
            ". IN A 192.0.2.1",
        ] {
            assert!(Anchors::parse(text).is_err(), "{text}");
        }
    }
}
