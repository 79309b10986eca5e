//! A webhook that takes calls and never answers: mail goes on, the daemon ends when it is told to, and what was to be told is
//! told when somebody answers, under the id that it had.

#![expect(clippy::unwrap_used, reason = "a test says loudly what is wrong")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Sink, connect, eventually, read_call, sample,
};

const LONG: Duration = Duration::from_secs(40);
const MESSAGES: usize = 30;

/// What came: the head and the body of each call.
#[derive(Clone)]
struct Hook {
    port: u16,
    calls: Arc<Mutex<Vec<String>>>,
    answers: Arc<AtomicBool>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let hook = Self { port, calls: Arc::default(), answers: Arc::default() };
        let (calls, answers) = (hook.calls.clone(), hook.answers.clone());
        std::thread::spawn(move || {
            let mut hung = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let Some(call) = read(&mut stream) else { continue };
                calls.lock().unwrap().push(call);
                if answers.load(Ordering::SeqCst) {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                } else {
                    hung.push(stream);
                }
            }
        });
        hook
    }

    /// How often each id came, of calls that tell this.
    fn ids(&self, what: &str) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        for call in self.calls.lock().unwrap().iter().filter(|call| call.contains(what)) {
            let id = call
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("webhook-id: ").map(str::to_owned));
            *ids.entry(id.unwrap()).or_default() += 1;
        }
        ids
    }
}

fn read(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(LONG)).ok()?;
    read_call(stream).map(|(head, body)| format!("{head}\r\n\r\n{body}"))
}

#[test]
fn mail_goes_on_while_a_webhook_hangs_and_nothing_is_told_twice() {
    let hook = Hook::start();
    let tables = format!("[events]\nwebhook = \"http://127.0.0.1:{}/hook\"\n", hook.port);
    let mut daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.send("a@sender.example", &["b@example.org"], &sample(0, 900));
    assert!(eventually(LONG, || !hook.ids("mail-held").is_empty()), "{}", daemon.log());

    // It hangs now.
    let began = Instant::now();
    for number in 1..MESSAGES {
        let reply = client.send("a@sender.example", &["b@example.org"], &sample(number, 900));
        assert!(reply.starts_with("250"), "{reply}");
    }
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    client.expect("ETRN example.org", "25");
    assert!(eventually(LONG, || sink.count() == MESSAGES), "{} came", sink.count());
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0));
    println!(
        "{MESSAGES} accepted, {} delivered, 0 held, 0 lost, 0 doubled in {:?}",
        sink.count(),
        began.elapsed()
    );
    let stopping = Instant::now();
    drop(client);
    assert_eq!(daemon.stop(), Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(15), "{:?}", stopping.elapsed());

    hook.answers.store(true, Ordering::SeqCst);
    let hung: usize = hook.ids("mail-held").values().sum();
    daemon.run();
    assert!(eventually(LONG, || hook.ids("mail-held").values().sum::<usize>() > hung), "{}", daemon.log());
    std::thread::sleep(Duration::from_secs(2));
    let ids = hook.ids("mail-held");
    assert_eq!(ids.len(), 1, "one matter, one id, however often it was called: {ids:?}");
    assert_eq!(ids.values().sum::<usize>(), hung + 1, "and not again once somebody had answered");
    assert_eq!(sink.count(), MESSAGES, "each message once");
}
