//! Key records, RFC 6376 3.6.1.

use mail_auth::common::crypto::Algorithm;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;

use super::{DkimResult, tags};
use crate::limits::{KEY_RECORD, RSA_BITS};

/// A public key and what it may be used for.
pub(crate) struct Key {
    key: DomainKey,
    /// It signs for its domain only, not for names below (`t=s`).
    pub(crate) exact: bool,
    /// Its domain is only trying (`t=y`).
    pub(crate) testing: bool,
}

impl Key {
    /// [6376-3.6.1] Reads the only record at the key's name. What is not for mail, not for SHA-256, revoked or not the
    /// kind of key that the signature says is no key for it.
    pub(crate) fn read(records: &[Vec<u8>], algorithm: Algorithm) -> Result<Self, DkimResult> {
        // [6376-3.6.2.2] What several records mean is not defined.
        let [record] = records else { return Err(DkimResult::PermError) };
        let tags = tags::read(record).filter(|_| record.len() <= KEY_RECORD).ok_or(DkimResult::PermError)?;
        let value = |name| tags::value(&tags, name);
        let lists = |name, wanted: &[&[u8]]| {
            value(name).is_none_or(|list| tags::items(list).any(|item| wanted.contains(&item)))
        };
        let kind = match algorithm {
            Algorithm::Ed25519Sha256 => &b"ed25519"[..],
            Algorithm::RsaSha256 | Algorithm::RsaSha1 => b"rsa",
        };
        let version = value("v").is_none_or(|version| version == b"DKIM1" && tags[0].0 == "v");
        let good = version
            && value("k").unwrap_or(b"rsa") == kind
            && lists("h", &[b"sha256"])
            && lists("s", &[b"*", b"email"])
            && value("p").is_some_and(|key| !key.is_empty());
        if !good {
            return Err(DkimResult::PermError);
        }
        let key = DomainKey::parse(record).map_err(|_| DkimResult::PermError)?;
        // [8301-3.2]
        if kind == b"rsa" && !RSA_BITS.contains(&key.p.public_key_bits()) {
            return Err(DkimResult::Policy);
        }
        let flag =
            |wanted: &[u8]| value("t").is_some_and(|flags| tags::items(flags).any(|flag| flag == wanted));
        Ok(Self { key, exact: flag(b"s"), testing: flag(b"y") })
    }

    /// Whether the signature over these fields is this key's.
    pub(super) fn signed<'a>(
        &self,
        fields: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>,
        signature: &mail_auth::dkim::Signature,
    ) -> bool {
        self.key.p.verify(fields, &signature.b, signature.ch, signature.a).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [8301-3.2]
    #[test]
    fn a_weak_key_proves_nothing() {
        let read =
            |key: &str| Key::read(&[format!("v=DKIM1; k=rsa; p={key}").into_bytes()], Algorithm::RsaSha256);
        let weak = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALIogMjflMU+S5GXlplEU5usEgVrZj5d0jx58V1fQc5nh8/kH2FytBECtHOjZePv3V4Fgboz6z\
                    nCTF4iLr7vqF8CAwEAAQ==";
        let enough = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDMMXYU6QdVcN0a0lEZUXZF2C/68P3YJLXcgczw34ycbRNM7oUS/342gy0KNNvISKKrGn\
                      7iBmQ+1SitmYHA8SlOnnCFigXaQirlPjb/FDz+9yFm8qUej9u8MjqhfhAn4vRrt9v8Qi2/8aO7GEj2eNhIFqPEEv080q8oMmqwYKyySQIDAQAB";
        assert_eq!(read(weak).err(), Some(DkimResult::Policy));
        assert!(read(enough).is_ok());
        assert_eq!(read("AAAA").err(), Some(DkimResult::Policy), "no key at all has no bits");
    }
}
