//! Either side is killed (SIGKILL) at every step of the dialogue with the mail server behind the agent: at each line
//! that this one hears, before it answers and right after. Nothing is lost, nothing changes, and a message comes twice
//! at most, if its 250 was on its way or not recorded yet.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_integration_tests::{Provider, eventually, without_received};

const LIMIT: Duration = Duration::from_secs(60);

/// What happens at one step: the steps are counted, and at one of them the line stands still until somebody was killed.
#[derive(Debug, Default)]
struct Steps {
    seen: AtomicUsize,
    /// Where the line stands still; 0 is nowhere.
    halt: AtomicUsize,
    halted: AtomicUsize,
    taken: Mutex<Vec<Vec<u8>>>,
}

impl Steps {
    /// One more step; false where it stood still, and the connection is of no more use.
    fn step(&self) -> bool {
        let here = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if here != self.halt.load(Ordering::SeqCst) {
            return true;
        }
        self.halted.store(here, Ordering::SeqCst);
        eventually(LIMIT, || self.halt.load(Ordering::SeqCst) == 0);
        false
    }
}

fn serve(listener: &TcpListener, steps: &Arc<Steps>) {
    for stream in listener.incoming().flatten() {
        let steps = Arc::clone(steps);
        std::thread::spawn(move || converse(BufReader::new(stream), &steps));
    }
}

fn converse(mut peer: BufReader<TcpStream>, steps: &Steps) -> Option<()> {
    let mut content = None;
    answer(&mut peer, "220 sink.example", steps)?;
    loop {
        let mut line = Vec::new();
        peer.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
        if let Some(mut so_far) = content.take() {
            if line != b".\r\n" {
                Vec::extend_from_slice(&mut so_far, line.strip_prefix(b".").unwrap_or(&line));
                content = Some(so_far);
                continue;
            }
            if !steps.step() {
                return None;
            }
            steps.taken.lock().expect("nobody panics").push(so_far);
            answer(&mut peer, "250 2.0.0 taken", steps)?;
            continue;
        }
        if !steps.step() {
            return None;
        }
        let reply = match line.get(..4)? {
            b"EHLO" => "250-sink.example\r\n250 8BITMIME",
            b"DATA" => {
                content = Some(Vec::new());
                "354 go on"
            }
            b"QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 ok",
        };
        answer(&mut peer, reply, steps)?;
    }
}

fn answer(peer: &mut BufReader<TcpStream>, reply: &str, steps: &Steps) -> Option<()> {
    peer.get_mut().write_all(format!("{reply}\r\n").as_bytes()).ok()?;
    steps.step().then_some(())
}

/// Collects two messages for each step, with one side killed there; says how many came twice.
fn killed_at_every_step(kill_provider: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let local = listener.local_addr().expect("a listener has an address");
    let steps = Arc::<Steps>::default();
    let serving = Arc::clone(&steps);
    std::thread::spawn(move || serve(&listener, &serving));
    let mut provider = Provider::usual();
    let agent = provider.agent(&local.to_string(), "");
    let (mut killed, mut doubled) = (0, 0);
    for halt in 1.. {
        let sent = provider.fill([400, 500]);
        steps.taken.lock().expect("nobody panics").clear();
        steps.seen.store(0, Ordering::SeqCst);
        steps.halted.store(0, Ordering::SeqCst);
        steps.halt.store(halt, Ordering::SeqCst);
        let mut child = agent.collecting();
        let mut over = false;
        let reached = eventually(LIMIT, || {
            over = child.try_wait().expect("a child can be waited for").is_some();
            over || steps.halted.load(Ordering::SeqCst) == halt
        });
        assert!(reached, "neither the step nor the end was reached");
        if over {
            break;
        }
        if kill_provider {
            provider.daemon.kill();
        } else {
            let _ = child.kill();
        }
        killed += 1;
        steps.halt.store(0, Ordering::SeqCst);
        let _ = child.wait();
        if kill_provider {
            provider.daemon.run();
        }
        let emptied = eventually(LIMIT, || {
            let _ = agent.collect();
            provider.daemon.waiting("example.org") == 0
        });
        assert!(emptied, "step {halt}: {} wait", provider.daemon.waiting("example.org"));
        let mut taken: Vec<_> =
            steps.taken.lock().expect("nobody panics").iter().map(|one| without_received(one)).collect();
        taken.sort();
        let all = taken.len();
        // A disk that is slow to confirm leaves both unrecorded; one that came three times was delivered after it was.
        let thrice = taken.chunk_by(|a, b| a == b).any(|same| same.len() > 2);
        assert!(!thrice, "step {halt}: {all} came\n{}", provider.daemon.log());
        taken.dedup();
        let mut wanted = sent;
        wanted.sort();
        assert!(taken == wanted, "step {halt}: lost or changed");
        doubled += all - 2;
    }
    // Greeting, EHLO, twice MAIL, RCPT, DATA and content, QUIT: before and after each answer.
    assert!(killed >= 20, "only {killed} steps");
    format!("killed at {killed} steps: none lost, {doubled} messages twice")
}

#[test]
fn the_agent_is_killed_at_every_step() {
    println!("{}", killed_at_every_step(false));
}

#[test]
fn the_provider_is_killed_at_every_step() {
    println!("{}", killed_at_every_step(true));
}
