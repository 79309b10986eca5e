//! MTA-STS as it is outside: a policy on port 443 of a web server that is not ours, announced by DNS, a Postfix on port 25, and
//! a daemon that remembers the policy when the web server is gone.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

#[expect(dead_code, reason = "shared with the tests of the streams, which use more of it")]
#[path = "../../crates/net/tests/trust/chain.rs"]
mod chain;

use std::io::Read as _;
use std::process::{Child, Stdio};

use chain::{Authority, Shown, Valid};
use restante_integration_tests::world::{LIMIT, OUTSIDE, World};
use restante_integration_tests::{DNS_PEERS, Peer, Postfix, Signing, Zone, command, eventually, have};

const LISTED: &str = "listed.held.example";
const UNLISTED: &str = "unlisted.held.example";
const MAIL: &str = "good.hosts.example";

fn zones() -> Vec<Zone> {
    let held = "listed MX 10 good.hosts.example.\nunlisted MX 10 other.hosts.example.\n\
        _mta-sts.listed TXT \"v=STSv1; id=20260101;\"\n_mta-sts.unlisted TXT \"v=STSv1; id=20260102;\"\n\
        mta-sts.listed A 192.0.2.4\nmta-sts.unlisted A 192.0.2.4\n";
    vec![
        Zone::new("example", Signing::Nsec3, ""),
        Zone::new("held.example", Signing::Unsigned, held),
        Zone::new("hosts.example", Signing::Unsigned, "good A 192.0.2.2\nother A 192.0.2.2\n"),
    ]
}

/// Gone when dropped.
struct Web(Child);

impl Web {
    fn start(world: &World, shown: &Shown) -> Self {
        let (certificate, key) = shown.files();
        let mut python = command(Peer::Python);
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/checks/policy_site.py")).args(["192.0.2.4", "443"]);
        python.arg(certificate).arg(key).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut web = Self(world.network.place(OUTSIDE).inside(|| python.spawn().unwrap()));
        let mut ready = [0; 5];
        web.0.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        web
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn postfix(world: &World, shown: &Shown) -> Postfix {
    let (certificate, key) = shown.files();
    let lines = Postfix::tls(&certificate, &key);
    world.postfix(&[LISTED, UNLISTED], &lines.each_ref().map(String::as_str))
}

fn send(world: &World, domain: &str) {
    world.send("anna@vouched.example", &[&format!("b@{domain}")], b"Subject: x\r\n\r\nhello\r\n");
    let _ = world.daemon.admin(&["flush", domain]);
}

/// It waits, and this is why.
fn kept(world: &World, domain: &str, why: &str) {
    let told = String::from_utf8_lossy(&world.daemon.admin(&["why", domain]).stdout).into_owned();
    assert!(world.log_says(domain, why), "{why}: {told} {}", world.daemon.log());
    assert_eq!(world.daemon.waiting(domain), 1, "{told}");
}

/// So many are there, each inside TLS.
fn there(world: &World, postfix: &Postfix, count: usize) {
    assert!(eventually(LIMIT, || postfix.mailbox().len() == count), "{}", world.daemon.log());
    for file in postfix.mailbox() {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains("(using TLSv1.3 with cipher"), "{text}");
    }
    assert_eq!(world.daemon.waiting(LISTED), 0);
}

// [8461-3.3-host] [8461-4.1] [8461-5.1]
#[test]
fn a_policy_on_port_443_is_found_kept_and_remembered() {
    let peers = [DNS_PEERS, &[Peer::Namespaces, Peer::Postfix, Peer::Python]].concat();
    if !have("a_policy_on_port_443_is_found_kept_and_remembered", &peers) {
        return;
    }
    // The authority that this system trusts, in the place of all others.
    let authority = Authority::new("system");
    let domains = [LISTED, UNLISTED].map(|name| {
        format!(
            "[[domain]]\nname = \"{name}\"\nprimary = \"mx\"\ntls-policy = \"mta-sts\"\nnotices = \"all\"\n"
        )
    });
    let file = authority.file();
    let environment = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let mut world = World::start_in(&domains.concat(), &zones(), &environment);
    let names = [format!("mta-sts.{LISTED}"), format!("mta-sts.{UNLISTED}")];
    let shown = authority.issue(&names.each_ref().map(String::as_str), Valid::Now);
    let web = Web::start(&world, &shown);
    // It has asked for the policies already, and leaves a web server alone that was not there.
    world.restart();
    let shown = authority.issue(&[MAIL, "other.hosts.example"], Valid::Now);
    let good = postfix(&world, &shown);
    send(&world, LISTED);
    there(&world, &good, 1);
    send(&world, UNLISTED);
    kept(&world, UNLISTED, "does not list other.hosts.example");
    let way = world.route(LISTED)["hops"][0]["tls"].to_string();
    assert!(way.contains("mode enforce, policy 20260101"), "{way}");

    // The policy outlives its web server, and the daemon.
    drop(web);
    world.restart();
    send(&world, LISTED);
    there(&world, &good, 2);
    drop(good);
    let shown = Authority::new("nobody").issue(&[MAIL], Valid::Now);
    let stranger = postfix(&world, &shown);
    send(&world, LISTED);
    kept(&world, LISTED, "not by an authority that counts");
    assert_eq!(stranger.mailbox().len(), 0);
    assert_eq!(world.daemon.json(&["list"]).len(), 2, "nobody was told");
}
