//! The loop that drives one client machine over one stream, reading while it writes.

#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use restante_smtp::{ClientEvent, ClientSession};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::limits::{CLIENT_READ, CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, TRANSMIT_AHEAD};
use crate::stream::{Early, Stream};
use crate::tls_client::ClientTls;
use crate::tls_server::TlsError;

/// A client machine on its stream.
///
/// The caller takes events with [`poll_event`](Self::poll_event), works on the machine, and calls
/// [`exchange`](Self::exchange) when there is nothing left to do but wait. What it holds is bounded: replies are read
/// a few KiB at a time, and [`is_hungry`](Self::is_hungry) says when there is no room for more content.
#[derive(Debug)]
pub struct ClientConnection<S> {
    stream: S,
    session: ClientSession,
    outbox: Vec<u8>,
    written: usize,
    unflushed: bool,
    write_broken: bool,
    inbox: Box<[u8]>,
    trouble: Option<io::Error>,
}

/// Why a connection could not go on inside TLS.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Octets stood behind the 220: never read as anything.
    #[error("octets between the answer to STARTTLS and the start of TLS")]
    Early,
    /// The connection broke, or was closed.
    #[error("connection lost before the start of TLS")]
    Lost,
    /// The handshake did not come about.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl UpgradeError {
    /// Whether somebody talked where nobody may: no accident that another try in clear would mend.
    #[must_use]
    pub const fn is_injection(&self) -> bool {
        matches!(self, Self::Early)
    }

    /// In words for an operator.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Tls(error) => error.in_words(),
            other => other.to_string(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientConnection<S> {
    /// Puts a machine on a stream.
    #[must_use]
    pub fn new(stream: S, session: ClientSession) -> Self {
        Self {
            stream,
            session,
            outbox: Vec::new(),
            written: 0,
            unflushed: false,
            write_broken: false,
            inbox: vec![0; CLIENT_READ].into_boxed_slice(),
            trouble: None,
        }
    }

    /// The machine.
    #[must_use]
    pub const fn session(&self) -> &ClientSession {
        &self.session
    }

    /// The machine, to work on.
    pub const fn session_mut(&mut self) -> &mut ClientSession {
        &mut self.session
    }

    /// The machine's next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.session.poll_event()
    }

    /// What the network said when the connection broke, for the log.
    #[must_use]
    pub const fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// Whether more content, or another transaction, should be handed to the machine before waiting.
    pub fn is_hungry(&mut self) -> bool {
        // What was written goes before more comes, but never by moving more than was written.
        if self.written > self.outbox.len() / 2 {
            self.outbox.drain(..self.written);
            self.written = 0;
        }
        self.session.poll_transmit(&mut self.outbox);
        !self.write_broken && self.outbox.len() - self.written < TRANSMIT_AHEAD
    }

    /// Sends what there is to send and waits until something came in, there is room for more content, or a deadline
    /// passed (the machine is told of each). May be dropped at any time without losing anything.
    pub async fn exchange(&mut self) {
        let deadline = self.session.poll_timeout().map(Instant::from_std);
        let mut alarm = pin!(deadline.map(sleep_until));
        poll_fn(|cx| self.poll_exchange(cx, alarm.as_mut())).await;
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>, alarm: Pin<&mut Option<Sleep>>) -> Poll<()> {
        let was_full = !self.is_hungry();
        if !self.write_broken
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            // The server may have said why before it closed, so what it sent is still read.
            self.trouble = Some(error);
            self.write_broken = true;
        }
        if let Poll::Ready(read) = self.poll_receive(cx) {
            let now = now();
            match read {
                Ok(0) => self.session.handle_eof(),
                Ok(count) => self.session.handle_bytes(now, &self.inbox[..count]),
                Err(error) => {
                    self.trouble = Some(error);
                    self.session.handle_eof();
                }
            }
            return Poll::Ready(());
        }
        if alarm.as_pin_mut().is_some_and(|alarm| alarm.poll(cx).is_ready()) {
            self.session.handle_timeout(now());
            return Poll::Ready(());
        }
        if was_full && self.is_hungry() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.outbox.len() {
                let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outbox[self.written..]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += count;
                self.unflushed = true;
            }
            self.outbox.clear();
            self.written = 0;
            if !self.session.poll_transmit(&mut self.outbox) {
                break;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.inbox);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
            Ok(()) => Poll::Ready(Ok(buffer.filled().len())),
            // TLS closed without saying so; what was said before stands by its framing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Closes the stream, politely but not for long.
    pub async fn close(mut self) {
        let shutdown = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx));
        // Whether the peer heard it makes no difference to anybody.
        let _ = timeout(CLOSE_TIMEOUT, shutdown).await;
    }
}

impl ClientConnection<Stream> {
    /// Goes on inside TLS after [`ClientEvent::TlsGranted`], with `fresh`, a new machine. All of the old one's events
    /// must have been taken.
    ///
    /// # Errors
    /// [`UpgradeError`]; the connection is closed then.
    pub async fn upgrade(
        self,
        tls: &ClientTls,
        name: ServerName<'static>,
        fresh: impl FnOnce(std::time::Instant) -> ClientSession,
    ) -> Result<Self, UpgradeError> {
        self.upgrade_within(tls, name, HANDSHAKE_TIMEOUT, fresh).await
    }

    /// The same with a handshake that takes no longer than `limit`.
    ///
    /// # Errors
    /// [`UpgradeError`]; the connection is closed then.
    pub async fn upgrade_within(
        mut self,
        tls: &ClientTls,
        name: ServerName<'static>,
        limit: Duration,
        fresh: impl FnOnce(std::time::Instant) -> ClientSession,
    ) -> Result<Self, UpgradeError> {
        // [3207-4.2-client]: nothing early crosses a change of layer.
        match self.stream.nothing_early() {
            Ok(Early::Nothing) => {}
            Ok(Early::Octets) => return Err(UpgradeError::Early),
            Ok(Early::Closed) | Err(_) => return Err(UpgradeError::Lost),
        }
        let stream = self.stream.connect_tls(tls, name, limit).await?;
        Ok(Self::new(stream, fresh(now())))
    }
}

impl ClientConnection<Stream> {
    /// Gives the stream away once the machine is spent and the roles are turned (RFC 2645 5.3): whoever gets it greets.
    ///
    /// # Errors
    /// [`UpgradeError::Early`] where octets stood behind the 250, or [`UpgradeError::Lost`]; the connection is closed
    /// then.
    pub fn turned(mut self) -> Result<Stream, UpgradeError> {
        // [2645-early] nothing early crosses a change of role.
        match self.stream.nothing_early() {
            Ok(Early::Nothing) => Ok(self.stream),
            Ok(Early::Octets) => Err(UpgradeError::Early),
            Ok(Early::Closed) | Err(_) => Err(UpgradeError::Lost),
        }
    }
}

impl<S> ClientConnection<S> {
    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.stream
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
