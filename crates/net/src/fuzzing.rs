//! A door for the fuzz targets (`fuzz/` at the top), there under `--cfg fuzzing` alone: whom TLSA records vouch for.

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::tls_dane::{Dane, DaneVerifier};
use crate::tls_server::provider;

/// Whether these records vouch for a server that shows this chain.
#[must_use]
pub fn vouch(dane: &Dane, chain: &[Vec<u8>], now: u64) -> bool {
    let chain: Vec<CertificateDer<'_>> =
        chain.iter().map(|octets| CertificateDer::from(octets.as_slice())).collect();
    let Some((end, between)) = chain.split_first() else { return false };
    let name = ServerName::try_from("any.example").expect("a name");
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    DaneVerifier::new(dane.clone(), provider()).verify_server_cert(end, between, &name, &[], now).is_ok()
}
