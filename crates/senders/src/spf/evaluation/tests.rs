use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::testing::Zone;

async fn ask(zone: &str, address: &str, sender: &str) -> (Evaluated, Arc<Zone>) {
    let zone = Arc::new(Zone::new(zone));
    let dns = Circuit::new(zone.clone());
    let (local, domain) = sender.split_once('@').unwrap();
    let asked = Asked {
        address: address.parse().unwrap(),
        helo: "mail.example.net".into(),
        local: local.into(),
        domain: domain.parse().unwrap(),
    };
    (evaluate(&dns, &asked).await, zone)
}

async fn result(zone: &str, address: &str) -> SpfResult {
    ask(zone, address, "a@example.org").await.0.result
}

const FOUR: &str = "192.0.2.1";
const SIX: &str = "2001:db8::1";

/// One record for example.org.
async fn record(record: &str, address: &str) -> SpfResult {
    let others = "example.org A 192.0.2.1
                  example.org AAAA 2001:db8::1
                  example.org MX mx1.example.org
                  example.org MX mx2.example.org
                  mx1.example.org A 198.51.100.1
                  mx2.example.org A 192.0.2.7
                  mx2.example.org AAAA 2001:db8::7
                  pass.example TXT v=spf1 +all
                  fail.example TXT v=spf1 -all
                  neutral.example TXT v=spf1 a:elsewhere.example
                  elsewhere.example A 203.0.113.1
                  broken.example !
                  silent.example ?
                  bad.example TXT v=spf1 wrong:x
                  192.0.2.1 PTR client.example.org.
                  192.0.2.1 PTR liar.example.com.
                  client.example.org A 192.0.2.1
                  liar.example.com A 203.0.113.9";
    result(&format!("{others}\nexample.org TXT v=spf1 {record}"), address).await
}

// [7208-2.6] [7208-5.4] [7208-5.5] [7208-5.7]
#[tokio::test]
async fn mechanisms_match_as_the_rfc_says() {
    use SpfResult::{Fail, Neutral, Pass, SoftFail};
    for (text, address, expected) in [
        ("ip4:192.0.2.0/24 -all", FOUR, Pass),
        ("ip4:192.0.2.0/24 -all", SIX, Fail),
        ("ip4:192.0.2.2 ~all", FOUR, SoftFail),
        ("ip4:0.0.0.0/0", FOUR, Pass),
        ("ip6:2001:db8::/32 -all", SIX, Pass),
        ("ip6:2001:db8::/32 -all", FOUR, Fail),
        ("?ip4:192.0.2.1 -all", FOUR, Neutral),
        ("", FOUR, Neutral),
        ("a -all", FOUR, Pass),
        ("a -all", SIX, Pass),
        ("a:elsewhere.example -all", FOUR, Fail),
        ("a:elsewhere.example/0 -all", FOUR, Pass),
        ("mx -all", FOUR, Fail),
        ("mx/24 -all", FOUR, Pass),
        ("mx//64 -all", SIX, Pass),
        ("exists:%{ir}.nothing.example -all", FOUR, Fail),
        ("exists:elsewhere.example -all", SIX, Pass),
        ("exists:mx2.%{d} -all", FOUR, Pass),
        ("ptr -all", FOUR, Pass),
        ("ptr:example.com -all", FOUR, Fail),
        ("ptr:ample.org -all", FOUR, Fail),
        ("-all +all", FOUR, Fail),
    ] {
        assert_eq!(record(text, address).await, expected, "{text} for {address}");
    }
}

// [7208-5.2] [7208-6.1]
#[tokio::test]
async fn include_and_redirect_keep_their_own_verdicts() {
    use SpfResult::{Fail, Neutral, Pass, PermError, SoftFail, TempError};
    for (text, expected) in [
        ("include:pass.example -all", Pass),
        ("?include:pass.example -all", Neutral),
        ("-include:pass.example +all", Fail),
        ("include:fail.example ~all", SoftFail),
        ("include:neutral.example ~all", SoftFail),
        ("include:nothing.example ~all", PermError),
        ("include:bad.example ~all", PermError),
        ("include:broken.example ~all", TempError),
        ("include:silent.example ~all", TempError),
        ("include:x ~all", PermError),
        ("redirect=fail.example", Fail),
        ("redirect=nothing.example", PermError),
        ("redirect=fail.example ip4:192.0.2.1", Pass),
        ("redirect=fail.example +all", Pass),
    ] {
        assert_eq!(record(text, FOUR).await, expected, "{text}");
    }
    // What an include within an include lets pass is judged by each on the way.
    let nested = |outer: &str| {
        format!(
            "example.org TXT v=spf1 {outer}include:middle.example ~all
             middle.example TXT v=spf1 include:inner.example -all
             inner.example TXT v=spf1 ip4:192.0.2.1 -all"
        )
    };
    assert_eq!(result(&nested(""), FOUR).await, Pass);
    assert_eq!(result(&nested("-"), FOUR).await, Fail);
    assert_eq!(result(&nested("?"), FOUR).await, Neutral);
    assert_eq!(result(&nested(""), "192.0.2.2").await, SoftFail);
    let inner = "example.org TXT v=spf1 include:middle.example ~all
                 middle.example TXT v=spf1 -include:inner.example
                 inner.example TXT v=spf1 +all";
    assert_eq!(result(inner, FOUR).await, SoftFail, "a fail within is no match");
}

// [7208-4.3] [7208-4.4] [7208-4.5]
#[tokio::test]
async fn no_record_trouble_and_two_records() {
    assert_eq!(result("example.org TXT hello", FOUR).await, SpfResult::None);
    assert_eq!(result("", FOUR).await, SpfResult::None);
    assert_eq!(result("example.org !", FOUR).await, SpfResult::TempError);
    assert_eq!(result("example.org ?", FOUR).await, SpfResult::TempError);
    let two = "example.org TXT v=spf1 +all\nexample.org TXT v=spf1 +all";
    assert_eq!(result(two, FOUR).await, SpfResult::PermError);
    let (evaluated, zone) = ask("localhost TXT v=spf1 +all", FOUR, "a@localhost").await;
    assert_eq!((evaluated.result, zone.asked.load(Ordering::SeqCst)), (SpfResult::None, 0));
    assert_eq!(record("a:broken.example +all", FOUR).await, SpfResult::TempError);
    assert_eq!(record("mx:silent.example +all", FOUR).await, SpfResult::TempError);
    assert_eq!(record("exists:broken.example +all", FOUR).await, SpfResult::TempError);
}

// [7208-4.6.4]
#[tokio::test]
async fn ten_terms_may_ask_and_no_more() {
    let terms = |count: usize| {
        let addresses: String = (0..count).map(|n| format!("a{n}.example A 203.0.113.1\n")).collect();
        let terms: String = (0..count).map(|n| format!(" a:a{n}.example")).collect();
        format!("{addresses}example.org TXT v=spf1{terms} +all")
    };
    assert_eq!(result(&terms(10), FOUR).await, SpfResult::Pass);
    let (evaluated, zone) = ask(&terms(11), FOUR, "a@example.org").await;
    assert_eq!((evaluated.result, zone.asked.load(Ordering::SeqCst)), (SpfResult::PermError, 11));
}

// [7208-4.6.4]
#[tokio::test]
async fn two_answers_may_be_empty_and_no_more() {
    assert_eq!(record("a:v1.example mx:v2.example +all", FOUR).await, SpfResult::Pass);
    assert_eq!(record("a:v1.example mx:v2.example exists:v3.example +all", FOUR).await, SpfResult::PermError);
}

// [7208-4.6.4]
#[tokio::test]
async fn hosts_of_one_term_are_bounded() {
    let hosts = |count: usize| {
        let hosts: String = (0..count)
            .map(|n| format!("example.org MX m{n}.example\nm{n}.example A 203.0.113.1\n"))
            .collect();
        format!("{hosts}example.org TXT v=spf1 mx +all")
    };
    assert_eq!(result(&hosts(10), FOUR).await, SpfResult::Pass);
    assert_eq!(result(&hosts(11), FOUR).await, SpfResult::PermError);
    let names: String = (0..50).map(|n| format!("192.0.2.1 PTR p{n}.example.org.\n")).collect();
    let names = format!("{names}p49.example.org A 192.0.2.1\nexample.org TXT v=spf1 ptr -all");
    let (evaluated, zone) = ask(&names, FOUR, "a@example.org").await;
    assert_eq!(evaluated.result, SpfResult::Fail, "names beyond the tenth are not looked at");
    assert_eq!(zone.asked.load(Ordering::SeqCst), 12);
}

// [7208-4.6.4]
#[tokio::test]
async fn loops_end() {
    for text in ["include:example.org", "redirect=example.org", "include:%{d} include:%{o}"] {
        let (evaluated, zone) = ask(&format!("example.org TXT v=spf1 {text}"), FOUR, "a@example.org").await;
        assert_eq!(evaluated.result, SpfResult::PermError, "{text}");
        assert!(zone.asked.load(Ordering::SeqCst) <= 11);
    }
    // A tree that doubles at each level.
    let tree: String = (0..40)
        .map(|n| format!("l{n}.example TXT v=spf1 include:l{}.example include:l{}.example\n", n + 1, n + 1))
        .collect();
    let (evaluated, zone) =
        ask(&format!("{tree}example.org TXT v=spf1 include:l0.example +all"), FOUR, "a@example.org").await;
    assert_eq!(evaluated.result, SpfResult::PermError);
    assert!(zone.asked.load(Ordering::SeqCst) <= 11);
}

// [7208-7.3]
#[tokio::test]
async fn bombs_of_macros_stay_small() {
    let bomb = format!("example.org TXT v=spf1 exists:{}example.org -all", "%{s}.%{l}.%{ir}.".repeat(1000));
    let local = "x".repeat(60);
    let (evaluated, zone) = ask(&bomb, SIX, &format!("{local}@example.org")).await;
    assert_eq!(evaluated.result, SpfResult::Fail);
    assert!(zone.log.lock().unwrap().iter().all(|question| question.len() <= 260));
}

// [7208-7.3-p]
#[tokio::test]
async fn a_clients_name_must_lead_back_to_it() {
    let zone = |address: &str| {
        format!(
            "192.0.2.1 PTR trusted.example.org.
             trusted.example.org A {address}
             trusted.example.org.ok.example A 127.0.0.2
             example.org TXT v=spf1 exists:%{{p}}.ok.example -all"
        )
    };
    assert_eq!(result(&zone("192.0.2.1"), FOUR).await, SpfResult::Pass);
    assert_eq!(result(&zone("203.0.113.1"), FOUR).await, SpfResult::Fail, "a name that anybody may claim");
}

#[tokio::test]
async fn what_depends_on_the_sender_alone_is_not_general() {
    for (text, general) in [
        ("ip4:192.0.2.1", true),
        ("exists:%{l}.%{d} -all", false),
        ("exists:%{s}.%{d} -all", false),
        ("exists:%{h}.%{d} -all", false),
        ("exists:%{o}.%{d}.%{ir} -all", true),
        ("ip4:192.0.2.1 exists:%{l}.%{d}", true),
    ] {
        let (evaluated, _) = ask(&format!("example.org TXT v=spf1 {text}"), FOUR, "a@example.org").await;
        assert_eq!(evaluated.general, general, "{text}");
    }
    // A second @ makes no other domain.
    let asked = Asked {
        address: FOUR.parse().unwrap(),
        helo: String::new(),
        local: "a@victim.example".into(),
        domain: "example.org".parse().unwrap(),
    };
    let zone = Arc::new(Zone::new("example.org TXT v=spf1 exists:%{o}.x -all"));
    evaluate(&Circuit::new(zone.clone()), &asked).await;
    assert_eq!(zone.log.lock().unwrap().last().unwrap(), "A example.org.x");
}
