use std::sync::atomic::Ordering;
use std::time::Duration;

use mail_auth::dkim::Canonicalization::{Relaxed, Simple};
use restante_types::ClientFacts;

use super::*;
use crate::limits::{CIRCUIT_FAILURES, HEADER_KEPT};
use crate::senders::Question;
use crate::testing::{Signing, Zone, check, client, path, senders};

const MESSAGE: &str = "From: Ada <ada@example.org>\r\nTo: b@example.net\r\nSubject:  a  b\r\n c\r\nX: y\r\n\r\nHello  \t world \r\n\r\nBye\r\n\r\n\r\n";

/// Only this DNS, and a client that SPF does not let pass.
const FAILING: &str = "example.org TXT v=spf1 -all";

async fn findings(zone: Zone, sender: &str, results: bool, message: &str) -> Findings {
    let (senders, _) = senders(zone);
    let mut check = check(&senders, sender, results).unwrap();
    message.as_bytes().chunks(37).for_each(|piece| check.content(piece));
    check.finish().await
}

/// What comes of a message, signed for `domain`, from a sender that only DKIM can vouch for.
async fn signed(signing: &Signing, sender: &str, domain: &str, message: &str) -> (Vouched, Vec<DkimResult>) {
    let mut zone = Zone::new(FAILING);
    zone.add(&format!("key._domainkey.{domain}"), "TXT", &signing.record);
    let found = findings(zone, sender, true, message).await;
    (found.vouched, found.dkim.iter().map(|finding| finding.result).collect())
}

#[tokio::test]
async fn spf_vouches() {
    let pass = "example.org TXT v=spf1 ip4:192.0.2.1 -all";
    let found = findings(Zone::new(pass), "a@example.org", false, MESSAGE).await;
    assert_eq!((found.vouched, found.wanted), (Vouched::Spf, false));
    for (zone, result) in [
        (FAILING, SpfResult::Fail),
        ("example.org TXT v=spf1 ~all", SpfResult::SoftFail),
        ("example.org TXT v=spf1 ?all", SpfResult::Neutral),
        ("", SpfResult::None),
        ("example.org !", SpfResult::TempError),
        ("example.org TXT v=spf1 x", SpfResult::PermError),
    ] {
        let found = findings(Zone::new(zone), "a@example.org", false, MESSAGE).await;
        assert_eq!((found.vouched, found.spf.unwrap().result), (Vouched::No, result), "{zone}");
    }
}

// [6376-3.4] [6376-6.1.3] Signed by the mail-auth crate, whose canonical forms are its own.
#[tokio::test]
async fn every_kind_of_signature_passes_and_vouches() {
    for signing in [Signing::ed25519(), Signing::rsa(rcgen::RsaKeySize::_2048)] {
        for form in [Simple, Relaxed] {
            let message = signing.sign("example.org", form, MESSAGE);
            for sender in ["a@example.org", "a@bounces.mail.example.org"] {
                let (vouched, results) = signed(&signing, sender, "example.org", &message).await;
                assert_eq!((vouched, results), (Vouched::Dkim, vec![DkimResult::Pass]), "{form:?} {sender}");
            }
            for (of, with) in [("Hello", "Hullo"), ("Ada", "Eve"), ("Subject:  a", "Subject:  z")] {
                let other = message.replacen(of, with, 1);
                let (vouched, results) = signed(&signing, "a@example.org", "example.org", &other).await;
                assert_eq!((vouched, results), (Vouched::No, vec![DkimResult::Fail]), "{form:?} {of}");
            }
            let added = message.replacen("X: y", "X: z", 1);
            let (vouched, _) = signed(&signing, "a@example.org", "example.org", &added).await;
            assert_eq!(vouched, Vouched::Dkim, "what is not signed may change");
        }
    }
}

// [6376-5.4.2] [6376-3.7] The example of RFC 8463 A, whose `h=` names fields twice.
#[tokio::test]
async fn the_example_of_rfc_8463_passes() {
    let mut zone = Zone::default();
    zone.add(
        "brisbane._domainkey.football.example.com",
        "TXT",
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    );
    zone.add(
        "test._domainkey.football.example.com",
        "TXT",
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR\
         iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT\
         5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
    );
    let message = include_str!("tests/rfc8463.eml").replace('\n', "\r\n");
    let found = findings(zone, "joe@football.example.com", true, &message).await;
    let results: Vec<_> = found.dkim.iter().map(|finding| finding.result).collect();
    assert_eq!((found.vouched, results), (Vouched::Dkim, vec![DkimResult::Pass; 2]));
    assert_eq!(found.dkim[0].start, "/gCrinpc");
    let other = message.replace("hungry", "thirsty");
    assert_eq!(
        findings(Zone::default(), "joe@football.example.com", true, &other).await.vouched,
        Vouched::No
    );
}

#[tokio::test]
async fn a_signature_of_somebody_else_vouches_for_nobody() {
    let signing = Signing::ed25519();
    for (domain, sender) in [
        ("list.example", "a@example.org"),
        ("mail.example.org", "a@example.org"),
        ("evil.co.uk", "a@victim.co.uk"),
    ] {
        let message = signing.sign(domain, Relaxed, MESSAGE);
        let (vouched, results) = signed(&signing, sender, domain, &message).await;
        assert_eq!((vouched, results), (Vouched::No, vec![DkimResult::Pass]), "{domain} {sender}");
        // Where only vouching counts its key is not even asked for.
        let (senders, zone) = senders(Zone::new(FAILING));
        let mut check = check(&senders, sender, false).unwrap();
        check.content(message.as_bytes());
        assert_eq!(check.finish().await.vouched, Vouched::No);
        assert!(!zone.log.lock().unwrap().iter().any(|question| question.contains("_domainkey")));
    }
}

/// One message that a provider signed for one of its users must not make notices to all the others.
#[tokio::test]
async fn a_signature_vouches_for_one_sender_only() {
    let signing = Signing::ed25519();
    let message = signing.sign("example.org", Relaxed, MESSAGE);
    let mut zone = Zone::new(FAILING);
    zone.add("key._domainkey.example.org", "TXT", &signing.record);
    let (senders, _) = senders(zone);
    let vouched = async |sender: &str, message: &str| {
        let mut check = check(&senders, sender, false).unwrap();
        check.content(message.as_bytes());
        check.finish().await.vouched
    };
    assert_eq!(vouched("ada@example.org", &message).await, Vouched::Dkim);
    for victim in ["bob@example.org", "ADA@example.org", "eve@bounces.example.org"] {
        assert_eq!(vouched(victim, &message).await, Vouched::No, "{victim}");
    }
    assert_eq!(vouched("ada@example.org", &message).await, Vouched::Dkim, "for who was first it still does");
    // The same signature, written otherwise.
    let (head, tail) = message.split_once("b=").unwrap();
    let (first, rest) = tail.split_at(4);
    let folded = format!("{head}b={first}\r\n\t{rest}");
    assert_eq!(vouched("bob@example.org", &folded).await, Vouched::No);
    assert_eq!(vouched("ada@example.org", &folded).await, Vouched::Dkim);
    let another = signing.sign("example.org", Relaxed, &MESSAGE.replace("Hello", "Hallo"));
    assert_eq!(vouched("bob@example.org", &another).await, Vouched::Dkim);
}

// [6376-6.1.1] [6376-5.4] [6376-8.2] [6376-3.5-i] [6376-3.5-x] [8301-3.1]
#[tokio::test]
async fn a_signature_that_proves_too_little_does_not_vouch() {
    use DkimResult::{Fail, Pass, PermError, Policy};
    let signing = Signing::ed25519();
    let sign = |with: fn(crate::testing::Signer) -> crate::testing::Signer| {
        signing.sign_with("example.org", MESSAGE, |signer| with(signer.form(Relaxed)))
    };
    let plain = sign(|signer| signer);
    let with = |from: &str, to: &str| plain.replacen(from, to, 1);
    for (message, result) in [
        (sign(|signer| signer.fields(&["To", "Subject"])), PermError),
        (sign(|signer| signer.length()), Policy),
        (sign(|signer| signer.identity("x@mail.example.org")), Pass),
        (sign(|signer| signer.identity("x@example.org")), Pass),
        (sign(|signer| signer.identity("x@example.net")), PermError),
        (sign(|signer| signer.identity("x@badexample.org")), PermError),
        (with("v=1;", "v=1; x=1;"), Policy),
        (with("v=1;", "v=2;"), PermError),
        (with("v=1;", ""), PermError),
        (with("v=1;", "v=1; v=1;"), PermError),
        (with("v=1;", "v=1; d=other.example;"), PermError),
        (with("d=example.org", "d=-"), PermError),
        (with("a=ed25519-sha256", "a=rsa-sha1"), Policy),
        (with("a=ed25519-sha256", "a=rsa-sha256"), PermError),
        (with("v=1;", "v=1; q=dns/txt;"), Fail),
    ] {
        let (vouched, results) = signed(&signing, "a@example.org", "example.org", &message).await;
        let expected = if result == Pass { Vouched::Dkim } else { Vouched::No };
        assert_eq!((vouched, results), (expected, vec![result]), "{message}");
    }
}

// [6376-3.6.1] [6376-6.1.2] [6376-3.6.2.2]
#[tokio::test]
async fn the_key_decides() {
    use DkimResult::{Fail, Neutral, Pass, PermError, TempError};
    let signing = Signing::ed25519();
    let key = signing.record.rsplit_once("p=").unwrap().1;
    let message = signing.sign_with("example.org", MESSAGE, |signer| signer.identity("a@mail.example.org"));
    let other = Signing::ed25519().record;
    let name = "key._domainkey.example.org";
    for (records, result) in [
        (vec![format!("k=ed25519; p={key}")], Pass),
        (vec![format!("v=DKIM1; k=ed25519; h=sha1:sha256; s=email; t=; p={key}; n=note")], Pass),
        (vec![format!("v=DKIM1; k=ed25519; h=sha1; p={key}")], PermError),
        (vec![format!("v=DKIM1; k=ed25519; s=tlsrpt; p={key}")], PermError),
        (vec![format!("v=DKIM1; k=ed25519; t=s; p={key}")], PermError),
        (vec![format!("v=DKIM1; k=ed25519; t=y; p={key}")], Neutral),
        (vec![format!("v=DKIM2; k=ed25519; p={key}")], PermError),
        (vec![format!("k=ed25519; v=DKIM1; p={key}")], PermError),
        (vec![format!("v=DKIM1; p={key}")], PermError),
        (vec!["v=DKIM1; k=ed25519; p=".to_owned()], PermError),
        (vec!["v=DKIM1; k=ed25519; p=!".to_owned()], PermError),
        (vec!["nonsense".to_owned()], PermError),
        (vec![format!("v=DKIM1; k=ed25519; p={key}; n={}", "x".repeat(9000))], PermError),
        (vec![other.clone()], Fail),
        (vec![signing.record.clone(), other.clone()], PermError),
        (vec![], PermError),
    ] {
        let mut zone = Zone::new(FAILING);
        records.iter().for_each(|record| zone.add(name, "TXT", record));
        let found = findings(zone, "a@example.org", true, &message).await;
        assert_eq!(found.dkim[0].result, result, "{records:?}");
    }
    for trouble in ["!", "?"] {
        let mut zone = Zone::new(FAILING);
        zone.add(name, trouble, "");
        let found = findings(zone, "a@example.org", true, &message).await;
        assert_eq!((found.vouched, found.dkim[0].result), (Vouched::No, TempError));
    }
}

// [6376-6.1]
#[tokio::test]
async fn a_thousand_signatures_cost_as_much_as_five() {
    let signing = Signing::ed25519();
    let one = signing.sign("example.org", Relaxed, MESSAGE);
    let header = one.strip_suffix(MESSAGE).unwrap();
    let mut zone = Zone::new(FAILING);
    zone.add("key._domainkey.example.org", "TXT", &signing.record);
    let (senders, zone) = senders(zone);
    let message =
        header.replace("example.org", "other.example").repeat(30) + header + &header.repeat(300) + MESSAGE;
    let mut check = check(&senders, "a@example.org", true).unwrap();
    check.content(message.as_bytes());
    let found = check.finish().await;
    let results: Vec<_> = found.dkim.iter().map(|finding| finding.result).collect();
    assert_eq!(
        (found.vouched, results),
        (Vouched::Dkim, vec![DkimResult::Pass; 5]),
        "those that count come first"
    );
    assert_eq!(zone.asked.load(Ordering::SeqCst), 1 + 5);
}

#[tokio::test]
async fn a_header_section_without_end_is_not_kept() {
    let signing = Signing::ed25519();
    let signed = signing.sign("example.org", Relaxed, MESSAGE);
    let mut zone = Zone::new(FAILING);
    zone.add("key._domainkey.example.org", "TXT", &signing.record);
    let (senders, _) = senders(zone);
    let mut check = check(&senders, "a@example.org", true).unwrap();
    for _ in 0..HEADER_KEPT / 8 {
        check.content(b"X: y z\r\n");
    }
    check.content(signed.as_bytes());
    let found = check.finish().await;
    assert_eq!((found.vouched, found.dkim), (Vouched::No, Vec::new()));
}

#[tokio::test]
async fn a_message_that_is_all_header_is_looked_at() {
    let signing = Signing::ed25519();
    let header = "From: ada@example.org\r\nTo: b@example.net\r\nSubject: x\r\n";
    let message = signing.sign("example.org", Relaxed, &format!("{header}\r\n"));
    let message = message.strip_suffix("\r\n").unwrap();
    let (vouched, results) = signed(&signing, "a@example.org", "example.org", message).await;
    assert_eq!((vouched, results), (Vouched::Dkim, vec![DkimResult::Pass]));
}

// [7208-2.4] [7208-2.3]
#[tokio::test]
async fn who_is_asked_about() {
    let zone = "mail.example.net TXT v=spf1 ip4:192.0.2.1 -all\nexample.org TXT v=spf1 +all";
    let (senders, asked) = senders(Zone::new(zone));
    let plain = client("192.0.2.1", "mail.example.net");
    let begin = |client: &ClientFacts, sender: &str, vouched, results| {
        senders.begin(Question { client, sender: &path(sender), vouched, results })
    };
    assert!(begin(&plain, "", true, false).is_none(), "nobody is told of what comes from nobody");
    assert!(begin(&plain, "a@example.org", false, false).is_none(), "nobody wants to know");
    let found = begin(&plain, "", true, true).unwrap().finish().await;
    let identity = SpfIdentity::Helo("mail.example.net".parse().unwrap());
    assert_eq!(found.vouched, Vouched::Unchecked);
    assert_eq!(found.spf, Some(SpfFinding { result: SpfResult::Pass, identity }));
    for helo in ["localhost", "[192.0.2.1]", "", "a b"] {
        let client = client("192.0.2.1", helo);
        let found = begin(&client, "", true, true).unwrap().finish().await;
        assert_eq!(found.spf, None, "{helo}");
    }
    let known = ClientFacts { identity: Some("ada".into()), ..plain.clone() };
    let before = asked.asked.load(Ordering::SeqCst);
    let found = begin(&known, "a@example.org", true, true).unwrap().finish().await;
    assert_eq!((found.vouched, found.spf), (Vouched::No, None), "who proved who it is sends from anywhere");
    assert_eq!(asked.asked.load(Ordering::SeqCst), before);
    let found = begin(&plain, "a@[192.0.2.1]", true, true).unwrap().finish().await;
    assert_eq!((found.vouched, found.spf), (Vouched::No, None));
}

#[tokio::test]
async fn a_result_is_remembered_unless_it_is_one_senders_own() {
    let zone = "example.org TXT v=spf1 +all\nown.example TXT v=spf1 exists:%{l}.own.example -all\na.own.example A 127.0.0.2";
    let (senders, zone) = senders(Zone::new(zone));
    let ask = async |sender: &str| {
        let vouched = check(&senders, sender, false).unwrap().finish().await.vouched;
        (vouched, zone.asked.swap(0, Ordering::SeqCst))
    };
    assert_eq!(ask("a@example.org").await, (Vouched::Spf, 1));
    assert_eq!(ask("b@example.org").await, (Vouched::Spf, 0));
    assert_eq!(ask("a@own.example").await, (Vouched::Spf, 2));
    assert_eq!(ask("b@own.example").await, (Vouched::No, 2));
    senders.reload(&crate::lookup::Dns::default());
    assert_eq!(ask("b@example.org").await, (Vouched::Spf, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dns_that_hangs_holds_nobody_for_long() {
    let signing = Signing::ed25519();
    let message = signing.sign("example.org", Relaxed, MESSAGE);
    let mut zone = Zone::default();
    zone.add("example.org", "HANG", "");
    zone.add("key._domainkey.example.org", "HANG", "");
    let (senders, zone) = senders(zone);
    let start = Instant::now();
    let mut slow = check(&senders, "a@example.org", true).unwrap();
    slow.content(message.as_bytes());
    let found = slow.finish().await;
    assert_eq!(start.elapsed().as_secs(), WAIT_AT_END.as_secs());
    assert_eq!(found.vouched, Vouched::No);
    assert_eq!(found.spf.unwrap().result, SpfResult::TempError);
    assert_eq!(found.dkim[0].result, DkimResult::TempError);
    // [7208-4.6.4-time] The evaluation goes on to its own end, and what came of it is remembered.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = zone.asked.load(Ordering::SeqCst);
    let (again, start) = (check(&senders, "a@example.org", false).unwrap(), Instant::now());
    assert_eq!((again.finish().await.vouched, start.elapsed()), (Vouched::No, Duration::ZERO));
    assert_eq!(zone.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn a_dead_dns_is_left_alone() {
    let mut zone = Zone::default();
    (0..100).for_each(|n| zone.add(&format!("d{n}.example"), "?", ""));
    let (senders, zone) = senders(zone);
    for n in 0..100 {
        let found = check(&senders, &format!("a@d{n}.example"), false).unwrap().finish().await;
        assert_eq!((found.vouched, found.spf.unwrap().result), (Vouched::No, SpfResult::TempError));
    }
    assert_eq!(zone.asked.load(Ordering::SeqCst), CIRCUIT_FAILURES as usize);
}
