//! Configurations that are built once, and sessions that are never resumed where something is verified.

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_net::{ClientTls, ClientTlsBook, Connecting, ServerName, Trust};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::chain::{Authority, Valid};
use crate::hand::shake;

const HOST: &str = "mail.example.org";
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn new_authorities_are_read_and_bad_ones_change_nothing() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let file = first.file();
    let (trust, book, now) = (Trust::Authorities(file.clone()), ClientTlsBook::default(), Instant::now());
    let (one, two) = (first.issue(&[HOST], Valid::Now), second.issue(&[HOST], Valid::Now));
    let tls = || book.trusting(&trust, None, now).unwrap();
    shake(&one, &tls(), HOST).await.unwrap();
    shake(&two, &tls(), HOST).await.unwrap_err();
    std::fs::copy(second.file(), &file).unwrap();
    shake(&two, &tls(), HOST).await.unwrap();
    shake(&one, &tls(), HOST).await.unwrap_err();
    std::fs::write(&file, "nothing of the kind").unwrap();
    shake(&two, &tls(), HOST).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    shake(&two, &tls(), HOST).await.unwrap();
    // What was never there is no trust.
    let error = ClientTlsBook::default().trusting(&trust, None, now).unwrap_err();
    assert!(error.to_string().contains("ca.pem"), "{error}");
}

#[tokio::test]
async fn a_new_certificate_of_ours_is_shown() {
    let authority = Authority::new("ours");
    let (old, new) =
        (authority.issue(&["a.example"], Valid::Now), authority.issue(&["b.example"], Valid::Now));
    let (crt, key) = old.files();
    let (book, now) = (ClientTlsBook::default(), Instant::now());
    let server = authority.issue(&[HOST], Valid::Now);
    let shown = || book.trusting(&Trust::Anyone, Some((&crt, &key)), now).unwrap();
    let seen = |tls: ClientTls| {
        let server = &server;
        async move { crate::hand::shown_to(server, &tls, HOST).await }
    };
    let print = |shown: &crate::chain::Shown| {
        use sha2::{Digest, Sha256};
        Some(<[u8; 32]>::from(Sha256::digest(&shown.chain[0])))
    };
    assert_eq!(seen(shown()).await, print(&old));
    new.write(&crt, &key);
    assert_eq!(seen(shown()).await, print(&new));
    // A certificate without its key: the pair before it goes on.
    old.write(&crt, &crt.with_extension("elsewhere"));
    assert_eq!(seen(shown()).await, print(&new));
    assert_eq!(seen(book.trusting(&Trust::Anyone, None, now).unwrap()).await, None);
}

/// A session that is resumed verifies nothing: its certificate may have expired, or its record been withdrawn.
#[tokio::test]
async fn nothing_is_resumed_where_something_is_verified() {
    let authority = Authority::new("ours");
    let shown = authority.issue(&[HOST], Valid::Now);
    let (crt, key) = shown.files();
    let chain = CertificateDer::pem_file_iter(crt).unwrap().map(Result::unwrap).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let verifying = ClientTls::trusting(&Trust::Authorities(authority.file()), None).unwrap();
    assert_eq!(kinds(&acceptor, &verifying).await, [HandshakeKind::Full, HandshakeKind::Full]);
    // The server would: with nothing to verify it does.
    let any = ClientTls::trusting(&Trust::Anyone, None).unwrap();
    assert_eq!(kinds(&acceptor, &any).await, [HandshakeKind::Full, HandshakeKind::Resumed]);
    // What one trust has begun another does not go on with.
    let other = ClientTls::trusting(&Trust::Authorities(authority.file()), None).unwrap();
    assert_eq!(kinds(&acceptor, &other).await[0], HandshakeKind::Full);
}

/// Two connections with one configuration.
async fn kinds(acceptor: &TlsAcceptor, tls: &ClientTls) -> [HandshakeKind; 2] {
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = acceptor.clone();
        let serve = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            tls.write_all(b"x").await.unwrap();
            let kind = tls.get_ref().1.handshake_kind().unwrap();
            tls.shutdown().await.unwrap();
            kind
        });
        let stream = Connecting { address, source: None, limit: LIMIT }.connect().await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let mut stream = stream.connect_tls(tls, name, LIMIT).await.unwrap();
        // The ticket comes with the first octets.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        kinds.push(serve.await.unwrap());
    }
    kinds.try_into().unwrap()
}
