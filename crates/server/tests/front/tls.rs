//! STARTTLS, implicit TLS, and certificates that change.

use restante_net::ServerTls;
use restante_server::{ListenTls, ServerSettings};

use crate::house::{House, listener, make_pair, settings};
use crate::peer::Peer;

const CONTENT: &str = "Subject: hello\r\n\r\nSome text.\r\n";

fn with(tls: ListenTls) -> House {
    House::new(ServerSettings { listeners: vec![listener(tls)], ..settings() })
}

// [3207-4.2] [3848-1]
#[tokio::test]
async fn mail_inside_starttls_says_so() {
    let house = with(ListenTls::StartTls);
    let mut peer = house.hello().await;
    peer.talk(&[("STARTTLS", "220")]).await;
    let mut peer = peer.into_tls().await;
    peer.talk(&[("EHLO inside.example", "250-")]).await;
    assert!(peer.mail(&["a@example.org"], CONTENT).await.starts_with("250"));
    let entry = &house.entries().await[0];
    let (received, content) = house.split(entry).await;
    assert_eq!(content, CONTENT.as_bytes());
    assert!(received.starts_with("Received: from inside.example ([127.0.0.1])\r\n"), "{received}");
    assert!(received.contains("with ESMTPS\r\n\t(TLS1.3 TLS_"), "{received}");
    assert_eq!(entry.client.tls.as_ref().unwrap().version, "TLS1.3");
}

// [3207-early]
#[tokio::test]
async fn a_command_injected_behind_starttls_does_nothing() {
    let house = with(ListenTls::StartTls);
    let mut peer = house.hello().await;
    let injected = "STARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nBDAT 6 LAST\r\nA: b\r\n";
    let said = peer.ask(injected).await;
    assert!(said.starts_with("554 5.5.0"), "{said}");
    assert_eq!(peer.reply().await, "");
    assert!(house.entries().await.is_empty());
}

// [3207-4]
#[tokio::test]
async fn a_listener_may_want_tls_first() {
    let house = with(ListenTls::Required);
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "530 5.7.0"), ("ETRN example.org", "530 5.7.0"), ("STARTTLS", "220")]).await;
    let mut peer = peer.into_tls().await;
    peer.talk(&[("EHLO inside.example", "250-")]).await;
    assert!(peer.mail(&["a@example.org"], CONTENT).await.starts_with("250"));
}

// [8314-3.3]
#[tokio::test]
async fn an_implicit_listener_speaks_tls_from_the_first_octet() {
    let house = with(ListenTls::Implicit);
    let mut peer = Peer::connect(house.address()).await.into_tls().await;
    assert!(peer.reply().await.starts_with("220"));
    peer.talk(&[("EHLO inside.example", "250-"), ("STARTTLS", "50")]).await;
    assert!(peer.mail(&["a@example.org"], CONTENT).await.starts_with("250"));
}

#[tokio::test]
async fn a_listener_without_tls_offers_none() {
    let house = with(ListenTls::None);
    let mut peer = house.connect().await;
    assert!(!peer.ask("EHLO client.example\r\n").await.contains("STARTTLS"));
    peer.talk(&[("STARTTLS", "502")]).await;
}

async fn shown(house: &House) -> [u8; 32] {
    let mut peer = house.hello().await;
    peer.talk(&[("STARTTLS", "220")]).await;
    peer.into_tls().await.stream.tls().unwrap().peer_fingerprint.unwrap()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_bad_one_is_not() {
    let house = with(ListenTls::StartTls);
    let tls = house.tls.clone().unwrap();
    let before = shown(&house).await;
    std::fs::write(tls.certificate(), "no certificate").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(shown(&house).await, before);
    make_pair(house.dir.path());
    tls.reload().unwrap();
    let renewed = shown(&house).await;
    assert_ne!(renewed, before);
    let other = tempfile::tempdir().unwrap();
    let (certificate, key) = make_pair(other.path());
    let fresh = ServerTls::load(certificate, key).unwrap();
    let settings = ServerSettings { listeners: vec![listener(ListenTls::StartTls)], ..settings() };
    house.server.reload(settings, Some(fresh)).unwrap();
    assert_ne!(shown(&house).await, renewed);
}
