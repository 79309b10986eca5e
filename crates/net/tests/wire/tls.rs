//! TLS on both sides, and certificates that are replaced under way.

use std::sync::Arc;
use std::time::Duration;

use restante_net::{ClientTls, Connecting, Early, Listener, ServerTls, Stream, TlsError};
use restante_types::TlsFacts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::certificates::Pair;

const LIMIT: Duration = Duration::from_secs(20);

/// Two ends of one connection: the one that connected, and the one that accepted.
async fn connected() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local().unwrap();
    let connecting = Connecting { address, source: None, limit: Duration::from_secs(5) };
    let (there, here) = tokio::join!(connecting.connect(), listener.accept());
    (there.unwrap(), here.unwrap())
}

async fn secured(tls: &ServerTls) -> (Stream, Stream) {
    let (there, here) = connected().await;
    let name = "any.example".try_into().unwrap();
    let client = ClientTls::opportunistic();
    let (there, here) =
        tokio::join!(there.connect_tls(&client, name, LIMIT), here.accept_tls(tls.acceptor(), LIMIT));
    (there.unwrap(), here.unwrap())
}

async fn shown_by(tls: &ServerTls) -> [u8; 32] {
    let (there, _here) = secured(tls).await;
    there.tls().unwrap().peer_fingerprint.unwrap()
}

#[tokio::test]
async fn both_sides_know_the_facts() {
    let pair = Pair::new("mx.example");
    let tls = ServerTls::load(pair.certificate(), pair.key()).unwrap();
    let (mut there, mut here) = secured(&tls).await;
    let TlsFacts { version, cipher, peer_fingerprint } = here.tls().unwrap().clone();
    assert_eq!(version, "TLS1.3");
    assert!(cipher.starts_with("TLS_"), "{cipher}");
    assert_eq!(peer_fingerprint, None, "no certificate was asked for");
    there.write_all(b"inside").await.unwrap();
    there.flush().await.unwrap();
    let mut octets = [0; 6];
    here.read_exact(&mut octets).await.unwrap();
    assert_eq!(&octets, b"inside");
    let again = here.accept_tls(tls.acceptor(), LIMIT).await;
    assert!(matches!(again, Err(TlsError::Twice)));
}

#[tokio::test]
async fn a_silent_client_does_not_hold_a_handshake() {
    let pair = Pair::new("mx.example");
    let tls = ServerTls::load(pair.certificate(), pair.key()).unwrap();
    let (_silent, here) = connected().await;
    let outcome = here.accept_tls(tls.acceptor(), Duration::from_millis(50)).await;
    assert!(matches!(outcome, Err(TlsError::Slow)));
}

#[tokio::test]
async fn what_comes_early_is_seen_in_clear_and_inside_tls() {
    let (mut there, mut here) = connected().await;
    assert_eq!(here.nothing_early().unwrap(), Early::Nothing);
    there.write_all(b"x").await.unwrap();
    // Loopback hands octets over before the write returns: no wait, and no turn of the executor either.
    assert_eq!(here.nothing_early().unwrap(), Early::Octets);
    let mut octet = [0];
    here.read_exact(&mut octet).await.unwrap();
    assert_eq!(here.nothing_early().unwrap(), Early::Nothing, "looking takes nothing");
    there.shutdown().await.unwrap();
    assert_eq!(here.nothing_early().unwrap(), Early::Closed);

    let pair = Pair::new("mx.example");
    let tls = ServerTls::load(pair.certificate(), pair.key()).unwrap();
    let (mut there, mut here) = secured(&tls).await;
    assert_eq!(here.nothing_early().unwrap(), Early::Nothing);
    there.write_all(b"ab").await.unwrap();
    there.flush().await.unwrap();
    assert_eq!(here.nothing_early().unwrap(), Early::Octets);
    here.read_exact(&mut octet).await.unwrap();
    assert_eq!(here.nothing_early().unwrap(), Early::Octets, "decrypted octets that were not read count");
}

#[tokio::test]
async fn a_bad_pair_is_refused_and_the_old_one_stays() {
    let pair = Pair::new("mx.example");
    let tls = ServerTls::load(pair.certificate(), pair.key()).unwrap();
    let before = shown_by(&tls).await;
    pair.break_it();
    assert!(matches!(tls.reload(), Err(TlsError::Pair(_))));
    assert_eq!(shown_by(&tls).await, before);
    std::fs::write(pair.key(), "no key").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("tls.key"));
    std::fs::remove_file(pair.certificate()).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("tls.crt"));
    assert_eq!(shown_by(&tls).await, before);
    pair.replace("mx.example");
    tls.reload().unwrap();
    assert_ne!(shown_by(&tls).await, before);
}

#[tokio::test]
async fn replaced_files_are_noticed_once_they_stand_still() {
    let pair = Pair::new("mx.example");
    let tls = ServerTls::load(pair.certificate(), pair.key()).unwrap();
    let watching = tokio::spawn(Arc::clone(&tls).watch(Duration::from_millis(30)));
    let before = shown_by(&tls).await;
    pair.break_it();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(shown_by(&tls).await, before, "a pair that does not fit is not taken");
    pair.replace("mx.example");
    let mut after = before;
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        after = shown_by(&tls).await;
        if after != before {
            break;
        }
    }
    assert_ne!(after, before);
    watching.abort();
}
