//! One handshake on loopback.

use std::time::Duration;

use restante_net::{ClientTls, Connecting, Listener, ServerName, ServerTls, Stream, TlsError};

use crate::chain::Shown;

const LIMIT: Duration = Duration::from_secs(10);

/// A server that shows this, and a client that calls it by `name`; what the client says when it breaks off.
pub(crate) async fn shake(shown: &Shown, tls: &ClientTls, name: &str) -> Result<Stream, String> {
    let (ours, theirs) = both(shown, tls, name).await;
    ours.map_err(|error| {
        assert!(theirs.is_none());
        assert!(error.is_certificate(), "{error}");
        error.in_words()
    })
}

/// What such a client showed to the server.
pub(crate) async fn shown_to(shown: &Shown, tls: &ClientTls, name: &str) -> Option<[u8; 32]> {
    let (_ours, theirs) = both(shown, tls, name).await;
    theirs.unwrap().tls().unwrap().peer_fingerprint
}

async fn both(shown: &Shown, tls: &ClientTls, name: &str) -> (Result<Stream, TlsError>, Option<Stream>) {
    let (certificate, key) = shown.files();
    let server = ServerTls::load(certificate, key).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local().unwrap();
    let serve = async {
        let stream = listener.accept().await.unwrap();
        // It fails where the client breaks off, and that is told there.
        stream.accept_tls(server.acceptor(), LIMIT).await.ok()
    };
    let call = async {
        let stream = Connecting { address, source: None, limit: LIMIT }.connect().await.unwrap();
        stream.connect_tls(tls, ServerName::try_from(name.to_owned()).unwrap(), LIMIT).await
    };
    tokio::join!(call, serve)
}
