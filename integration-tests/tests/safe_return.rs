//! The primary comes back, well or half-configured: seen from outside, by a real daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Peer, Postfix, Sink, connect, eventually, have, listen, sample,
};

const LONG: Duration = Duration::from_secs(60);

/// What a primary does with one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    Refuses,
    /// Says nothing any more.
    Stalls,
}

/// A primary that answers one command after the other, by the number of the recipient since its start.
struct Primary {
    taken: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    /// The most messages that stood in line behind one RCPT.
    waiting: Arc<Mutex<Vec<usize>>>,
    stop: Arc<AtomicBool>,
    port: u16,
}

impl Primary {
    fn start(port: u16, mood: impl Fn(usize) -> Mood + Send + Sync + 'static) -> Self {
        let listener = listen(port);
        let primary = Self {
            taken: Arc::default(),
            asked: Arc::default(),
            waiting: Arc::default(),
            stop: Arc::default(),
            port,
        };
        let (taken, asked) = (primary.taken.clone(), primary.asked.clone());
        let (waiting, stop) = (primary.waiting.clone(), primary.stop.clone());
        let mood: Arc<dyn Fn(usize) -> Mood + Send + Sync> = Arc::new(mood);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let session = Session {
                    taken: taken.clone(),
                    asked: asked.clone(),
                    waiting: waiting.clone(),
                    mood: mood.clone(),
                };
                // A line that breaks is the daemon's to see to.
                std::thread::spawn(move || drop(session.talk(stream)));
            }
        });
        primary
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Session {
    taken: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    waiting: Arc<Mutex<Vec<usize>>>,
    mood: Arc<dyn Fn(usize) -> Mood + Send + Sync>,
}

impl Session {
    fn talk(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(LONG))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        stream.write_all(b"220 primary.example ESMTP\r\n")?;
        let (mut line, mut wanted) = (String::new(), false);
        while reader.read_line(&mut line)? > 0 {
            let said = std::mem::take(&mut line);
            let answer = match said.split_whitespace().next().unwrap_or_default() {
                "EHLO" => "250-primary.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
                "RCPT" => {
                    // What was sent behind it before we answered is under way too.
                    std::thread::sleep(Duration::from_millis(5));
                    let behind = reader.buffer().split(|octet| *octet == b'\n');
                    let behind = behind.filter(|line| line.starts_with(b"RCPT")).count();
                    self.waiting.lock().expect("no session panics").push(1 + behind);
                    let mood = (self.mood)(self.asked.fetch_add(1, Ordering::SeqCst));
                    wanted = mood == Mood::Takes;
                    match mood {
                        Mood::Takes => "250 2.1.5 ok\r\n",
                        Mood::Refuses => "550 5.1.1 User unknown in local recipient table\r\n",
                        Mood::Stalls => {
                            std::thread::sleep(LONG);
                            return Ok(());
                        }
                    }
                }
                "BDAT" => {
                    let size = said.split_whitespace().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
                    reader.read_exact(&mut vec![0; size])?;
                    if wanted {
                        self.taken.fetch_add(1, Ordering::SeqCst);
                        "250 2.0.0 taken\r\n"
                    } else {
                        "503 5.5.1 no recipients\r\n"
                    }
                }
                "QUIT" => return stream.write_all(b"221 bye\r\n"),
                _ => "250 ok\r\n",
            };
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    }
}

/// Messages for example.org, each to one recipient.
fn fill(daemon: &Daemon, count: usize) {
    let mut client = connect(daemon.ports().smtp);
    client.say("EHLO client.example");
    for number in 0..count {
        let answer =
            client.send("a@sender.example", &[&format!("u{number}@example.org")], &sample(number, 600));
        assert!(answer.starts_with("250"), "{answer}");
    }
}

fn ask(daemon: &Daemon) {
    connect(daemon.ports().smtp).expect("ETRN example.org", "25");
}

fn status(daemon: &Daemon) -> serde_json::Value {
    daemon.json(&["status", "example.org"]).remove(0)
}

fn parked(daemon: &Daemon, state: &str) -> usize {
    daemon.json(&["list", "--domain", "example.org", "--state", state]).len()
}

fn events(daemon: &Daemon, event: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(event)).count()
}

/// The notices that were written: those that the log tells of, and those that wait for their senders' server.
fn notices(daemon: &Daemon) -> (usize, usize) {
    let waiting = daemon.json(&["list", "--domain", "sender.example.notices.invalid"]).len();
    (events(daemon, "\"event\":\"notice\""), waiting)
}

/// An outage: nobody listens when example.org is asked for.
fn outage(daemon: &Daemon) {
    ask(daemon);
    let over = eventually(LONG, || status(daemon)["last_drain"]["result"].as_str().is_some());
    assert!(over, "{}", daemon.log());
}

#[test]
fn a_half_configured_primary_bounces_nothing() {
    let daemon = Daemon::start(&DaemonOptions { org: "notices = \"all\"".to_owned(), ..Default::default() });
    fill(&daemon, 60);
    outage(&daemon);
    let half = Primary::start(daemon.ports().org, |_| Mood::Refuses);
    ask(&daemon);
    assert!(eventually(LONG, || events(&daemon, "circuit_open") == 1), "{}", daemon.log());
    let all_wait = || parked(&daemon, "failed") == 0 && parked(&daemon, "queued") == 60;
    assert!(eventually(LONG, all_wait), "{}", daemon.log());
    assert_eq!(half.asked.load(Ordering::SeqCst), 5, "one after the other, and no more than it takes");
    let shown = status(&daemon).to_string();
    assert!(shown.contains("5 of 5 recipients were refused for good"), "{shown}");
    ask_while_stopped(&daemon);
    drop(half);

    let well = Primary::start(daemon.ports().org, |_| Mood::Takes);
    assert!(daemon.admin(&["release", "example.org"]).status.success());
    ask(&daemon);
    assert!(eventually(LONG, || well.taken.load(Ordering::SeqCst) == 60), "{}", daemon.log());
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0));
    assert_eq!(notices(&daemon), (0, 0), "nobody was told anything");
    let waiting = well.waiting.lock().expect("no session panics").clone();
    assert_eq!(waiting[0], 1, "after a release one goes alone: {waiting:?}");
    assert!(waiting.iter().any(|waiting| *waiting > 4), "and then more: {waiting:?}");
}

/// Asking for a domain that its circuit stopped is answered, and starts nothing.
fn ask_while_stopped(daemon: &Daemon) {
    connect(daemon.ports().smtp).expect("ETRN example.org", "458");
}

/// Its operator alone says what becomes of it; elsewhere the same refusal is told to its sender meanwhile.
#[test]
fn what_is_refused_for_good_and_held_waits_for_its_operator() {
    let daemon = Daemon::start(&DaemonOptions {
        defaults: "notices = \"all\"\ncircuit = []".to_owned(),
        org: "on-5xx = \"hold\"".to_owned(),
        ..Default::default()
    });
    let ports = daemon.ports();
    let org = Primary::start(ports.org, |number| if number == 0 { Mood::Refuses } else { Mood::Takes });
    let _com = Primary::start(ports.com, |_| Mood::Refuses);
    let mut client = connect(ports.smtp);
    client.expect("EHLO client.example", "250");
    for to in ["u@example.org", "u@example.com"] {
        let answer = client.send("a@sender.example", &[to], &sample(1, 600));
        assert!(answer.starts_with("250"), "{answer}");
    }
    client.expect("ETRN example.org", "25");
    assert!(eventually(LONG, || parked(&daemon, "failed") == 1), "{}", daemon.log());
    client.expect("ETRN example.com", "25");
    assert!(eventually(LONG, || notices(&daemon) == (1, 1)), "{}", daemon.log());
    assert_eq!((parked(&daemon, "failed"), daemon.waiting("example.com")), (1, 0));
    let released = daemon.admin(&["release", "--domain", "example.org", "--state", "failed"]);
    assert!(released.status.success(), "{released:?}");
    client.expect("ETRN example.org", "25");
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0), "{}", daemon.log());
    assert_eq!((org.taken.load(Ordering::SeqCst), notices(&daemon)), (1, (1, 1)));
}

#[test]
fn killed_between_the_stop_and_the_release_of_what_was_refused() {
    let options = DaemonOptions {
        org: "canary = false\ncircuit = [\"off\", \"5/10\"]".to_owned(),
        ..Default::default()
    };
    let mut daemon = Daemon::start(&options);
    fill(&daemon, 40);
    // It takes one, so that others follow without waiting, and stalls with them under way: the drain cannot end.
    let half = Primary::start(daemon.ports().org, |number| match number {
        0 => Mood::Takes,
        1..6 => Mood::Refuses,
        _ => Mood::Stalls,
    });
    ask(&daemon);
    assert!(eventually(LONG, || events(&daemon, "circuit_open") == 1), "{}", daemon.log());
    assert!(eventually(LONG, || parked(&daemon, "failed") == 5), "{}", daemon.log());
    daemon.kill();
    drop(half);
    daemon.run();
    let all_wait = || parked(&daemon, "failed") == 0 && parked(&daemon, "queued") == 39;
    assert!(eventually(LONG, all_wait), "{}", daemon.log());
    ask_while_stopped(&daemon);
    let well = Primary::start(daemon.ports().org, |_| Mood::Takes);
    assert!(daemon.admin(&["release", "example.org"]).status.success());
    ask(&daemon);
    assert!(eventually(LONG, || well.taken.load(Ordering::SeqCst) == 39), "{}", daemon.log());
}

#[test]
fn a_pushed_domain_goes_as_soon_as_its_primary_answers_another() {
    let tables =
        "[[domain]]\nname = \"example.net\"\nmode = \"push\"\nretry = [\"1h\"]\nprimary = \"[127.0.0.1]:";
    let mut options =
        DaemonOptions { org: "mode = \"push\"\nretry = [\"2s\"]".to_owned(), ..Default::default() };
    let daemon = Daemon::prepare(&options);
    options.tables = format!("{tables}{}\"\n", daemon.ports().org);
    daemon.configure(&options);
    let mut daemon = daemon;
    daemon.run();
    fill(&daemon, 3);
    let mut client = connect(daemon.ports().smtp);
    client.say("EHLO client.example");
    for number in 0..20 {
        let answer = client.send("a@sender.example", &["u@example.net"], &sample(number, 600));
        assert!(answer.starts_with("250"), "{answer}");
    }
    let tried = |name: &str| {
        let shown = daemon.json(&["status", name]).remove(0);
        shown["last_drain"]["result"].as_str().is_some_and(|result| result.contains("connection refused"))
    };
    assert!(eventually(LONG, || tried("example.net") && tried("example.org")), "{}", daemon.log());
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    assert!(eventually(LONG, || sink.count() == 23), "{} came\n{}", sink.count(), daemon.log());
}

#[test]
fn two_messages_a_second_and_no_more() {
    let options = DaemonOptions { org: "rate = \"120/m\"".to_owned(), ..Default::default() };
    let daemon = Daemon::start(&options);
    fill(&daemon, 9);
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    let began = Instant::now();
    ask(&daemon);
    assert!(eventually(LONG, || sink.count() == 9), "{}", daemon.log());
    assert!(began.elapsed() >= Duration::from_millis(3900), "{:?}", began.elapsed());
    assert_eq!(sink.connections(), 1);
}

#[test]
fn postfix_that_forgot_its_domain_and_remembers_it() {
    if !have("postfix_that_forgot_its_domain_and_remembers_it", &[Peer::Postfix]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    fill(&daemon, 50);
    outage(&daemon);
    let forgetful = Postfix::start_with(daemon.ports().org, &["virtual_mailbox_domains ="]);
    ask(&daemon);
    assert!(eventually(LONG, || events(&daemon, "circuit_open") == 1), "{}", daemon.log());
    assert!(eventually(LONG, || parked(&daemon, "failed") == 0), "{}", daemon.log());
    assert_eq!(daemon.waiting("example.org"), 50);
    assert_eq!(forgetful.log().matches("Relay access denied").count(), 5);
    drop(forgetful);
    let well = Postfix::start_on(daemon.ports().org);
    assert!(daemon.admin(&["release", "example.org"]).status.success());
    ask(&daemon);
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0), "{}", daemon.log());
    assert!(eventually(LONG, || well.mailbox().len() == 50), "{}", well.log());
}
