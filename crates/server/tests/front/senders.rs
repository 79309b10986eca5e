//! What is found out about senders, and what of it a message carries.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use restante_queue::LowWater;
use restante_senders::{Lookup, LookupError, Senders};
use restante_server::{HeldDomain, ServerSettings};
use restante_types::Vouched;

use crate::house::{House, domain, settings};
use crate::peer::Peer;

/// TXT records by name; other names exist without any, and `silent.example` never answers.
struct Script(HashMap<&'static str, &'static str>);

#[async_trait]
impl Lookup for Script {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, LookupError> {
        if name == "silent.example" {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        self.0.get(name).map(|record| vec![record.as_bytes().to_vec()]).ok_or(LookupError::Nothing)
    }
    async fn mx(&self, _: &str) -> Result<Vec<(u16, String)>, LookupError> {
        Err(LookupError::Nothing)
    }
    async fn a(&self, _: &str) -> Result<Vec<Ipv4Addr>, LookupError> {
        Err(LookupError::Nothing)
    }
    async fn aaaa(&self, _: &str) -> Result<Vec<Ipv6Addr>, LookupError> {
        Err(LookupError::Nothing)
    }
    async fn ptr(&self, _: IpAddr) -> Result<Vec<String>, LookupError> {
        Err(LookupError::Nothing)
    }
}

/// example.org wants the results, example.com wants to know who may have notices, example.net wants neither.
fn wanting() -> ServerSettings {
    let mut settings = settings();
    let results = HeldDomain { authentication_results: true, vouched: true, ..HeldDomain::default() };
    settings.domains.insert(domain("example.org"), false, results);
    let vouched = HeldDomain { vouched: true, ..HeldDomain::default() };
    settings.domains.insert(domain("example.com"), false, vouched);
    settings
}

fn house() -> House {
    let script = HashMap::from([
        ("client.example", "v=spf1 ip4:127.0.0.1 -all"),
        ("elsewhere.example", "v=spf1 ip4:192.0.2.1 -all"),
        (
            "brisbane._domainkey.football.example.com",
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ),
    ]);
    let senders = Some(Arc::new(Senders::with_lookup(Arc::new(Script(script)))));
    House::with_senders(wanting(), LowWater { percent: 0, octets: 0 }, senders)
}

async fn send(peer: &mut Peer, sender: &str, recipients: &[&str], content: &str) {
    peer.talk(&[(&format!("MAIL FROM:<{sender}>"), "250")]).await;
    for recipient in recipients {
        peer.talk(&[(&format!("RCPT TO:<{recipient}>"), "250")]).await;
    }
    peer.talk(&[("DATA", "354")]).await;
    let queued = peer.ask(format!("{content}.\r\n")).await;
    assert!(queued.starts_with("250 2.0.0"), "{queued}");
}

/// Sends one message and returns who vouches for it, and its content, which the store counts in full.
async fn kept(sender: &str, recipients: &[&str], content: &str) -> (Vouched, String) {
    let house = house();
    send(&mut house.hello().await, sender, recipients, content).await;
    let entry = &house.entries().await[0];
    let kept = house.content(entry).await;
    assert_eq!(entry.size, kept.len() as u64);
    (entry.vouched, String::from_utf8(kept).unwrap())
}

const FORGED: &str =
    "Authentication-Results: MX2.example (trust me) 1;\r\n\tspf=pass smtp.mailfrom=client.example\r\n";
const FOREIGN: &str = "Authentication-Results: mx1.example; spf=none\r\n";

// [8601-4.1] [8601-5]
#[tokio::test]
async fn results_stand_on_top_and_forged_ones_are_gone() {
    let content = format!("{FORGED}Subject: x\r\n{FOREIGN}{FORGED}\r\n{FORGED}");
    let (vouched, kept) = kept("a@client.example", &["a@example.org"], &content).await;
    assert_eq!(vouched, Vouched::Spf);
    let (head, rest) = kept.split_once("Received: ").unwrap();
    assert_eq!(head, "Authentication-Results: mx2.example;\r\n\tspf=pass smtp.mailfrom=client.example\r\n");
    assert!(rest.ends_with(&format!("Subject: x\r\n{FOREIGN}\r\n{FORGED}")), "{rest}");
    assert_eq!(kept.matches("mx1.example").count(), 1);
}

// [8601-5]
#[tokio::test]
async fn forged_results_go_whoever_wants_any() {
    let content = format!("Subject: x\r\n{FORGED}\r\nbody\r\n");
    for (recipient, vouched) in [("a@example.com", Vouched::No), ("a@example.net", Vouched::Unchecked)] {
        let (found, kept) = kept("a@elsewhere.example", &[recipient], &content).await;
        assert_eq!(found, vouched, "{recipient}");
        assert!(kept.starts_with("Received: ") && kept.ends_with("Subject: x\r\n\r\nbody\r\n"), "{kept}");
        assert!(!kept.contains("Authentication-Results"), "{kept}");
    }
}

#[tokio::test]
async fn one_content_for_several_domains_carries_what_one_of_them_wants() {
    let house = house();
    let recipients = ["a@example.net", "b@example.org"];
    send(&mut house.hello().await, "a@elsewhere.example", &recipients, "Subject: x\r\n\r\n").await;
    let entries = house.entries().await;
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        let kept = String::from_utf8(house.content(entry).await).unwrap();
        assert!(kept.starts_with("Authentication-Results: mx2.example;\r\n\tspf=fail"), "{kept}");
        assert_eq!(entry.vouched, Vouched::No);
    }
}

// Signed mail (RFC 8463 A), whose lines come with bare ends in one case.
#[tokio::test]
async fn a_signature_vouches_for_what_arrived() {
    let lines = include_str!("../../../senders/src/check/tests/rfc8463.eml");
    for content in [lines.replace('\n', "\r\n"), lines.to_owned()] {
        let signed = format!("{FORGED}{content}\r\n");
        let (vouched, kept) = kept("joe@football.example.com", &["a@example.org"], &signed).await;
        assert_eq!(vouched, Vouched::Dkim);
        assert!(
            kept.starts_with(
                "Authentication-Results: mx2.example;\r\n\tspf=none smtp.mailfrom=football.example.com;\r\n\t\
                 dkim=pass header.d=football.example.com header.s=brisbane header.b=\"/gCrinpc\";\r\n\t\
                 dkim=permerror header.d=football.example.com header.s=test header.b=F45dVWDf\r\nReceived: "
            ),
            "{kept}"
        );
    }
}

#[tokio::test]
async fn nothing_is_found_about_nobody_but_its_host() {
    let (vouched, found) = kept("", &["a@example.org"], "Subject: x\r\n\r\n").await;
    assert_eq!(vouched, Vouched::Unchecked);
    assert!(
        found.starts_with("Authentication-Results: mx2.example;\r\n\tspf=pass smtp.helo=client.example\r\n"),
        "{found}"
    );
    let (_, none) = kept("a@[192.0.2.1]", &["a@example.org"], "Subject: x\r\n\r\n").await;
    assert!(none.starts_with("Authentication-Results: mx2.example; none\r\nReceived: "), "{none}");
}

#[tokio::test]
async fn what_is_said_in_the_envelope_forges_nothing() {
    for sender in ["\"a\\\";\\\\spf=pass\"@elsewhere.example", "x;spf=pass@elsewhere.example"] {
        let house = house();
        let mut peer = house.connect().await;
        let hello = peer.ask("EHLO x;spf=pass\r\n").await;
        assert!(hello.starts_with("250"), "{hello}");
        let answer = peer.ask(format!("MAIL FROM:<{sender}>\r\n")).await;
        if !answer.starts_with("250") {
            continue;
        }
        peer.talk(&[("RCPT TO:<a@example.org>", "250"), ("DATA", "354")]).await;
        assert!(peer.ask("Subject: x\r\n\r\n.\r\n").await.starts_with("250"));
        let kept = String::from_utf8(house.content(&house.entries().await[0]).await).unwrap();
        assert!(kept.starts_with("Authentication-Results: mx2.example;\r\n\tspf=fail smtp.mailfrom=elsewhere.example\r\nReceived: "), "{kept}");
    }
}

/// A DNS that does not answer costs a few seconds and no mail.
#[tokio::test]
async fn a_silent_dns_refuses_nothing() {
    let (vouched, kept) = kept("a@silent.example", &["a@example.org"], "Subject: x\r\n\r\n").await;
    assert_eq!(vouched, Vouched::No);
    assert!(kept.contains("spf=temperror smtp.mailfrom=silent.example"), "{kept}");
}

/// Large content goes by in pieces and to a file; what is on top is part of it there as well.
#[tokio::test]
async fn large_content_is_watched_like_small() {
    let body = "some text that is long enough to be folded\r\n".repeat(15_000);
    let content = format!("{FORGED}Subject: x\r\n\r\n{body}");
    let (vouched, kept) = kept("a@client.example", &["a@example.org"], &content).await;
    assert_eq!(vouched, Vouched::Spf);
    assert!(kept.starts_with("Authentication-Results: mx2.example;\r\n\tspf=pass"));
    assert!(kept.ends_with(&format!("Subject: x\r\n\r\n{body}")));
    assert_eq!(kept.matches("Authentication-Results").count(), 1);
}
