//! A DNS that goes in circles, is silent, floods or lies, met by a real daemon whose primary is on port 25: the mail waits,
//! nobody is told anything, and when the DNS is in order everything is there once.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use restante_integration_tests::world::{LIMIT, NAMES, OURS, OUTSIDE, World};
use restante_integration_tests::{DNS_PEERS, Dns, Peer, Postfix, Signing, Zone, eventually, have};

/// Each has something of its own that is wrong; and what is said of it, `None` where mail goes all the same.
const DOMAINS: [(&str, Option<&str>); 9] = [
    // An alias of an alias of itself, for which a resolver says nothing.
    ("circle.held.example", Some("circle.held.example: the DNS did not answer: the servers failed")),
    // The same by a server that gives what stands in its zone.
    ("spiral.held.example", Some("more than 8 aliases, or aliases in a circle")),
    // Its exchange is one.
    ("turning.held.example", Some("spot.hosts.example: the DNS did not answer: the servers failed")),
    // 500 exchanges, of which the best is there.
    ("many.held.example", None),
    // 500 exchanges, none of which is there.
    ("flood.held.example", Some("never.hosts.example: the name does not exist")),
    // Its own servers say nothing.
    ("silent.held.example", Some("the DNS did not answer: request timed out")),
    // Somebody put a stranger's address for its exchange: a resolver that validates says nothing.
    ("lied.held.example", Some("mail.lied.example: the DNS did not answer: the servers failed")),
    // The same by a server that does not validate, where we do.
    ("forged.held.example", Some("the DNS answer is bogus")),
    // It is said not to exist.
    ("gone.held.example", Some("gone.held.example: the name does not exist")),
];
/// How long a look-up may keep a drain.
const PATIENCE: Duration = Duration::from_secs(60);

fn zones(odd: bool) -> Vec<Zone> {
    let mut held = String::new();
    for (domain, _) in DOMAINS {
        let name = domain.split('.').next().unwrap();
        let record = match name {
            "circle" | "spiral" if odd => format!("{name} CNAME x{name}\nx{name} CNAME {name}\n"),
            "turning" if odd => "turning MX 10 spot.hosts.example.\n".to_owned(),
            "many" | "flood" if odd => {
                let others = (0..499).fold(String::new(), |mut all, number| {
                    let _ = writeln!(all, "{name} MX {} no{number}.hosts.example.", 100 + number);
                    all
                });
                let best = if name == "many" { "good" } else { "never" };
                format!("{others}{name} MX 5 {best}.hosts.example.\n")
            }
            "lied" | "forged" if odd => format!("{name} MX 10 mail.lied.example.\n"),
            "gone" if odd => String::new(),
            _ => format!("{name} MX 10 good.hosts.example.\n"),
        };
        held.push_str(&record);
    }
    let hosts = "good A 192.0.2.2\nspot CNAME other\nother CNAME spot\n";
    vec![
        Zone::new("example", Signing::Nsec3, ""),
        Zone::new("held.example", Signing::Nsec3, &held),
        Zone::new("hosts.example", Signing::Nsec3, hosts),
        Zone::new("lied.example", Signing::Nsec, "mail A 192.0.2.2\n").spoiled("192.0.2.2", "192.0.2.4"),
    ]
}

fn tables(odd: bool) -> String {
    DOMAINS.iter().fold(String::new(), |mut all, (domain, _)| {
        let rules = match *domain {
            "silent.held.example" if odd => "resolver = [\"192.0.2.3:5399\"]",
            "spiral.held.example" if odd => "resolver = [\"192.0.2.3:5353\"]",
            "forged.held.example" if odd => "resolver = [\"192.0.2.3:5353\"]\ntls-policy = \"dane\"",
            _ => "",
        };
        let _ =
            writeln!(all, "[[domain]]\nname = \"{domain}\"\nprimary = \"mx\"\nnotices = \"all\"\n{rules}");
        all
    })
}

/// How many come to the stranger; it runs on its host until the host is gone.
fn stranger(world: &World) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let (theirs, outside) = (count.clone(), world.network.place(OUTSIDE));
    let listener = outside.inside(|| TcpListener::bind(outside.port(25)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            theirs.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    count
}

/// Asks for all of them at once, and waits for what comes of it.
fn flush(world: &World) {
    std::thread::scope(|scope| {
        for (domain, _) in DOMAINS {
            scope.spawn(move || {
                let began = Instant::now();
                let _ = world.daemon.admin(&["flush", domain]);
                assert!(began.elapsed() < PATIENCE, "{domain}: {:?}", began.elapsed());
            });
        }
    });
}

/// How often a message for each domain is there.
fn arrived(postfix: &Postfix) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for file in postfix.mailbox() {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
        *all.entry(subject).or_default() += 1;
    }
    all
}

fn check_ways(world: &World) {
    for (domain, why) in DOMAINS {
        let waits = world.daemon.waiting(domain);
        assert_eq!(waits, u64::from(why.is_some()), "{domain}: {}", world.daemon.log());
        let Some(why) = why else { continue };
        let said = |line: &str| line.contains("drain_ended") && line.contains(domain) && line.contains(why);
        assert!(world.daemon.log().lines().any(said), "{domain}: {why}: {}", world.daemon.log());
        assert!(world.daemon.json(&["status", domain])[0]["hold"].is_null(), "{domain} is not stopped");
    }
    // What an operator is shown of a flood is bounded too.
    for domain in ["many.held.example", "flood.held.example"] {
        let began = Instant::now();
        let route = world.route(domain);
        assert!(began.elapsed() < PATIENCE);
        assert!(route.to_string().len() < 40_000, "{} octets", route.to_string().len());
        assert!(route["hops"].as_array().unwrap().len() <= 50, "{route}");
    }
}

// [5321-5.1-bound] [5321-5.1-nxdomain] [7672-2.1.1-bogus]
#[test]
fn an_odd_dns_loses_nothing_and_leads_nobody_astray() {
    let peers = [DNS_PEERS, &[Peer::Namespaces, Peer::Postfix]].concat();
    if !have("an_odd_dns_loses_nothing_and_leads_nobody_astray", &peers) {
        return;
    }
    let world = World::start(&tables(true), &zones(true));
    let names = world.network.place(NAMES);
    let right = names.inside(|| Dns::start_at(names.port(5354), names.port(54), &zones(false)));
    let _silent = names.inside(|| UdpSocket::bind(names.port(5399)).unwrap());
    let astray = stranger(&world);
    let postfix = world.postfix(&DOMAINS.map(|(domain, _)| domain), &[]);
    for (domain, _) in DOMAINS {
        let content = format!("Subject: {domain}\r\n\r\nhello\r\n");
        world.send("anna@vouched.example", &[&format!("b@{domain}")], content.as_bytes());
    }
    flush(&world);
    assert!(eventually(LIMIT, || postfix.mailbox().len() == 1), "{}", world.daemon.log());
    check_ways(&world);

    // Somebody saw to it.
    world.daemon.configure(&World::options(world.network.place(OURS), &right, &tables(false)));
    world.daemon.signal(Signal::SIGHUP);
    assert!(eventually(LIMIT, || world.daemon.log().contains("\"event\":\"reloaded\"")), "no reload");
    flush(&world);
    let all = || DOMAINS.iter().all(|(domain, _)| world.daemon.waiting(domain) == 0);
    assert!(eventually(LIMIT, all), "{:?}: {}", arrived(&postfix), world.daemon.log());
    assert!(eventually(LIMIT, || postfix.mailbox().len() >= DOMAINS.len()), "{}", postfix.log());
    let arrived = arrived(&postfix);
    let held = world.daemon.json(&["list"]).len();
    println!(
        "{} accepted, {} delivered, {held} held, {} lost, {} doubled, {} led astray",
        DOMAINS.len(),
        arrived.len(),
        DOMAINS.len() - arrived.len(),
        arrived.values().filter(|count| **count > 1).count(),
        astray.load(Ordering::SeqCst)
    );
    assert!(DOMAINS.iter().all(|(domain, _)| arrived.get(*domain) == Some(&1)), "{arrived:?}");
    assert_eq!((held, astray.load(Ordering::SeqCst)), (0, 0), "nobody was told, nobody strange was called");
}
