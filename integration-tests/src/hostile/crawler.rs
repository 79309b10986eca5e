//! A primary that is quick until a message comes, and then takes it, or answers it, an octet a second.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::eventually;

/// Between two octets.
const PAUSE: Duration = Duration::from_secs(1);
/// What the kernel may take for it beforehand; it makes twice as much of it.
const WINDOW: u32 = 4096;

/// What it does slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// It offers no CHUNKING, says 354, and reads.
    Data,
    /// It offers CHUNKING, and reads the chunk.
    Chunk,
    /// It reads as it can, and answers in lines without end.
    Answer,
}

#[derive(Debug)]
struct Shared {
    slow: Slow,
    over: AtomicBool,
    connections: AtomicUsize,
    /// Octets of content so far.
    octets: AtomicU64,
}

/// A slow primary, which never comes to its end; when it is dropped its connections end, and its port is free again.
#[derive(Debug)]
pub struct Crawler {
    port: u16,
    shared: Arc<Shared>,
}

impl Crawler {
    /// Listens on this port of loopback.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start(port: u16, slow: Slow) -> Self {
        let listener = narrow(port).expect("the primary's port is free");
        let shared = Arc::new(Shared {
            slow,
            over: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            octets: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&theirs);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    Session { stream: BufReader::with_capacity(1, stream), shared }.run()
                });
            }
        });
        Self { port, shared }
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Octets of content that it took so far.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.shared.octets.load(Ordering::SeqCst)
    }
}

impl Drop for Crawler {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        eventually(Duration::from_secs(60), || TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_ok());
    }
}

/// A listener whose connections have a small window, which only counts if it is there before they are.
fn narrow(port: u16) -> std::io::Result<TcpListener> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_recv_buffer_size(WINDOW)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        socket.listen(64)?.into_std()
    })?;
    listener.set_nonblocking(false)?;
    Ok(listener)
}

struct Session {
    /// It holds one octet, so that all others stay where they are until they are asked for.
    stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl Session {
    fn run(mut self) -> Option<()> {
        self.say("220 slow.example\r\n")?;
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            match line.split_whitespace().next().unwrap_or_default() {
                "EHLO" if self.shared.slow == Slow::Data => self.say("250 slow.example\r\n")?,
                "EHLO" => self.say("250-slow.example\r\n250 CHUNKING\r\n")?,
                "DATA" => {
                    self.say("354 go on\r\n")?;
                    self.message(None)?;
                }
                "BDAT" => self.message(Some(line.split_whitespace().nth(1)?.parse().ok()?))?,
                "QUIT" => return self.say("221 2.0.0 bye\r\n"),
                _ => self.say("250 2.0.0 ok\r\n")?,
            }
        }
    }

    fn say(&mut self, text: &str) -> Option<()> {
        self.stream.get_mut().write_all(text.as_bytes()).ok()
    }

    /// As long as an octet takes; nothing when it is over.
    fn pause(&self) -> Option<()> {
        (!eventually(PAUSE, || self.shared.over.load(Ordering::SeqCst))).then_some(())
    }

    /// One message, of this size (BDAT LAST) or up to its dot, and the beginning of an answer.
    fn message(&mut self, size: Option<usize>) -> Option<()> {
        let mut content = Vec::new();
        while size.map_or(!content.ends_with(b"\r\n.\r\n"), |size| content.len() < size) {
            let quick = self.shared.slow == Slow::Answer;
            let left = size.map_or(usize::MAX, |size| size - content.len());
            let mut octets = vec![0; if quick { left.min(4096) } else { 1 }];
            // With a buffer of one octet, whatever is longer is read past it.
            let count = self.stream.read(&mut octets).ok().filter(|count| *count > 0)?;
            content.extend_from_slice(&octets[..count]);
            self.shared.octets.fetch_add(count as u64, Ordering::SeqCst);
            if !quick {
                self.pause()?;
            }
        }
        loop {
            for octet in b"250-slowly\r\n" {
                self.stream.get_mut().write_all(&[*octet]).ok()?;
                self.pause()?;
            }
        }
    }
}
