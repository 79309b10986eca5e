//! Bounds that are reached otherwise than by many: who sits on the admin socket or the port for on-demand relay, an
//! export beside intake, and descriptors that run out.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use restante_integration_tests::faults::say;
use restante_integration_tests::hostile::{Crowd, usage};
use restante_integration_tests::{
    Behaviour, Daemon, Provider, Sink, Tally, binary, connect, eventually, sample,
};

use super::{HELLO, LONG, alone, given_back, options, probes, used, warm};

/// Whoever takes all 64 connections of the admin socket and says nothing, in whole or in the middle of a request, is put
/// out after a while, and the administrator's own command comes through.
#[test]
fn the_admin_socket_outlives_those_who_sit_on_it() {
    let (daemon, tally) = (Daemon::start(&options("")), Tally::default());
    let before = warm(&daemon, &tally);
    let socket = daemon.dir().join("run/admin.sock");
    let sitting: Vec<_> = (0..64)
        .map(|number| {
            let mut stream = UnixStream::connect(&socket).expect("it listens");
            if number % 2 == 1 {
                stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("it is read");
            }
            stream
        })
        .collect();
    let began = Instant::now();
    let status = daemon.admin(&["status"]);
    say(&format!("status beside 64 idle connections: {:?}, {:?}", status.status.code(), began.elapsed()));
    let works = status.status.success() || eventually(LONG, || daemon.admin(&["status"]).status.success());
    assert!(works, "{}", String::from_utf8_lossy(&status.stderr));
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    probes(daemon.ports().smtp, 3, &tally);
    drop(sitting);
    given_back(&daemon, before, 16 * 1024);
    let sums = tally.account("the admin socket", &daemon, []);
    assert_eq!((sums.accepted, sums.held), (23, 23));
}

/// Mail that comes in faster than an export writes it out: the export ends, and has what was held when it began.
#[test]
fn an_export_does_not_run_after_what_comes_in() {
    let (daemon, tally) = (Daemon::start(&options("")), Tally::default());
    let _alone = alone();
    let (port, out, stop) = (daemon.ports().smtp, daemon.dir().join("out"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let pour = || {
            let mut client = connect(port);
            client.expect("EHLO client.example", "250");
            while !stop.load(Ordering::SeqCst) {
                let reply = client.send("a@sender.example", &["b@example.org"], &sample(1, 900));
                assert!(tally.note(&reply), "{reply}");
            }
        };
        (0..4).for_each(|_| drop(scope.spawn(pour)));
        assert!(eventually(LONG, || daemon.waiting("example.org") > 100));
        let before = daemon.waiting("example.org");
        let (began, path) = (Instant::now(), out.display().to_string());
        let mut export = Command::new(binary())
            .args(["export", "--all", "--format", "eml", "--output", &path, "--config"])
            .arg(daemon.config())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let ended = eventually(LONG, || export.try_wait().is_ok_and(|ended| ended.is_some()));
        let took = began.elapsed();
        let files = std::fs::read_dir(&out).expect("it is there").count() as u64;
        let grew = eventually(LONG, || daemon.waiting("example.org") > files);
        let after = daemon.waiting("example.org");
        stop.store(true, Ordering::SeqCst);
        let _ = export.kill();
        say(&format!("{before} held, {files} exported in {took:?}, {} came in meanwhile", after - before));
        assert!(ended && export.wait().is_ok_and(|status| status.success()));
        assert!(files >= before && grew, "{before} {files} {after}");
    });
    let sums = tally.account("an export beside intake", &daemon, []);
    assert_eq!(sums.held, sums.accepted);
}

/// Slow and endless beginnings on the port for on-demand mail relay: half a TLS greeting, nothing at all, one octet after
/// the other, and passwords tried as fast as they are answered. Mail comes in, and who has the password collects.
#[test]
fn the_odmr_port_under_siege() {
    let tally = Tally::default();
    let provider = Provider::start(
        options("[limits]\nconnections-per-client = 400\n"),
        "tls = \"starttls\"",
        &["--allow-cleartext", "--legacy-cram-md5"],
    );
    let daemon = &provider.daemon;
    let before = warm(daemon, &tally);
    let _alone = alone();
    let mut silent = Crowd::arrive(provider.odmr(), 200, 200, 88);
    let mut shaking = Crowd::arrive(provider.odmr(), 100, 100, 89);
    assert_eq!(shaking.say(b"EHLO client.example\r\nSTARTTLS\r\n", 1, "250"), 100);
    let mut guessing = Crowd::arrive(provider.odmr(), 100, 100, 90);
    assert_eq!(guessing.say(HELLO, 1, "250"), 100);
    let letter = Sink::start(0, Behaviour::default());
    let agent = provider.agent(&format!("127.0.0.1:{}", letter.port()), "");
    let pause = Duration::from_millis(900);
    let (slowest, tried, (code, said)) = silent.dribble(HELLO, pause, |silent| {
        shaking.dribble(b"\x16\x03\x01\x02\x00\x01", pause, |shaking| {
            let tried = guess(&mut guessing);
            let slowest = probes(daemon.ports().smtp, 15, &tally);
            let three = || silent.least() >= 3 && shaking.least() >= 3;
            assert!(eventually(LONG, three), "{silent:?} {shaking:?}");
            (slowest, tried, agent.collected())
        })
    });
    say(&format!(
        "passwords tried: {tried:?}; 200 slow and 100 in the middle of a handshake: others in {slowest:?}, the customer: {said}"
    ));
    let answered = |start: &str| -> usize {
        tried.iter().filter(|(reply, _)| reply.starts_with(start)).map(|(_, count)| count).sum()
    };
    // Each of the 800 is answered; ten are looked at, however many connections the network has.
    assert_eq!((answered("535"), answered("454")), (10, 790), "{tried:?}");
    assert_eq!(code, Some(0), "{said}");
    let (after, most) = (used(daemon), 400 * 64 + 64 * 1024);
    assert!(after.resident.saturating_sub(before.resident) < most, "{before:?} {after:?}");
    drop((silent, shaking, guessing));
    given_back(daemon, before, most);
    let arrived = letter.accepted().into_iter().map(|message| message.content);
    let sums = tally.account("the siege", daemon, arrived);
    assert_eq!((sums.accepted, sums.delivered, sums.held), (35, 35, 0));
}

/// Everybody tries one password after the other until the server has enough; how often it said what.
fn guess(crowd: &mut Crowd) -> BTreeMap<String, usize> {
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..8 {
        crowd.say(b"AUTH CRAM-MD5\r\n", 1, "334");
        // An answer to a challenge that nobody can know.
        for reply in crowd.hear(b"ZXhhbXBsZS1vcmcgMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\r\n", 1) {
            *heard.entry(reply.chars().take(9).collect()).or_default() += 1;
        }
    }
    assert!(!heard.keys().any(|reply| reply.starts_with("235")), "nobody gets in");
    heard
}

/// The descriptors of the systemd unit are enough for its limits: 2000 on each of two listeners.
#[test]
fn the_units_limit_on_descriptors_is_enough() {
    let unit = include_str!("../../../etc/restante.service");
    let limit: u64 = unit
        .lines()
        .find_map(|line| line.strip_prefix("LimitNOFILE="))
        .and_then(|limit| limit.parse().ok())
        .expect("the unit has a limit");
    // Two listeners full, each session with a file for its large content; 1000 drains of 8 connections with the content
    // they read; segments kept open.
    assert!(limit >= 2 * 2 * 2000 + 2 * 1000 * 8 + 1024, "{limit}");
}

/// Out of descriptors the server waits, serves whom it has, and goes on when there are some again.
#[test]
fn out_of_descriptors_is_no_end() {
    let tally = Tally::default();
    let daemon = Daemon::start(&options("[limits]\nconnections-per-client = 2000\n"));
    let limited =
        Command::new("prlimit").args([&format!("--pid={}", daemon.pid()), "--nofile=160:160"]).status();
    assert!(limited.is_ok_and(|status| status.success()), "prlimit is part of util-linux");
    let port = daemon.ports().smtp;
    let before = warm(&daemon, &tally);
    let _alone = alone();
    let mut first = connect(port);
    first.expect("EHLO client.example", "250");
    // The kernel takes them all in; the server cannot.
    let mut crowd: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    let ran_out = || used(&daemon).files >= 150 && daemon.log_so_far().contains("accepting_stopped");
    assert!(eventually(LONG, ran_out), "{:?}", used(&daemon));
    let full = used(&daemon);
    assert!(full.files <= 164, "{full:?}");
    let greeted = crowd.iter_mut().filter_map(|stream| was_greeted(stream).then_some(())).count();
    assert!((1..=160).contains(&greeted) && crowd.len() > 160, "{greeted} of {}", crowd.len());
    let reply = first.send("a@sender.example", &["b@example.org"], &sample(1, 900));
    let taken = tally.note(&reply);
    assert!(taken || reply.starts_with('4'), "{reply}");
    assert!(usage(daemon.pid()).is_some(), "it lives");
    let came = crowd.len();
    drop((crowd, first));
    given_back(&daemon, before, 16 * 1024);
    probes(port, 5, &tally);
    assert!(eventually(LONG, || daemon.log_so_far().contains("accepting_again")), "it says so");
    say(&format!(
        "{came} connections against 160 descriptors: {greeted} greeted, {full:?}, then served again; the one inside heard {reply}"
    ));
    let sums = tally.account("out of descriptors", &daemon, []);
    assert_eq!((sums.accepted, sums.held), (25 + usize::from(taken), 25 + usize::from(taken)));
}

/// Whether something was said to it so far.
fn was_greeted(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok() && stream.read(&mut [0; 64]).is_ok_and(|count| count > 0)
}
