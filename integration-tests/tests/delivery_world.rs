//! A small world of hosts with addresses of their own: restante on port 25, a primary behind two MX records on port 25,
//! signed zones, and somebody outside who sends mail. Everything a mail server meets is what it is outside.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

#[expect(dead_code, reason = "shared with the tests of the streams, which use more of it")]
#[path = "../../crates/net/tests/trust/chain.rs"]
mod chain;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chain::{Authority, Valid};
use restante_integration_tests::world::{LIMIT, World, held};
use restante_integration_tests::{
    DNS_PEERS, Exim, EximOptions, Peer, Postfix, Signing, Zone, eventually, have, sample, without_received,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MAIL: &str = "good.hosts.example";
/// Everything the primary takes mail for.
const DOMAINS: [&str; 9] = [
    "etrn.held.example",
    "far.held.example",
    "dane.held.example",
    "wrong.held.example",
    "none.held.example",
    "named.held.example",
    "strange.held.example",
    "vouched.example",
    "stranger.example",
];
fn zones(tlsa: &str) -> Vec<Zone> {
    let hosts = format!(
        "good A 192.0.2.2\ngood AAAA 2001:db8::2\n_25._tcp.good TLSA 3 1 1 {tlsa}\n\
         wrong A 192.0.2.2\n_25._tcp.wrong TLSA 3 1 1 {}\n\
         none A 192.0.2.2\nhalf AAAA 2001:db8::99\nhalf A 192.0.2.2\nworse A 192.0.2.77\n",
        "00".repeat(32)
    );
    let held = format!(
        "etrn MX 20 mx2.example.net.\netrn MX 10 {MAIL}.\netrn MX 30 worse.hosts.example.\n\
         far MX 10 half.hosts.example.\nfar MX 10 mx3.held.example.\nmx3 CNAME half.hosts.example.\n\
         dane MX 10 {MAIL}.\ndane MX 20 mx2.example.net.\nwrong MX 10 wrong.hosts.example.\n\
         none MX 10 none.hosts.example.\nnamed MX 10 {MAIL}.\nstrange MX 10 {MAIL}.\n"
    );
    let sender = |address: &str| format!("@ MX 10 {MAIL}.\n@ TXT \"v=spf1 ip4:{address} -all\"\n");
    vec![
        Zone::new("example", Signing::Nsec3, ""),
        Zone::new("example.net", Signing::Nsec, "mx2 A 192.0.2.1\nmx2 AAAA 2001:db8::1\n"),
        Zone::new("hosts.example", Signing::Nsec3, &hosts),
        Zone::new("held.example", Signing::Nsec3, &held),
        Zone::new("vouched.example", Signing::Nsec3, &sender("192.0.2.4")),
        Zone::new("stranger.example", Signing::Unsigned, &sender("192.0.2.200")),
    ]
}

fn text(path: &PathBuf) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// What our server put on top, the sender's own octets, and nothing else.
fn parted(received: &[u8]) -> (String, Vec<u8>) {
    let at = received.windows(11).position(|octets| octets == b"\r\nReceived:").unwrap() + 2;
    (
        String::from_utf8(received[..at].to_vec()).unwrap().replace("\r\n\t", " "),
        without_received(&received[at..]),
    )
}

/// The way as an operator sees it: the better exchange by both its addresses, and why the others are not asked.
fn check_route(world: &World) {
    let route = world.route("etrn.held.example");
    let mut hops: Vec<&str> =
        route["hops"].as_array().unwrap().iter().map(|hop| hop["address"].as_str().unwrap()).collect();
    hops.sort_unstable();
    assert_eq!(hops, ["192.0.2.2:25", "[2001:db8::2]:25"], "{route}");
    assert!(
        route["hops"].as_array().unwrap().iter().all(|hop| hop["name"] == MAIL && hop["preference"] == 10)
    );
    assert_eq!((&route["primary"], &route["problem"]), (&json!("mx"), &Value::Null));
    let left_out = route["left_out"].to_string();
    for part in ["mx2.example.net", "worse.hosts.example"] {
        assert!(left_out.contains(part), "{part} is missing in {left_out}");
    }
    assert_eq!(route["resolvers"], json!(["192.0.2.3:53"]));
    let shown = world.daemon.admin(&["route", "etrn.held.example"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [MAIL, "192.0.2.2", "mx2.example.net", "worse.hosts.example"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
}

/// [5321-5.1-order] [5321-5.1-ourselves] [8601-4.1] [xclient-command] Held, asked for by its primary, and there octet for octet, with what was found
/// out about its sender on top and its client's address in Postfix's own line.
#[test]
fn held_mail_goes_by_its_mx_to_postfix() {
    let peers = [DNS_PEERS, &[Peer::Namespaces, Peer::Postfix]].concat();
    if !have("held_mail_goes_by_its_mx_to_postfix", &peers) {
        return;
    }
    let rules = "forward-client = \"xclient\"\nauthentication-results = true";
    let domains = held("etrn.held.example", rules) + &held("far.held.example", "");
    let world = World::start(&domains, &zones(&"00".repeat(32)));
    check_route(&world);
    let sizes = [500, 3_000, 70_000, 1_500_000];
    for (seed, size) in sizes.into_iter().enumerate() {
        world.send("anna@vouched.example", &["b@etrn.held.example"], &sample(seed, size));
    }
    let postfix = world.postfix(&DOMAINS, &["smtpd_authorized_xclient_hosts = 192.0.2.1, [2001:db8::1]"]);
    world.etrn("etrn.held.example");
    assert!(eventually(LIMIT, || postfix.mailbox().len() == sizes.len()), "{}", postfix.log());
    for path in postfix.mailbox() {
        let own = text(&path);
        let received = own.lines().find(|line| line.starts_with("Received: ")).unwrap();
        assert!(
            received.starts_with("Received: from client.vouched.example (unknown [192.0.2.4]"),
            "{received}"
        );
        let (results, content) = parted(&Postfix::as_received(&path));
        assert_eq!(
            results,
            "Authentication-Results: mx2.example.net; spf=pass smtp.mailfrom=vouched.example\r\n"
        );
        let seed = sizes.iter().enumerate().find(|(seed, size)| sample(*seed, **size) == content);
        assert!(seed.is_some(), "not as it was sent: {}", own.get(..600).unwrap_or(&own));
    }
    assert!(eventually(LIMIT, || world.daemon.waiting("etrn.held.example") == 0));

    // An exchange whose address of IPv6 is dead, and another that is an alias: IPv4 takes it.
    world.send("anna@vouched.example", &["b@far.held.example"], &sample(9, 900));
    world.etrn("far.held.example");
    assert!(eventually(LIMIT, || postfix.mailbox().len() == sizes.len() + 1), "{}", world.daemon.log());
    assert!(world.route("far.held.example")["hops"].as_array().unwrap().len() >= 2);
    // XCLIENT is offered to it as well, but this domain does not ask for it: the mail comes from us.
    let mut all = postfix.mailbox().into_iter().map(|path| text(&path));
    let far = all.find(|own| own.contains("Delivered-To: b@far.held.example\n")).unwrap();
    let received = far.lines().find(|line| line.starts_with("Received: ")).unwrap();
    assert!(received.starts_with("Received: from mx2.example.net (unknown [192.0.2.1]"), "{received}");
}

#[test]
fn held_mail_goes_by_its_mx_to_exim() {
    let peers = [DNS_PEERS, &[Peer::Namespaces, Peer::Exim]].concat();
    if !have("held_mail_goes_by_its_mx_to_exim", &peers) {
        return;
    }
    let world =
        World::start(&held("etrn.held.example", "authentication-results = true"), &zones(&"00".repeat(32)));
    check_route(&world);
    let sizes = [500, 3_000, 70_000, 1_500_000];
    for (seed, size) in sizes.into_iter().enumerate() {
        world.send("anna@vouched.example", &["b@etrn.held.example"], &sample(seed, size));
    }
    let at = world.primary().port(25);
    let exim = world.primary().inside(|| Exim::start(at, &DOMAINS.join(" : "), &EximOptions::default()));
    world.etrn("etrn.held.example");
    assert!(eventually(LIMIT, || exim.mailbox().len() == sizes.len()), "{}", exim.log());
    for path in exim.mailbox() {
        let (results, content) = parted(&Exim::as_received(&path));
        assert!(results.ends_with("spf=pass smtp.mailfrom=vouched.example\r\n"), "{results}");
        let seed = sizes.iter().enumerate().find(|(seed, size)| sample(*seed, **size) == content);
        assert!(seed.is_some(), "not as it was sent: {:.600}", text(&path));
    }
    assert!(eventually(LIMIT, || world.daemon.waiting("etrn.held.example") == 0));
}

/// How many transactions Postfix saw, by what it counts at each disconnect.
fn transactions(postfix: &Postfix) -> usize {
    postfix.log().lines().filter(|line| line.contains("disconnect from") && line.contains(" mail=")).count()
}

/// [7672-2.2.2] [7672-2.2.3] [7672-3.1.1] [7672-6] What the zone says of the key is what the primary shows, or nothing is said to it.
#[test]
fn tlsa_records_and_a_private_authority_on_port_25() {
    let peers = [DNS_PEERS, &[Peer::Namespaces, Peer::Postfix]].concat();
    if !have("tlsa_records_and_a_private_authority_on_port_25", &peers) {
        return;
    }
    let authority = Authority::new("ours");
    let shown = authority.issue(&[MAIL], Valid::Now);
    let digest: String = Sha256::digest(&shown.spki).iter().map(|octet| format!("{octet:02x}")).collect();
    let stranger = Authority::new("nobody");
    let dane = "tls-policy = \"dane\"";
    let verify = |who: &Authority| format!("tls-policy = \"verify\"\ntls-ca = \"{}\"", who.file().display());
    let domains = [
        held("dane.held.example", dane),
        held("wrong.held.example", dane),
        held("none.held.example", dane),
        held("named.held.example", &verify(&authority)),
        held("strange.held.example", &verify(&stranger)),
    ];
    let world = World::start(&domains.concat(), &zones(&digest));
    let (certificate, key) = shown.files();
    let lines = Postfix::tls(&certificate, &key);
    let postfix = world.postfix(&DOMAINS, &lines.each_ref().map(String::as_str));
    let kept = [
        ("wrong.held.example", "no TLSA record matches the certificate"),
        ("none.held.example", "there are no signed TLSA records at _25._tcp.none.hosts.example"),
        ("strange.held.example", "not by an authority that counts"),
    ];
    for (domain, why) in kept {
        world.send("anna@vouched.example", &[&format!("b@{domain}")], &sample(1, 800));
        world.etrn(domain);
        assert!(world.log_says(domain, why), "{domain}");
        let told = String::from_utf8_lossy(&world.daemon.admin(&["why", domain]).stdout).into_owned();
        assert!(told.contains(why), "{why} is missing in {told}");
        assert_eq!(world.daemon.waiting(domain), 1);
    }
    // Each of them was called, greeted and left.
    assert_eq!((transactions(&postfix), postfix.mailbox().len()), (0, 0), "{}", postfix.log());
    assert!(world.route("none.held.example")["hops"][0]["tls_possible"] == false);

    for domain in ["dane.held.example", "named.held.example"] {
        world.send("anna@vouched.example", &[&format!("b@{domain}")], &sample(2, 800));
        world.etrn(domain);
        assert!(eventually(LIMIT, || world.daemon.waiting(domain) == 0), "{domain}");
    }
    assert!(eventually(LIMIT, || postfix.mailbox().len() == 2), "{}", postfix.log());
    for path in postfix.mailbox() {
        assert!(text(&path).contains("(using TLSv1.3 with cipher"), "{}", text(&path));
    }
    for hop in world.route("dane.held.example")["hops"].as_array().unwrap() {
        assert_eq!((&hop["secure"], &hop["tls_possible"]), (&json!(true), &json!(true)), "{hop}");
        let tls = hop["tls"].as_str().unwrap();
        assert!(tls.contains("dane: TLSA 3 1 1") && tls.contains(&digest[..8]), "{tls}");
        assert!(tls.contains("_25._tcp.good.hosts.example"), "{tls}");
    }
}

/// What Python makes of a notice.
fn by_python(content: &[u8]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/checks/notice.py");
    let mut python = Command::new("python3");
    let mut child = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(content));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// [3461-6.1] [3464-2-a] Who is vouched for is told at home; who is not is told nothing, and the owner keeps the letter.
#[test]
fn a_notice_finds_the_mail_server_of_its_senders_domain() {
    let peers = [DNS_PEERS, &[Peer::Namespaces, Peer::Postfix, Peer::Python]].concat();
    if !have("a_notice_finds_the_mail_server_of_its_senders_domain", &peers) {
        return;
    }
    let world = World::start(&held("etrn.held.example", "circuit = []"), &zones(&"00".repeat(32)));
    let refuse =
        "smtpd_recipient_restrictions = check_recipient_access inline:{{bad@ = 550 5.1.1 no such user here}}";
    let postfix = world.postfix(&DOMAINS, &[refuse]);
    world.send("anna@vouched.example", &["bad@etrn.held.example"], &sample(1, 700));
    world.send("eve@stranger.example", &["bad@etrn.held.example"], &sample(2, 700));
    world.etrn("etrn.held.example");
    assert!(eventually(LIMIT, || postfix.mailbox().len() == 1), "{}", postfix.log());
    let dead = || world.daemon.json(&["list", "--state", "dead"]);
    assert!(eventually(LIMIT, || dead().len() == 1), "{:?}", world.daemon.json(&["list"]));
    let letter = dead().remove(0);
    let shown = world.daemon.json(&["show", letter["id"].as_str().unwrap()]).remove(0).to_string();
    assert!(shown.contains("eve@stranger.example"), "{shown}");

    let file = text(&postfix.mailbox()[0]);
    assert!(file.starts_with("Return-Path: <>\n"), "it comes from nobody: {file}");
    assert!(file.contains("Delivered-To: anna@vouched.example\n"), "{file}");
    let notice = by_python(&Postfix::as_received(&postfix.mailbox()[0]));
    assert_eq!(notice["to"], json!(["anna@vouched.example"]));
    assert_eq!((&notice["from"], &notice["defects"]), (&json!("MAILER-DAEMON@mx2.example.net"), &json!([])));
    let status = notice["status"][1].to_string();
    for part in ["bad@etrn.held.example", "failed", "5.1.1", "rejected: no such user here", MAIL] {
        assert!(status.contains(part), "{part} is missing in {status}");
    }
    // The queue of notices is empty, and nothing more comes.
    assert!(
        eventually(LIMIT, || world.daemon.json(&["list"]).len() == 1),
        "{:?}",
        world.daemon.json(&["list"])
    );
    assert_eq!(postfix.mailbox().len(), 1);
    assert!(!postfix.log().contains("to=<eve@"), "{}", postfix.log());
}
