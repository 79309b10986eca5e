//! Who gets mail here, and when not.

use restante_queue::{LowWater, QueueStore};
use restante_server::{HeldDomain, ServerLimits, ServerSettings};
use restante_types::DomainMap;

use crate::house::{House, domain, settings};

const CONTENT: &str = "Subject: hello\r\n\r\nSome text.\r\n";

// [5321-3.6.2] [5321-4.5.1]
#[tokio::test]
async fn only_what_is_held_here_is_taken() {
    let mut lost = DomainMap::default();
    lost.insert(domain("lost.example"), false, ());
    let house = House::new(ServerSettings { lost, ..settings() });
    let mut peer = house.hello().await;
    peer.talk(&[
        ("MAIL FROM:<sender@client.example>", "250 2.1.0"),
        ("RCPT TO:<a@elsewhere.example>", "550 5.7.1"),
        ("RCPT TO:<a%elsewhere.example@example.org>", "550 5.7.1"),
        ("RCPT TO:<elsewhere.example!a@example.org>", "550 5.7.1"),
        ("RCPT TO:<\"a@elsewhere.example\"@example.org>", "550 5.7.1"),
        ("RCPT TO:<a@[127.0.0.1]>", "550 5.7.1"),
        ("RCPT TO:<a@lost.example>", "450 4.3.0"),
        ("DATA", "5"),
        ("RCPT TO:<@relay.example,@other.example:routed@example.org>", "250 2.1.5"),
        ("RCPT TO:<Postmaster>", "250 2.1.5"),
        ("RCPT TO:<postmaster@[127.0.0.1]>", "250 2.1.5"),
        ("DATA", "354"),
    ])
    .await;
    peer.send(CONTENT).await;
    assert!(peer.ask(".\r\n").await.starts_with("250"));
    let entries = house.entries().await;
    assert_eq!(entries.len(), 1);
    let kept: Vec<_> = entries[0].recipients.iter().map(|status| status.mailbox.to_string()).collect();
    assert_eq!(kept, ["routed@example.org", "postmaster@example.org", "postmaster@example.org"]);
}

// [6531-3.5]
#[tokio::test]
async fn international_mail_needs_a_primary_that_takes_it() {
    let mut settings = settings();
    let utf8 = HeldDomain { smtputf8: true, ..HeldDomain::default() };
    settings.domains.insert(domain("utf8.example"), false, utf8);
    let house = House::new(settings);
    let mut peer = house.hello().await;
    peer.talk(&[
        ("MAIL FROM:<a@client.example> SMTPUTF8", "250 2.1.0"),
        ("RCPT TO:<\u{fc}@example.org>", "553 5.6.7"),
        ("RCPT TO:<\u{fc}@utf8.example>", "250 2.1.5"),
    ])
    .await;
}

#[tokio::test]
async fn a_domain_over_its_quota_waits() {
    let mut settings = settings();
    let quota =
        |quota: u64, subdomains| HeldDomain { quota: Some(quota), subdomains, ..HeldDomain::default() };
    settings.domains.insert(domain("small.example"), false, quota(500, false));
    settings.domains.insert(domain("tree.example"), true, quota(500, true));
    let house = House::new(settings);
    let mut peer = house.hello().await;
    assert!(
        peer.mail(&["a@small.example", "a@one.tree.example"], "A: b\r\n".repeat(100))
            .await
            .starts_with("250")
    );
    peer.talk(&[
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<a@small.example>", "452 4.2.2"),
        ("RCPT TO:<a@example.org>", "250"),
        ("RSET", "250"),
    ])
    .await;
    let fresh = House::new(ServerSettings { domains: house_domains(), ..crate::house::settings() });
    let mut peer = fresh.hello().await;
    peer.talk(&[
        ("MAIL FROM:<> SIZE=501", "250"),
        ("RCPT TO:<a@tree.example>", "452 4.2.2"),
        ("RSET", "250"),
    ])
    .await;
    peer.talk(&[("MAIL FROM:<> SIZE=400", "250"), ("RCPT TO:<a@tree.example>", "250")]).await;
}

fn house_domains() -> DomainMap<HeldDomain> {
    let mut domains = DomainMap::default();
    let held = HeldDomain { quota: Some(500), subdomains: true, ..HeldDomain::default() };
    domains.insert(domain("tree.example"), true, held);
    domains
}

#[tokio::test]
async fn queues_below_a_domain_have_an_end() {
    let limits = ServerLimits { max_subdomains: 3, ..settings().limits };
    let house = House::new(ServerSettings { limits, ..settings() });
    let mut peer = house.hello().await;
    for name in ["a", "b", "c", "a"] {
        assert!(peer.mail(&[&format!("x@{name}.example.net")], CONTENT).await.starts_with("250"));
    }
    peer.talk(&[
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<x@d.example.net>", "452 4.2.2"),
        ("RCPT TO:<x@b.example.net>", "250"),
        ("RCPT TO:<x@example.net>", "250"),
        ("RCPT TO:<x@example.org>", "250"),
    ])
    .await;
}

// [5321-4.5.3.1.10]
#[tokio::test]
async fn recipients_have_an_end() {
    let limits = ServerLimits { recipients: 100, ..settings().limits };
    let house = House::new(ServerSettings { limits, ..settings() });
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250")]).await;
    for number in 0..100 {
        peer.talk(&[(&format!("RCPT TO:<a{number}@example.org>"), "250")]).await;
    }
    peer.talk(&[("RCPT TO:<b@example.org>", "452 4.5.3"), ("DATA", "354")]).await;
    assert!(peer.ask("A: b\r\n.\r\n").await.starts_with("250"));
    assert_eq!(house.entries().await[0].recipients.len(), 100);
}

#[tokio::test]
async fn no_room_is_put_off_never_refused_for_good() {
    let house = House::build(settings(), LowWater { percent: 0, octets: u64::MAX });
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "452 4.3.1")]).await;
}

#[tokio::test]
async fn a_store_that_fails_is_put_off_never_answered_250() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "250"), ("DATA", "354")]).await;
    house.store.close().await;
    peer.send(CONTENT).await;
    let reply = peer.ask(".\r\n").await;
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "451 4.3.0")]).await;
}

// [5321-6.3]
#[tokio::test]
async fn a_message_that_goes_in_circles_is_refused() {
    let limits = ServerLimits { hop_limit: 30, ..settings().limits };
    let house = House::new(ServerSettings { limits, ..settings() });
    let mut peer = house.hello().await;
    let hops = |count: usize| "Received: from a by b; Sun, 22 Nov 2026 01:53:49 +0000\r\n".repeat(count);
    let reply = peer.mail(&["a@example.org"], format!("{}\r\ntext\r\n", hops(31))).await;
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    // Found out while more than one buffer of it is still to come.
    let reply =
        peer.mail(&["a@example.org"], format!("{}\r\n{}", hops(31), "text\r\n".repeat(100_000))).await;
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    assert!(house.entries().await.is_empty());
    let body = format!("{}\r\n{}", hops(30), hops(30));
    assert!(peer.mail(&["a@example.org"], body).await.starts_with("250"));
}
