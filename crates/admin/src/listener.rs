//! Accepting: a bounded number of connections, each with its peer's credentials and an end to its patience.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::events;
use crate::limits::{AFTER_FAILURE, IDLE, IDLE_IN_ANSWER, IDLE_IN_REQUEST, MAX_CONNECTIONS};
use crate::peer::Peer;

/// The socket with its slots.
pub(crate) struct AdminListener {
    socket: UnixListener,
    slots: Arc<Semaphore>,
}

impl AdminListener {
    pub(crate) fn new(socket: UnixListener) -> Self {
        Self { socket, slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for AdminListener {
    type Io = IdleStream<UnixStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the slots are never closed");
            let accepted = self.socket.accept().await;
            let known = accepted.and_then(|(stream, _)| stream.peer_cred().map(|peer| (stream, peer)));
            match known {
                Ok((stream, peer)) => {
                    return (
                        IdleStream::new(stream, slot, Patience::USUAL),
                        Peer { uid: peer.uid(), gid: peer.gid() },
                    );
                }
                Err(error) => {
                    events::accept_failed(&error);
                    sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Err(io::Error::other("a socket has no credentials of its own"))
    }
}

impl Connected<IncomingStream<'_, AdminListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, AdminListener>) -> Self {
        *stream.remote_addr()
    }
}

/// A connection that ends when nothing moved on it for too long.
pub(crate) struct IdleStream<S> {
    stream: S,
    /// Since when nothing moved.
    since: Instant,
    deadline: Pin<Box<Sleep>>,
    /// What the connection waits for.
    phase: Phase,
    patience: Patience,
    _slot: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request, the first or the next.
    Idle,
    /// A request has begun: the rest of it, or what is made of it.
    Request,
    /// There is more to write than the client has read.
    Answer,
}

/// How long nothing may move.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    idle: Duration,
    request: Duration,
    answer: Duration,
}

impl Patience {
    const USUAL: Self = Self { idle: IDLE, request: IDLE_IN_REQUEST, answer: IDLE_IN_ANSWER };

    /// The same whatever it waits for.
    pub(crate) const fn same(span: Duration) -> Self {
        Self { idle: span, request: span, answer: span }
    }
}

impl<S> IdleStream<S> {
    pub(crate) fn new(stream: S, slot: OwnedSemaphorePermit, patience: Patience) -> Self {
        let (since, deadline) = (Instant::now(), Box::pin(sleep(patience.idle)));
        Self { stream, since, deadline, phase: Phase::Idle, patience, _slot: slot }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let patience = match phase {
            Phase::Idle => self.patience.idle,
            Phase::Request => self.patience.request,
            Phase::Answer => self.patience.answer,
        };
        self.deadline.as_mut().reset(self.since + patience);
    }

    fn moved(&mut self, phase: Phase) {
        self.since = Instant::now();
        self.enter(phase);
    }

    /// While nothing can be done, the deadline runs.
    fn watch<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            return done;
        }
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // A request has its time from its first octet on: who sends one octet a minute keeps no slot.
        if done.is_ready() && self.phase != Phase::Request {
            self.moved(Phase::Request);
        }
        self.watch(done, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, octets);
        if done.is_ready() {
            self.moved(Phase::Idle);
        } else if self.phase != Phase::Answer {
            self.enter(Phase::Answer);
        }
        self.watch(done, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    const PATIENCE: Patience = Patience { idle: ms(100), request: ms(700), answer: ms(1500) };

    async fn pair() -> (IdleStream<UnixStream>, UnixStream, Arc<Semaphore>) {
        let slots = Arc::new(Semaphore::new(1));
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        (IdleStream::new(ours, slot, PATIENCE), theirs, slots)
    }

    /// The time that it waited for, which is less than what passes on a busy machine.
    async fn ends_after(stream: &mut IdleStream<UnixStream>) -> Duration {
        let end = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        stream.deadline.deadline() - stream.since
    }

    #[tokio::test]
    async fn a_connection_without_a_request_gives_its_slot_back_soon() {
        let (mut stream, _theirs, slots) = pair().await;
        assert!((PATIENCE.idle..PATIENCE.request).contains(&ends_after(&mut stream).await));
        assert_eq!(slots.available_permits(), 0);
        drop(stream);
        assert_eq!(slots.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_request_has_longer_and_an_answered_one_has_not() {
        let (mut stream, mut theirs, _slots) = pair().await;
        theirs.write_all(b"x").await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        assert!((PATIENCE.request..PATIENCE.answer).contains(&ends_after(&mut stream).await));
        let (mut stream, mut theirs, _slots) = pair().await;
        theirs.write_all(b"x").await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        stream.write_all(b"y").await.unwrap();
        assert!((PATIENCE.idle..PATIENCE.request).contains(&ends_after(&mut stream).await));
    }

    #[tokio::test]
    async fn a_request_that_drips_in_has_no_longer() {
        let (mut stream, mut theirs, _slots) = pair().await;
        let dripping = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                sleep(ms(20)).await;
            }
        });
        let mut octets = 0;
        let end = loop {
            match stream.read(&mut [0]).await {
                Ok(count) => octets += count,
                Err(error) => break error,
            }
            assert!(octets < 1000, "it goes on for ever");
        };
        assert!(end.kind() == io::ErrorKind::TimedOut && octets > 0, "{end} after {octets}");
        drop(stream);
        dripping.await.unwrap();
    }

    #[tokio::test]
    async fn who_reads_slowly_has_longest() {
        let (mut stream, theirs, _slots) = pair().await;
        let began = Instant::now();
        let full = vec![0; 1 << 20];
        let end = stream.write_all(&full).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PATIENCE.answer);
        drop(theirs);
    }
}
