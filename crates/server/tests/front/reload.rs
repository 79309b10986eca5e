//! Other settings under way.

use restante_server::{HeldDomain, ListenTls, ServerError, ServerSettings};
use tokio::net::{TcpListener, TcpStream};

use crate::house::{House, domain, listener, settings};
use crate::peer::Peer;

#[tokio::test]
async fn a_domain_comes_and_goes_in_a_session_that_runs() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@fresh.example>", "550 5.7.1")]).await;
    let mut with_it = settings();
    with_it.domains.insert(domain("fresh.example"), false, HeldDomain::default());
    house.server.reload(with_it, house.tls.clone()).unwrap();
    peer.talk(&[("RCPT TO:<a@fresh.example>", "250 2.1.5"), ("DATA", "354")]).await;
    let mut lost = settings();
    lost.lost.insert(domain("fresh.example"), false, ());
    house.server.reload(lost, house.tls.clone()).unwrap();
    let reply = peer.ask("A: b\r\n.\r\n").await;
    assert!(reply.starts_with("450 4.3.0"), "{reply}");
    assert!(house.entries().await.is_empty());
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@fresh.example>", "450 4.3.0")]).await;
}

#[tokio::test]
async fn listeners_come_and_go_and_the_others_stay() {
    let house = House::new(settings());
    let first = house.address();
    let mut kept = house.hello().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut more = settings();
    let mut extra = listener(ListenTls::None);
    extra.address = free;
    more.listeners.push(extra);
    more.hostname = domain("renamed.example");
    house.server.reload(more.clone(), house.tls.clone()).unwrap();
    assert_eq!(house.server.local_addrs(), [first, free]);
    for address in [first, free] {
        let mut peer = Peer::connect(address).await;
        assert!(peer.reply().await.starts_with("220 renamed.example"));
    }
    more.listeners.remove(0);
    house.server.reload(more, house.tls.clone()).unwrap();
    assert_eq!(house.server.local_addrs(), [free]);
    while TcpStream::connect(first).await.is_ok() {
        tokio::task::yield_now().await;
    }
    kept.talk(&[("NOOP", "250")]).await;
}

#[tokio::test]
async fn a_bad_reload_changes_nothing() {
    let house = House::new(settings());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut bad = settings();
    let mut extra = listener(ListenTls::None);
    extra.address = taken.local_addr().unwrap();
    bad.listeners.push(extra);
    bad.hostname = domain("bad.example");
    let error = house.server.reload(bad, house.tls.clone()).unwrap_err();
    assert!(error.to_string().contains(&extra.address.to_string()), "{error}");
    let required = ServerSettings { listeners: vec![listener(ListenTls::Required)], ..settings() };
    let error = house.server.reload(required, None).unwrap_err();
    assert!(matches!(error, ServerError::NoCertificate(_)));
    assert!(house.hello().await.ask("EHLO c.example\r\n").await.contains("STARTTLS"));
}
