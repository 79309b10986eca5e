//! A primary that misbehaves at one stage after the other: nothing is lost, nothing is given up, nothing hangs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Sink, connect, eventually, listen, sample,
};

const LONG: Duration = Duration::from_secs(20);
const MESSAGES: usize = 5;

/// What it says first, and what it says to a command; `None` closes the connection.
type Answer = fn(&str) -> Option<Vec<u8>>;
type Manners = (&'static str, fn() -> Vec<u8>, Answer);

/// A primary that answers like this until it is dropped.
struct Rogue {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rogue {
    fn start(port: u16, (_, greeting, answer): Manners) -> Self {
        let listener = listen(port);
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.load(Ordering::SeqCst) {
                    return;
                }
                // Whatever goes wrong here is what a rogue does.
                let _ = Self::talk(stream, &greeting(), answer);
            }
        });
        Self { port, stop, thread: Some(thread) }
    }

    fn talk(mut stream: TcpStream, greeting: &[u8], answer: Answer) -> std::io::Result<()> {
        stream.set_read_timeout(Some(LONG))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        stream.write_all(greeting)?;
        while !greeting.is_empty() {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some(said) = answer(&line) else { return Ok(()) };
            stream.write_all(&said)?;
        }
        Ok(())
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn ready() -> Vec<u8> {
    b"220 primary.example ESMTP\r\n".to_vec()
}

/// EHLO is answered with all that makes us hurry, everything else as told.
fn but(line: &str, otherwise: &[u8]) -> Option<Vec<u8>> {
    let hello = b"250-primary.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    Some(if line.starts_with("EHLO") { hello.to_vec() } else { otherwise.to_vec() })
}

/// As a server without extensions that takes everything up to DATA.
fn at_data(line: &str, said: &[u8]) -> Option<Vec<u8>> {
    Some(if line.starts_with("DATA") { said.to_vec() } else { b"250 ok\r\n".to_vec() })
}

const ROGUES: &[Manners] = &[
    ("closes at once", Vec::new, |_| None),
    ("is no mail server", || b"\0\xff\x16\x03\x01HTTP\r\n".to_vec(), |_| None),
    ("greets with 421", || b"421 4.3.2 not now\r\n".to_vec(), |_| None),
    ("greets with 554", || b"554 5.3.2 never\r\n".to_vec(), |_| Some(b"221 bye\r\n".to_vec())),
    ("greets without end", || vec![b'2'; 1 << 20], |_| None),
    ("greets with a bare line end", || b"\n\n220 x\r\n".to_vec(), |_| None),
    ("closes after the greeting", ready, |_| None),
    ("refuses EHLO and HELO", ready, |_| Some(b"502 5.5.1 what?\r\n".to_vec())),
    ("answers EHLO without end", ready, |_| Some(b"250-x\r\n".repeat(100_000))),
    ("answers EHLO with two codes", ready, |_| Some(b"250-x\r\n550 y\r\n".to_vec())),
    ("closes after EHLO", ready, |line| line.starts_with("EHLO").then(|| b"250 x\r\n".to_vec())),
    ("says 354 to everything", ready, |_| Some(b"354 go ahead\r\n".to_vec())),
    ("says 354 after EHLO", ready, |line| but(line, b"354 go ahead\r\n")),
    ("refuses MAIL for good", ready, |line| but(line, b"550 5.7.1 no\r\n")),
    ("wants AUTH", ready, |line| but(line, b"530 5.7.0 authenticate first\r\n")),
    ("says 421 in the middle", ready, |line| but(line, b"421 4.3.2 enough\r\n")),
    ("answers twice", ready, |_| Some(b"250 x\r\n250 y\r\n".to_vec())),
    ("answers DATA with 250", ready, |line| at_data(line, b"250 ok\r\n")),
    ("has the content before it was sent", ready, |line| at_data(line, b"354 go\r\n250 ok\r\n")),
    ("says 451 to DATA", ready, |line| at_data(line, b"451 4.3.0 not now\r\n")),
    ("grants STARTTLS and talks on", ready, |line| match line.get(..4) {
        Some("EHLO") => Some(b"250-x\r\n250 STARTTLS\r\n".to_vec()),
        Some("STAR") => Some(b"220 go\r\n250 injected\r\n".to_vec()),
        _ => None,
    }),
    ("grants STARTTLS and cannot", ready, |line| match line.get(..4) {
        Some("EHLO") => Some(b"250-x\r\n250 STARTTLS\r\n".to_vec()),
        Some("STAR") => Some(b"220 go\r\n".to_vec()),
        _ => None,
    }),
];

fn drains(daemon: &Daemon) -> usize {
    daemon.log().matches("\"event\":\"drain_ended\"").count()
}

fn filled(daemon: &Daemon) {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for seed in 0..MESSAGES {
        assert!(client.send("a@sender.example", &["b@example.org"], &sample(seed, 2000)).starts_with("250"));
    }
}

#[test]
fn whatever_the_primary_says_the_mail_stays_until_it_is_taken() {
    let daemon = Daemon::start(&DaemonOptions::default());
    filled(&daemon);
    for manners in ROGUES {
        let _rogue = Rogue::start(daemon.ports().org, *manners);
        let before = drains(&daemon);
        connect(daemon.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 5 pending");
        assert!(eventually(LONG, || drains(&daemon) > before), "a primary that {} keeps us", manners.0);
        assert_eq!(daemon.waiting("example.org"), 5, "a primary that {}", manners.0);
    }
    assert!(daemon.json(&["list", "--state", "failed"]).is_empty());
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    connect(daemon.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 5 pending");
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0));
    assert_eq!(sink.count(), MESSAGES, "each once");
}

#[test]
fn what_the_next_hop_cannot_take_is_parked_with_one_alarm() {
    let daemon = Daemon::start(&DaemonOptions::default());
    filled(&daemon);
    let sink = Sink::start(
        daemon.ports().org,
        Behaviour { keywords: vec!["PIPELINING", "SIZE 1000"], ..Behaviour::default() },
    );
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LONG, || daemon.json(&["list", "--state", "failed"]).len() == MESSAGES));
    assert_eq!(sink.count(), 0);
    let log = daemon.log();
    assert_eq!(log.matches("next_hop_incapable").count(), 1, "{log}");
    assert!(log.contains("552 5.3.4"), "{log}");
}

#[test]
fn a_silent_primary_holds_up_no_shutdown() {
    let mut daemon = Daemon::start(&DaemonOptions::default());
    filled(&daemon);
    let silent = listen(daemon.ports().org);
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    let held_open = silent.accept().expect("the courier comes");
    let began = std::time::Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(held_open);
    daemon.run();
    assert_eq!(daemon.waiting("example.org"), 5);
}
