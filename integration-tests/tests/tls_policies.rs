//! TLS policies against real peers: Postfix with good and bad certificates, TLSA records in a signed zone, a policy on a
//! web server of openssl's, and a primary that offers STARTTLS and breaks it.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

#[expect(dead_code, reason = "shared with the tests of the streams, which use more of it")]
#[path = "../../crates/net/tests/trust/chain.rs"]
mod chain;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chain::{Authority, Shown, Valid};
use restante_delivery::{
    DnsSettings, DomainDelivery, Hop, HttpsFetch, Lookup, SystemLookup, TlsParts, TlsPolicies, TlsPolicy,
};
use restante_integration_tests::{
    DNS_PEERS, Daemon, DaemonOptions, Dns, Peer, Postfix, Signing, Zone, command, connect, eventually,
    free_port, have,
};
use restante_net::Trust;
use restante_types::UnixMillis;
use sha2::{Digest, Sha256};

const LIMIT: Duration = Duration::from_secs(60);
const MAIL: &str = "mail.tls.example";

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn digest(octets: &[u8]) -> String {
    hex(&Sha256::digest(octets))
}

/// What a domain's rules are, where its mail goes, and what must become of it.
struct Case {
    name: &'static str,
    rules: String,
    primary: String,
    /// `None`: it arrives; otherwise it waits, and the log says this.
    kept: Option<&'static str>,
}

fn case(name: &'static str, primary: String, rules: &str, kept: Option<&'static str>) -> Case {
    Case { name, rules: rules.to_owned(), primary, kept }
}

/// A Postfix that shows this, and takes mail for all these domains.
fn postfix(port: u16, shown: &Shown, cases: &[Case]) -> Postfix {
    let (certificate, key) = shown.files();
    let domains = [format!("virtual_mailbox_domains = {}", names(cases))];
    let lines = [&Postfix::tls(&certificate, &key)[..], &domains].concat();
    Postfix::start_with(port, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A daemon that holds mail for them all, one message each.
fn daemon(cases: &[Case], more: &str) -> Daemon {
    let mut tables = more.to_owned();
    for Case { name, rules, primary, .. } in cases {
        tables += &format!("[[domain]]\nname = \"{name}\"\nprimary = \"{primary}\"\n{rules}\n");
    }
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for Case { name, .. } in cases {
        let text = format!("Subject: {name}\r\n\r\nhello\r\n");
        let reply = client.send("a@sender.example", &[&format!("b@{name}")], text.as_bytes());
        assert!(reply.starts_with("250"), "{reply}");
    }
    daemon
}

/// Asks for each of them, and sees what becomes of it.
fn ask(daemon: &Daemon, cases: &[Case]) {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for Case { name, kept, .. } in cases {
        client.expect(&format!("ETRN {name}"), "25");
        let settled = || match kept {
            None => daemon.waiting(name) == 0,
            Some(why) => {
                let log = daemon.log();
                log.lines().any(|line| line.contains(name) && line.contains(why))
            }
        };
        assert!(eventually(LIMIT, settled), "{name} {kept:?}: {} wait", daemon.waiting(name));
        assert_eq!(daemon.waiting(name), u64::from(kept.is_some()), "{name}");
    }
}

/// What Postfix has of these domains, each with how its Received line says that it came.
fn taken(primaries: &[&Postfix]) -> Vec<(String, bool)> {
    let files = primaries.iter().flat_map(|primary| primary.mailbox());
    let mut all: Vec<(String, bool)> = files
        .map(|file| {
            let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
            let name = text.split("Subject: ").nth(1).unwrap().lines().next().unwrap().to_owned();
            (name, text.contains("(using TLSv1.3 with cipher"))
        })
        .collect();
    all.sort();
    all
}

/// Everything that must arrive has arrived inside TLS, once, and nothing else has.
fn check(cases: &[Case], primaries: &[&Postfix]) {
    let mut wanted: Vec<(String, bool)> =
        cases.iter().filter(|case| case.kept.is_none()).map(|case| (case.name.to_owned(), true)).collect();
    wanted.sort();
    assert!(eventually(LIMIT, || taken(primaries).len() >= wanted.len()));
    assert_eq!(taken(primaries), wanted);
}

fn names(cases: &[Case]) -> String {
    cases.iter().map(|case| case.name).collect::<Vec<_>>().join(", ")
}

#[test]
fn postfix_with_good_and_bad_certificates() {
    if !have("postfix_with_good_and_bad_certificates", &[Peer::Postfix]) {
        return;
    }
    let authority = Authority::new("ours");
    let good = authority.below("between").issue(&[MAIL, "127.0.0.1"], Valid::Now);
    let expired = authority.issue(&[MAIL], Valid::Past);
    let wrong = authority.issue(&["elsewhere.example"], Valid::Now);
    let alone = Authority::new("nobody").issue(&[MAIL], Valid::Now);
    let ca = format!("tls-policy = \"verify\"\ntls-ca = \"{}\"", authority.file().display());
    let named = format!("{ca}\ntls-name = \"{MAIL}\"");
    let print = |shown: &Shown| {
        format!("tls-policy = \"verify\"\ntls-fingerprint = [\"sha256:{}\"]", digest(&shown.chain[0]))
    };
    // The ports are known only when they run, and they run only with the names.
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let [at_good, at_expired, at_wrong, at_alone] = ports.map(|port| format!("[127.0.0.1]:{port}"));
    let cases = [
        case("by-name.test", at_good.clone(), &named, None),
        case("by-address.test", at_good.clone(), &ca, None),
        case("by-system.test", at_good, "tls-policy = \"verify\"", Some("not by an authority that counts")),
        case("expired.test", at_expired.clone(), &named, Some("the certificate has expired")),
        case("on-file.test", at_expired.clone(), &print(&expired), None),
        case("required.test", at_expired, "tls-policy = \"require\"", None),
        case("wrong-name.test", at_wrong.clone(), &named, Some("is not for mail.tls.example")),
        case("not-on-file.test", at_wrong, &print(&good), Some("not one whose fingerprint is on file")),
        case("stranger.test", at_alone.clone(), &named, Some("not by an authority that counts")),
        case("opportune.test", at_alone, "tls-policy = \"opportunistic\"", None),
    ];
    let shown = [&good, &expired, &wrong, &alone];
    let primaries = [0, 1, 2, 3].map(|index| postfix(ports[index], shown[index], &cases));
    let daemon = daemon(&cases, "");
    ask(&daemon, &cases);
    check(&cases, &primaries.each_ref());
}

/// [7672-3.1.1] [7672-3.1.2] [7672-6] With TLSA records in a signed zone, through a resolver of our own.
#[test]
fn postfix_by_tlsa_records() {
    let peers = [DNS_PEERS, &[Peer::Postfix]].concat();
    if !have("postfix_by_tlsa_records", &peers) {
        return;
    }
    let top = Authority::new("top");
    let good = top.below("between").issue(&[MAIL, "ta.tls.example"], Valid::Now);
    let old = Authority::new("nobody").issue(&["elsewhere.example"], Valid::Past);
    let [port, at_old] = [free_port(), free_port()];
    let tlsa = |host: &str, port: u16, record: &str| {
        format!("{host} A 127.0.0.1\n_{port}._tcp.{host} TLSA {record}\n")
    };
    let (ee, ta) = (format!("3 1 1 {}", digest(&good.spki)), format!("2 0 1 {}", digest(&top.der())));
    let wrong = format!("3 1 1 {}", "00".repeat(32));
    let mut records = tlsa("mail", port, &ee);
    records += &tlsa("ta", port, &ta);
    records += &tlsa("old", at_old, &format!("3 1 1 {}", digest(&old.spki)));
    records += &tlsa("wrong", port, &wrong);
    records += &tlsa("strange", port, &ta);
    records += &tlsa("pkix", port, &format!("1 1 1 {}", digest(&good.spki)));
    records += &format!("none A 127.0.0.1\nother CNAME mail\n_{port}._tcp.shared TLSA {ee}\n");
    records += &format!("aliased A 127.0.0.1\n_{port}._tcp.aliased CNAME _{port}._tcp.shared\n");
    let dns = Dns::start(&[
        Zone::new("example", Signing::Nsec3, ""),
        Zone::new("tls.example", Signing::Nsec3, &records),
        Zone::new("loose.example", Signing::Unsigned, &tlsa("mail", port, &ee)),
        Zone::new("over.example", Signing::Expired, &tlsa("mail", port, &ee)),
    ]);
    let to = |host: &str, port: u16| format!("{host}.example:{port}");
    let dane = "tls-policy = \"dane\"";
    let cases = [
        case("ee.test", to("mail.tls", port), dane, None),
        case("ta.test", to("ta.tls", port), dane, None),
        case("expired.test", to("old.tls", at_old), dane, None),
        case("alias.test", to("other.tls", port), dane, None),
        case("tlsa-alias.test", to("aliased.tls", port), dane, None),
        case("wrong.test", to("wrong.tls", port), dane, Some("no TLSA record matches the certificate")),
        case(
            "name.test",
            to("strange.tls", port),
            dane,
            Some("the certificate is not for strange.tls.example"),
        ),
        case("pkix.test", to("pkix.tls", port), dane, Some("none of the 1 TLSA records at")),
        case("none.test", to("none.tls", port), dane, Some("there are no signed TLSA records at")),
        case("loose.test", to("mail.loose", port), dane, Some("dane needs DNSSEC")),
        case("over.test", to("mail.over", port), dane, Some("bogus")),
        // Who does not ask for DANE does not depend on it.
        case("careless.test", to("mail.over", port), "tls-policy = \"require\"", None),
    ];
    let primaries = [postfix(port, &good, &cases), postfix(at_old, &old, &cases)];
    let more = format!(
        "[dns]\nservers = [\"{}\"]\ntrust-anchor = \"{}\"\n",
        dns.authority(),
        dns.anchor().display()
    );
    let daemon = daemon(&cases, &more);
    ask(&daemon, &cases);
    check(&cases, &primaries.each_ref());
}

/// A certificate of ours is shown where the domain has one, and Postfix takes it for what it is.
#[test]
fn postfix_wants_to_see_our_certificate() {
    if !have("postfix_wants_to_see_our_certificate", &[Peer::Postfix]) {
        return;
    }
    let authority = Authority::new("for clients");
    let known = authority.issue(&["mx2.example.net"], Valid::Now);
    let strange = Authority::new("nobody").issue(&["mx2.example.net"], Valid::Now);
    let showing = |shown: &Shown| {
        let (certificate, key) = shown.files();
        let (certificate, key) = (certificate.display(), key.display());
        format!("tls-policy = \"require\"\ntls-certificate = \"{certificate}\"\ntls-key = \"{key}\"")
    };
    let port = free_port();
    let primary = format!("[127.0.0.1]:{port}");
    let put_off = Some("450 4.3.2");
    let cases = [
        case("known.test", primary.clone(), &showing(&known), None),
        case("strange.test", primary.clone(), &showing(&strange), put_off),
        case("unseen.test", primary, "tls-policy = \"require\"", put_off),
    ];
    let server = Authority::new("server").issue(&[MAIL], Valid::Now);
    let (certificate, key) = server.files();
    let more = [
        "smtpd_tls_ask_ccert = yes".to_owned(),
        format!("smtpd_tls_CAfile = {}", authority.file().display()),
        "smtpd_recipient_restrictions = permit_tls_all_clientcerts, defer".to_owned(),
        format!("virtual_mailbox_domains = {}", names(&cases)),
    ];
    let lines = [&Postfix::tls(&certificate, &key)[..], &more].concat();
    let postfix = Postfix::start_with(port, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let daemon = daemon(&cases, "");
    for Case { name, kept, .. } in &cases {
        let _ = daemon.admin(&["flush", name]);
        assert_eq!(daemon.waiting(name), u64::from(kept.is_some()), "{name}: {}", postfix.log());
        let told = String::from_utf8_lossy(&daemon.admin(&["why", name]).stdout).into_owned();
        assert!(told.contains(kept.unwrap_or_default()), "{name}: {told}");
    }
    check(&cases, &[&postfix]);
    let text = std::fs::read_to_string(&postfix.mailbox()[0]).unwrap();
    assert!(text.contains("Issuer \"for clients\" (verified OK)"), "{text}");
}

/// Offers STARTTLS, says 220, and talks nonsense; counts what it is given in clear.
fn breaker() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, taken) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), count.clone());
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let hello = stream.try_clone().unwrap();
                let mut say = |text: &str| stream.write_all(text.as_bytes()).is_ok();
                let mut content = false;
                say("220 broken.example ESMTP\r\n");
                for line in lines.map_while(Result::ok) {
                    match line.get(..4).unwrap_or(&line) {
                        "." => {
                            content = false;
                            count.fetch_add(1, Ordering::SeqCst);
                            say("250 2.0.0 taken\r\n");
                        }
                        _ if content => {}
                        "EHLO" => drop(say("250-broken.example\r\n250 STARTTLS\r\n")),
                        "STAR" => {
                            say("220 go\r\n");
                            // Once the client's hello is here, this is what answers it.
                            let _ = hello.peek(&mut [0]);
                            say("\x16\x03\x03nonsense nonsense nonsense");
                            return;
                        }
                        "DATA" => {
                            content = true;
                            say("354 go on\r\n");
                        }
                        _ => drop(say("250 2.0.0 fine\r\n")),
                    }
                }
            });
        }
    });
    (port, taken)
}

#[test]
fn a_primary_that_breaks_starttls_gets_nothing_where_it_is_demanded() {
    let authority = Authority::new("ours");
    let (port, taken) = breaker();
    let primary = format!("[127.0.0.1]:{port}");
    let ca = format!("tls-policy = \"verify\"\ntls-ca = \"{}\"", authority.file().display());
    let print = format!("tls-policy = \"verify\"\ntls-fingerprint = [\"sha256:{}\"]", "07".repeat(32));
    let cases = [
        case("require.test", primary.clone(), "tls-policy = \"require\"", Some("no TLS with [127.0.0.1]")),
        case("verify.test", primary.clone(), &ca, Some("no TLS with [127.0.0.1]")),
        case("print.test", primary.clone(), &print, Some("no TLS with [127.0.0.1]")),
    ];
    let kept = daemon(&cases, "");
    ask(&kept, &cases);
    assert_eq!(taken.load(Ordering::SeqCst), 0, "nothing in clear");
    // Where nothing was demanded: in clear, once, and said in the log.
    let cases = [case("opportune.test", primary, "tls-policy = \"opportunistic\"", None)];
    let careless = daemon(&cases, "");
    ask(&careless, &cases);
    assert_eq!(taken.load(Ordering::SeqCst), 1);
    let told = |line: &&str| line.contains("tls_failed") && line.contains("again_in_clear");
    assert_eq!(careless.log().lines().filter(told).count(), 1);
}

/// [8461-3.3-host] [8461-4.1] The policy from a web server that is not ours, announced in a real DNS.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_on_a_web_server_of_openssl() {
    let peers = [DNS_PEERS, &[Peer::Openssl]].concat();
    if !have("a_policy_on_a_web_server_of_openssl", &peers) {
        return;
    }
    let authority = Authority::new("system");
    let shown = authority.below("between").issue(&["mta-sts.tls.example"], Valid::Now);
    let (certificate, key) = shown.files();
    let site = tempfile::tempdir().unwrap();
    std::fs::create_dir(site.path().join(".well-known")).unwrap();
    let text = "version: STSv1\nmode: enforce\nmx: *.tls.example\nmax_age: 604800\n";
    std::fs::write(site.path().join(".well-known/mta-sts.txt"), text).unwrap();
    let port = free_port();
    let mut openssl = command(Peer::Openssl);
    openssl.args(["s_server", "-WWW", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
    openssl.arg("-cert").arg(&certificate).arg("-cert_chain").arg(&certificate).arg("-key").arg(key);
    let mut server = openssl
        .current_dir(site.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let dns = Dns::start(&[
        Zone::new("example", Signing::Nsec3, ""),
        Zone::new(
            "tls.example",
            Signing::Unsigned,
            "mta-sts A 127.0.0.1\n_mta-sts TXT \"v=STSv1; \" \"id=20260101;\"\n",
        ),
    ]);
    let settings = DnsSettings { servers: vec![dns.resolver()], trust_anchor: Some(dns.anchor()) };
    let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup::with_settings(settings).unwrap());
    let authorities = Trust::Authorities(authority.file());
    let file = site.path().join("mta-sts.json");
    let policies = TlsPolicies::new(TlsParts {
        lookup,
        fetch: Arc::new(HttpsFetch::default().with_port(port).with_authorities(authorities.clone())),
        file: Some(file.clone()),
        clock: Arc::new(|| UnixMillis(1_800_000_000_000)),
    })
    .with_authorities(authorities);
    let delivery = DomainDelivery { tls: TlsPolicy::MtaSts, ..DomainDelivery::default() };
    let hop = |name: &str| Hop {
        name: Some(name.parse().unwrap()),
        ..Hop::literal("127.0.0.1:25".parse().unwrap(), None)
    };
    let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(eventually(LIMIT, up));
    let of = "tls.example".parse().unwrap();
    let demand = policies.demand(&of, &delivery, &hop(MAIL)).await.unwrap();
    assert!(demand.is_verified() && !demand.allows_clear());
    assert!(demand.to_string().contains("(mode enforce, policy 20260101 of tls.example)"), "{demand}");
    let why = policies.demand(&of, &delivery, &hop("mail.else.example")).await.unwrap_err();
    assert!(why.to_string().contains("does not list mail.else.example"), "{why}");
    assert!(std::fs::read_to_string(file).unwrap().contains("20260101"));
    server.kill().unwrap();
    server.wait().unwrap();
}
