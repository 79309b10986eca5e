//! Intake that never stops: clients that note what was acknowledged, and come back after whatever happens.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sample;

/// To whom a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// b@example.org.
    Org,
    /// b@example.com.
    Com,
}

impl Recipient {
    /// Its domain.
    #[must_use]
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Org => "example.org",
            Self::Com => "example.com",
        }
    }

    /// The recipients of a message.
    #[must_use]
    pub const fn of(number: usize) -> &'static [Self] {
        match number % 8 {
            0 => &[Self::Com],
            1 => &[Self::Org, Self::Com],
            _ => &[Self::Org],
        }
    }
}

/// What a message says: most are small, some have a file of their own in the store.
#[must_use]
pub fn body_of(number: usize) -> Vec<u8> {
    let size = match number % 100 {
        50 => 500 << 10,
        10 | 30 | 70 => 50 << 10,
        other => 300 + other * 70,
    };
    sample(number, size)
}

#[derive(Debug, Default)]
struct Shared {
    next: AtomicUsize,
    stop: AtomicBool,
    pause: AtomicU64,
    acknowledged: Mutex<BTreeSet<usize>>,
    refused: AtomicU64,
    broken: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// Clients that send until they are stopped.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// So many clients of this port; each waits `pause` after every message.
    #[must_use]
    pub fn start(port: u16, clients: usize, pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        shared.pause.store(u64::try_from(pause.as_micros()).unwrap_or(0), Ordering::Relaxed);
        let clients = (0..clients).map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                while !shared.stop.load(Ordering::SeqCst) {
                    if call(port, &shared).is_err() {
                        shared.broken.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            })
        });
        let clients = clients.collect();
        Self { shared, clients }
    }

    /// The numbers of the messages for which a client heard 250.
    ///
    /// # Panics
    /// When a client panicked.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<usize> {
        self.shared.acknowledged.lock().expect("no client panics").clone()
    }

    /// How many.
    ///
    /// # Panics
    /// When a client panicked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.acknowledged.lock().expect("no client panics").len()
    }

    /// Messages that were refused for now.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Connections that ended in the middle.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Answers that should not have been given: refusals for good.
    ///
    /// # Panics
    /// When a client panicked.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.shared.wrong.lock().expect("no client panics").clone()
    }

    /// Ends it; what was acknowledged stays known.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One connection, until it breaks or the traffic ends.
fn call(port: u16, shared: &Shared) -> std::io::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let mut line = BufReader::new(stream);
    if !reply(&mut line)?.starts_with("220") {
        return Err(std::io::Error::other("no greeting"));
    }
    line.get_mut().write_all(b"EHLO client.example\r\n")?;
    reply(&mut line)?;
    while !shared.stop.load(Ordering::SeqCst) {
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        let last = send(&mut line, number)?;
        if last.starts_with("250") {
            shared.acknowledged.lock().expect("no client panics").insert(number);
        } else if last.starts_with('4') {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
            if last.starts_with("421") {
                return Ok(());
            }
        } else {
            shared.wrong.lock().expect("no client panics").push(last);
        }
        std::thread::sleep(Duration::from_micros(shared.pause.load(Ordering::Relaxed)));
    }
    Ok(())
}

/// Sends one message; the first reply that is no 250, or the last.
fn send(line: &mut BufReader<TcpStream>, number: usize) -> std::io::Result<String> {
    let (content, to) = (body_of(number), Recipient::of(number));
    let mut octets = b"MAIL FROM:<a@sender.example>\r\n".to_vec();
    for recipient in to {
        octets.extend_from_slice(format!("RCPT TO:<b@{}>\r\n", recipient.domain()).as_bytes());
    }
    octets.extend_from_slice(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
    octets.extend_from_slice(&content);
    line.get_mut().write_all(&octets)?;
    let mut said = String::new();
    for _ in 0..to.len() + 2 {
        let reply = reply(line)?;
        if said.is_empty() && !reply.starts_with("250") {
            said.clone_from(&reply);
        }
        if reply.starts_with("421") {
            return Ok(reply);
        }
    }
    if said.is_empty() {
        return Ok("250".to_owned());
    }
    // What a refused recipient left of the transaction.
    line.get_mut().write_all(b"RSET\r\n")?;
    reply(line)?;
    Ok(said)
}

fn reply(line: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    loop {
        let mut text = String::new();
        if line.read_line(&mut text)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if text.as_bytes().get(3) != Some(&b'-') {
            return Ok(text.trim_end().to_owned());
        }
    }
}
