//! What the operator is told that a client would hear is what a client hears.

use restante_queue::{HoldKind, HoldOrder, LowWater, QueueStore};
use restante_server::{Explanation, HeldDomain, Question, ServerLimits, ServerSettings};
use restante_types::{DomainMap, ForwardPath};

use crate::house::{House, domain, settings};

async fn explain(house: &House, recipient: &str, sender: &str) -> Explanation {
    let path = match recipient {
        "postmaster" => ForwardPath::Postmaster,
        address => ForwardPath::Mailbox(address.parse().unwrap()),
    };
    let sender = match sender {
        "" => restante_types::ReversePath::Null,
        address => restante_types::ReversePath::Mailbox(address.parse().unwrap()),
    };
    let client = "192.0.2.7".parse().unwrap();
    house.server.explain(Question { client, helo: "x.example".to_owned(), sender, recipient: path }).await
}

/// Asks both ways and compares; returns rule and words.
async fn compared(house: &House, recipient: &str) -> (&'static str, String) {
    let told = explain(house, recipient, "").await;
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250")]).await;
    let heard = peer.ask(&format!("RCPT TO:<{recipient}>\r\n")).await;
    assert_eq!(told.reply.to_string(), heard.trim_end(), "{recipient}");
    assert_eq!(told.command, "rcpt");
    (told.rule, told.why)
}

#[tokio::test]
async fn explaining_says_what_a_client_hears() {
    let mut lost = DomainMap::default();
    lost.insert(domain("lost.example"), false, ());
    let limits = ServerLimits { max_subdomains: 1, ..settings().limits };
    let mut settings = ServerSettings { lost, limits, ..settings() };
    let small = HeldDomain { quota: Some(10), ..HeldDomain::default() };
    settings.domains.insert(domain("small.example"), false, small);
    let house = House::new(settings);
    let mut peer = house.hello().await;
    assert!(peer.mail(&["a@small.example", "a@one.example.net"], "A: b\r\n").await.starts_with("250"));
    let before = house.entries().await.len();
    for (recipient, rule, words) in [
        ("a@example.org", "held", "mail is held for example.org"),
        ("a@one.example.net", "held", "one.example.net, which is below example.net"),
        ("postmaster", "held", "mail is held for example.org"),
        ("a@elsewhere.example", "not-held", "no [[domain]] covers it"),
        ("a@[192.0.2.1]", "literal", "not for addresses of hosts"),
        ("a%b.example@example.org", "routes-onward", "names another host"),
        ("a@lost.example", "lost", "was configured at the last good start"),
        ("a@small.example", "quota", "of 10 octets, its quota"),
        ("a@two.example.net", "max-subdomains", "1 names below example.net"),
    ] {
        let (told, why) = compared(&house, recipient).await;
        assert_eq!(told, rule, "{recipient}: {why}");
        assert!(why.contains(words), "{recipient}: {why}");
    }
    let utf8 = explain(&house, "a@example.org", "\u{fc}@client.example").await;
    assert_eq!((utf8.rule, utf8.reply.code.get()), ("smtputf8", 553));
    assert_eq!(house.entries().await.len(), before, "nothing is stored");
}

#[tokio::test]
async fn explaining_takes_no_place() {
    let limits = ServerLimits { max_subdomains: 1, ..settings().limits };
    let house = House::new(ServerSettings { limits, ..settings() });
    for name in ["a", "b", "c"] {
        assert_eq!(explain(&house, &format!("x@{name}.example.net"), "").await.rule, "held");
    }
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<x@d.example.net>", "250")]).await;
    assert_eq!(explain(&house, "x@e.example.net", "").await.rule, "max-subdomains");
}

#[tokio::test]
async fn the_disk_and_a_stop_are_told() {
    let full = House::build(settings(), LowWater { percent: 0, octets: u64::MAX });
    let (rule, why) = compared(&full, "a@example.org").await;
    assert_eq!(rule, "disk");
    assert!(why.contains("disk-low-water"), "{why}");
    let house = House::new(settings());
    let order = HoldOrder::new(HoldKind::Operator, "moving\u{7}");
    house.store.hold_domain(&domain("example.org"), order).await.unwrap();
    let (rule, why) = compared(&house, "a@example.org").await;
    assert_eq!(rule, "held");
    assert!(why.contains("stopped (moving\\u{7})"), "{why}");
}
