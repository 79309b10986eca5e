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
use crate::limits::{AFTER_FAILURE, IDLE, MAX_CONNECTIONS};
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
                    return (IdleStream::new(stream, slot, IDLE), Peer { uid: peer.uid(), gid: peer.gid() });
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
    deadline: Pin<Box<Sleep>>,
    patience: Duration,
    _slot: OwnedSemaphorePermit,
}

impl<S> IdleStream<S> {
    pub(crate) fn new(stream: S, slot: OwnedSemaphorePermit, patience: Duration) -> Self {
        Self { stream, deadline: Box::pin(sleep(patience)), patience, _slot: slot }
    }

    /// Passes on what was done; while nothing can be done, the deadline runs.
    fn watch<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + self.patience);
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
        self.watch(done, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, octets);
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

    #[tokio::test]
    async fn a_silent_connection_ends_and_a_busy_one_does_not() {
        let slots = Arc::new(Semaphore::new(1));
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut stream = IdleStream::new(ours, slot, Duration::from_millis(200));
        let mut octet = [0_u8; 1];
        for _ in 0..4 {
            sleep(Duration::from_millis(100)).await;
            theirs.write_all(b"x").await.unwrap();
            stream.read_exact(&mut octet).await.unwrap();
        }
        let end = stream.read(&mut octet).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        assert_eq!(slots.available_permits(), 0);
        drop(stream);
        assert_eq!(slots.available_permits(), 1);
    }
}
