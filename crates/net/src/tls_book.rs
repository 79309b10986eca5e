//! Client configurations, each built once: authorities are hundreds of certificates to read and to parse.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::events;
use crate::limits::{TRUST_AGE, TRUSTS};
use crate::tls_client::ClientTls;
use crate::tls_server::TlsError;
use crate::tls_trust::Trust;
use crate::tls_watch::Stamp;

/// Whom we trust and what we show.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    trust: Trust,
    shown: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug)]
struct Kept {
    tls: ClientTls,
    /// The files as they were when they were last read, well or badly.
    stamps: [Option<Stamp>; 3],
    built: Instant,
}

/// One configuration for each kind of trust, so that a session of one is never resumed under another. Files that
/// changed are read again; where they cannot be used, what was read before stays.
#[derive(Debug, Default)]
pub struct ClientTlsBook(Mutex<HashMap<Key, Kept>>);

impl ClientTlsBook {
    /// The configuration that trusts these and shows this certificate (chain and key, PEM) to who asks for one.
    ///
    /// # Errors
    /// [`TlsError`] when a file cannot be used and none could before, or when this system knows no authorities.
    pub fn trusting(
        &self,
        trust: &Trust,
        shown: Option<(&Path, &Path)>,
        now: Instant,
    ) -> Result<ClientTls, TlsError> {
        let key = Key { trust: trust.clone(), shown: shown.map(|(one, other)| (one.into(), other.into())) };
        let stamps = stamps(trust, shown);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get(&key)
            && kept.stamps == stamps
            && now.saturating_duration_since(kept.built) < TRUST_AGE
        {
            return Ok(kept.tls.clone());
        }
        match (ClientTls::trusting(trust, shown), kept.get_mut(&key)) {
            (Ok(tls), _) => {
                make_room(&mut kept);
                kept.insert(key, Kept { tls: tls.clone(), stamps, built: now });
                Ok(tls)
            }
            (Err(error), Some(old)) => {
                events::client_trust_refused(&error);
                (old.stamps, old.built) = (stamps, now);
                Ok(old.tls.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}

/// The oldest goes.
fn make_room(kept: &mut HashMap<Key, Kept>) {
    if kept.len() < TRUSTS {
        return;
    }
    if let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.built).map(|(key, _)| key.clone()) {
        kept.remove(&oldest);
    }
}

fn stamps(trust: &Trust, shown: Option<(&Path, &Path)>) -> [Option<Stamp>; 3] {
    let authorities = match trust {
        Trust::Authorities(file) => Stamp::of(file),
        _ => None,
    };
    let (certificate, key) = shown.map_or((None, None), |(one, other)| (Stamp::of(one), Stamp::of(other)));
    [authorities, certificate, key]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let (book, start) = (ClientTlsBook::default(), Instant::now());
        for number in 0..TRUSTS + 10 {
            let mut print = [0; 32];
            print[..8].copy_from_slice(&number.to_be_bytes());
            let now = start + Duration::from_millis(number as u64);
            book.trusting(&Trust::Fingerprint(print), None, now).unwrap();
        }
        let kept = book.0.lock().unwrap();
        assert_eq!(kept.len(), TRUSTS);
        assert!(!kept.keys().any(|key| key.trust == Trust::Fingerprint([0; 32])), "the oldest went");
    }
}
