//! STARTTLS by policy, over real sockets.

use std::sync::Mutex;
use std::time::Duration;

use restante_net::{Listener, ServerTls, Stream};
use restante_smtp::Transcript;
use restante_types::DomainMap;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::Courier;
use super::primary::ALL;
use super::*;
use crate::carrier::{Carrier, Errand, Trip};
use crate::route::Hop;
use crate::settings::{DeliverySettings, DomainDelivery, TlsPolicy};

const LIMIT: Duration = Duration::from_secs(10);

/// What a primary does when it is asked for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// Does not offer it.
    None,
    /// Starts it.
    Works,
    /// Offers it and refuses.
    Refuses,
    /// Says 220 and then no handshake.
    Breaks,
    /// Says 220, and says more in clear.
    Injects,
}

/// A primary on loopback, with STARTTLS in front of the one in memory; tells per connection whether TLS stood.
struct Front {
    listener: Listener,
    manner: Tls,
    primary: Primary,
    server: Arc<ServerTls>,
    fingerprint: [u8; 32],
    connections: Mutex<Vec<bool>>,
}

impl Front {
    fn new(manner: Tls) -> Arc<Self> {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (at, key_at) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let fingerprint = Sha256::digest(certificate.der()).into();
        std::fs::write(&at, certificate.pem()).unwrap();
        std::fs::write(&key_at, key.serialize_pem()).unwrap();
        let server = ServerTls::load(&at, &key_at).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (primary, connections) = (Primary::new(ALL), Mutex::default());
        Arc::new(Self { listener, manner, primary, server, fingerprint, connections })
    }

    async fn serve(self: Arc<Self>) {
        while let Ok(stream) = self.listener.accept().await {
            tokio::spawn(self.clone().converse(stream));
        }
    }

    async fn converse(self: Arc<Self>, mut stream: Stream) {
        let mut offered = self.manner != Tls::None;
        // The first connection shows the manner; a second one in clear is not asked for TLS.
        stream.write_all(b"220 front.example\r\n").await.unwrap();
        let mut line = Vec::new();
        loop {
            let Ok(octet) = stream.read_u8().await else { return };
            line.push(octet);
            if !line.ends_with(b"\r\n") {
                continue;
            }
            match std::mem::take(&mut line).as_slice() {
                ehlo if ehlo.starts_with(b"EHLO") => {
                    let tls = if offered { "250-STARTTLS\r\n" } else { "" };
                    let answer = format!("250-front.example\r\n{tls}250 PIPELINING\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                b"STARTTLS\r\n" if self.manner == Tls::Refuses => {
                    stream.write_all(b"454 4.7.0 not today\r\n").await.unwrap();
                    offered = false;
                }
                b"STARTTLS\r\n" => {
                    let early = if self.manner == Tls::Injects { "250 you are welcome\r\n" } else { "" };
                    stream.write_all(format!("220 go\r\n{early}").as_bytes()).await.unwrap();
                    if self.manner != Tls::Works {
                        return self.connections.lock().unwrap().push(false);
                    }
                    let inside = stream.accept_tls(self.server.acceptor(), LIMIT).await.unwrap();
                    self.connections.lock().unwrap().push(true);
                    // It greets once more than a server does inside TLS, so that is taken off.
                    return self.primary.clone().without_greeting().converse(inside).await;
                }
                b"QUIT\r\n" => {
                    self.connections.lock().unwrap().push(false);
                    return drop(stream.write_all(b"221 bye\r\n").await);
                }
                mail => {
                    assert!(mail.starts_with(b"MAIL"), "{mail:?}");
                    self.connections.lock().unwrap().push(false);
                    return self.primary.clone().without_greeting().having_heard(mail).converse(stream).await;
                }
            }
        }
    }
}

/// Carries three messages to a primary with this manner; the trip, what was taken, and TLS per connection.
async fn trip(manner: Tls, policy: TlsPolicy) -> (Trip, usize, Vec<bool>) {
    trip_to(Front::new(manner), policy, None).await
}

async fn trip_to(
    front: Arc<Front>,
    policy: TlsPolicy,
    certificates: Option<Vec<[u8; 32]>>,
) -> (Trip, usize, Vec<bool>) {
    let serving = tokio::spawn(front.clone().serve());
    let office = Office::with(3).await;
    let hostname: Domain = "mx2.example.net".parse().unwrap();
    let settings = DeliverySettings {
        hostname,
        own_addresses: Vec::new(),
        listeners: Vec::new(),
        is_local: |_| false,
        source_addresses: Vec::new(),
        notices: crate::notice::NoticeSettings::default(),
        domains: DomainMap::default(),
    };
    let trip = Courier::default()
        .carry(Errand {
            settings: Arc::new(settings),
            delivery: Arc::new(DomainDelivery { tls: policy, ..DomainDelivery::default() }),
            certificates: certificates.map(|all| Arc::new(all.into_iter().collect())),
            hop: Hop::literal(front.listener.local().unwrap(), None),
            connect_timeout: LIMIT,
            feed: office.owner.feed(),
            transcript: Transcript::default(),
        })
        .await;
    let (store, domain) = office.close().await;
    let taken = front.primary.taken().len();
    assert_eq!(store.waiting(&domain), 3 - taken);
    serving.abort();
    let connections = front.connections.lock().unwrap().clone();
    (trip, taken, connections)
}

fn unused(trip: &Trip) -> String {
    match trip {
        Trip::Unused(reply) => reply.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn opportunistic_uses_what_is_there_and_clear_once_where_it_breaks() {
    let policy = TlsPolicy::Opportunistic;
    assert_eq!(trip(Tls::Works, policy).await, (Trip::Finished, 3, vec![true]));
    assert_eq!(trip(Tls::None, policy).await, (Trip::Finished, 3, vec![false]));
    assert_eq!(trip(Tls::Refuses, policy).await, (Trip::Finished, 3, vec![false]));
    assert_eq!(trip(Tls::Breaks, policy).await, (Trip::Finished, 3, vec![false, false]));
}

#[tokio::test]
async fn require_never_goes_in_clear() {
    let policy = TlsPolicy::Require;
    assert_eq!(trip(Tls::Works, policy).await, (Trip::Finished, 3, vec![true]));
    for (manner, code) in [(Tls::None, "450 4.7.4"), (Tls::Refuses, "454 4.7.0"), (Tls::Breaks, "450 4.7.5")]
    {
        let (trip, taken, connections) = trip(manner, policy).await;
        assert!(unused(&trip).starts_with(code), "{manner:?}: {trip:?}");
        assert_eq!((taken, connections), (0, vec![false]), "{manner:?}");
    }
}

/// [3207-4.2-client]: neither read as an answer, nor an excuse to go on in clear.
#[tokio::test]
async fn octets_behind_the_220_end_it() {
    for policy in [TlsPolicy::Opportunistic, TlsPolicy::Require] {
        let (trip, taken, connections) = trip(Tls::Injects, policy).await;
        assert!(unused(&trip).contains("STARTTLS"), "{trip:?}");
        assert_eq!((taken, connections.len()), (0, 1));
    }
}

/// With no DNS and no web a policy that needs them keeps the mail, and nobody is called.
#[tokio::test]
async fn what_cannot_be_enforced_is_not_pretended() {
    for policy in [TlsPolicy::Dane, TlsPolicy::MtaSts] {
        let (trip, taken, connections) = trip(Tls::Works, policy).await;
        assert!(unused(&trip).starts_with("450 4.7.0"), "{trip:?}");
        assert_eq!((taken, connections), (0, vec![]));
    }
}

/// [1985-requester] Who asked for the mail to come to its address gets it only with the certificate on file, whatever
/// the policy of the domain says, and never in clear.
#[tokio::test]
async fn a_requester_must_show_its_certificate() {
    let policy = TlsPolicy::Opportunistic;
    let front = Front::new(Tls::Works);
    let on_file = Some(vec![[7; 32], front.fingerprint]);
    assert_eq!(trip_to(front, policy, on_file).await, (Trip::Finished, 3, vec![true]));
    let (trip, taken, connections) = trip_to(Front::new(Tls::Works), policy, Some(vec![[7; 32]])).await;
    assert!(unused(&trip).starts_with("450 4.7.5"), "{trip:?}");
    assert_eq!((taken, connections), (0, vec![true]));
    for (manner, code) in [(Tls::None, "450 4.7.4"), (Tls::Refuses, "454 4.7.0"), (Tls::Breaks, "450 4.7.5")]
    {
        let front = Front::new(manner);
        let on_file = Some(vec![front.fingerprint]);
        let (trip, taken, connections) = trip_to(front, policy, on_file).await;
        assert!(unused(&trip).starts_with(code), "{manner:?}: {trip:?}");
        assert_eq!((taken, connections), (0, vec![false]), "{manner:?}");
    }
}
