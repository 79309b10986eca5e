//! Our certificate: the configured one, or one of our own making.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use restante_net::{ClientCa, ServerTls, TlsError};
use restante_types::Domain;

use super::events;
use crate::config::Config;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// It cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// One of our own cannot be made.
    #[error("a self-signed certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    /// It cannot be written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// The files of the certificate and its key, if the configuration has any.
pub(crate) fn files(config: &Config) -> Option<(PathBuf, PathBuf)> {
    let tls = &config.tls.as_ref()?.value;
    if tls.self_signed {
        let directory = config.top.data_dir.join("tls");
        return Some((directory.join("self-signed.crt"), directory.join("self-signed.key")));
    }
    Some((tls.certificate.clone()?, tls.key.clone()?))
}

/// The file with the authorities whose client certificates are known by their names.
pub(crate) fn authority(config: &Config) -> Option<&Path> {
    config.tls.as_ref()?.value.client_ca.as_deref()
}

/// Loads the certificate; makes it first where the configuration says `self-signed = true` and there is none, or one
/// that is damaged.
///
/// # Errors
/// When it cannot be read, made or used.
pub(crate) fn load(config: &Config) -> Result<Option<Arc<ServerTls>>, CertificateError> {
    let Some((certificate, key)) = files(config) else { return Ok(None) };
    let own = config.tls.as_ref().is_some_and(|tls| tls.value.self_signed);
    if own && !(certificate.exists() && key.exists()) {
        make(&config.hostname, &certificate, &key)?;
    }
    let client_ca = authority(config).map(ClientCa::load).transpose()?;
    match ServerTls::load_with(&certificate, &key, client_ca.clone()) {
        // Nobody has another copy of what we made ourselves; a damaged octet must not keep mail away.
        Err(error @ (TlsError::Pem { .. } | TlsError::Pair(_))) if own => {
            events::certificate_unusable(&certificate, &error);
            make(&config.hostname, &certificate, &key)?;
            Ok(Some(ServerTls::load_with(certificate, key, client_ca)?))
        }
        loaded => Ok(Some(loaded?)),
    }
}

/// The key is readable by us alone from its first octet on. The certificate comes last: without it, both are made anew.
fn make(hostname: &Domain, certificate: &Path, key: &Path) -> Result<(), CertificateError> {
    let mut wanted = CertificateParams::new([hostname.to_string()])?;
    wanted.distinguished_name = DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, hostname.as_str());
    let signing_key = KeyPair::generate()?;
    let made = wanted.self_signed(&signing_key)?;
    let at = |path: &Path| {
        let path = path.to_owned();
        |error: io::Error| CertificateError::Io { path, error }
    };
    if let Some(directory) = key.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at(directory))?;
    }
    write(key, signing_key.serialize_pem().as_bytes(), 0o600).map_err(at(key))?;
    write(certificate, made.pem().as_bytes(), 0o644).map_err(at(certificate))?;
    events::certificate_made(certificate);
    Ok(())
}

fn write(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_of_our_own_can_be_used_and_its_key_is_ours_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("tls/a.crt"), directory.path().join("tls/a.key"));
        let hostname = Domain::parse("mx2.example.net").unwrap();
        make(&hostname, &certificate, &key).unwrap();
        let first = fs::read(&certificate).unwrap();
        ServerTls::load(&certificate, &key).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&certificate).unwrap();
        make(&hostname, &certificate, &key).unwrap();
        assert_ne!(fs::read(&certificate).unwrap(), first);
        ServerTls::load(&certificate, &key).unwrap();
    }

    #[test]
    fn a_damaged_one_of_our_own_is_made_anew_and_a_configured_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let config = |tls: &str| {
            let file = directory.path().join("restante.toml");
            let data = directory.path().display();
            let text = format!("hostname = \"mx2.example.net\"\ndata-dir = \"{data}\"\n[tls]\n{tls}\n");
            fs::write(&file, text).unwrap();
            crate::config::load(&file, &crate::config::Machine::this()).0.unwrap()
        };
        let own = config("self-signed = true");
        load(&own).unwrap().unwrap();
        let (certificate, key) = files(&own).unwrap();
        for path in [&certificate, &key] {
            for octet in [3, 40, 120] {
                let mut text = fs::read(path).unwrap();
                text[octet] ^= 0x80;
                fs::write(path, text).unwrap();
                load(&own).unwrap().unwrap();
                ServerTls::load(&certificate, &key).unwrap();
            }
        }
        let (crt, pem) = (certificate.display(), key.display());
        let configured = config(&format!("certificate = \"{crt}\"\nkey = \"{pem}\""));
        fs::write(&key, b"no key").unwrap();
        load(&configured).unwrap_err();
    }
}
