//! Waiting, without holding a buffer meanwhile.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep_until, timeout};

use crate::buffers::{Buffer, Buffers};
use crate::limits::{LINGER, LINGER_OCTETS, WRITE_TIMEOUT};
use crate::server_loop::{Ended, Stop};
use crate::stream::Stream;

/// What ended a wait.
pub(super) enum Woken<'a> {
    /// This many octets stand in the buffer; none means the client closed its side.
    Read(Buffer<'a>, usize),
    /// The deadline passed.
    Deadline,
    /// The program stops.
    Stop(Stop),
    /// The connection broke.
    Broken(io::Error),
}

/// One timer for the life of a session. Deadlines mostly move away, so it is left to fire early and then set to
/// what is wanted by then: a session costs the timer wheel nothing per command.
#[derive(Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready when `deadline` has passed.
    fn poll(&mut self, deadline: Option<Instant>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline.map(tokio::time::Instant::from_std) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// Waits for octets, for the deadline or for a stop beyond `stopped`. A buffer is taken only when there is something
/// to read into it, so a session that waits holds none.
pub(super) async fn for_octets<'a>(
    stream: &mut Stream,
    buffers: &'a Buffers,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
    stop: &mut watch::Receiver<Stop>,
    stopped: Stop,
) -> Woken<'a> {
    let mut beyond = pin!(beyond(stop, stopped));
    poll_fn(|cx| {
        let mut buffer = buffers.take();
        let mut read = ReadBuf::new(&mut buffer);
        match Pin::new(&mut *stream).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                let filled = read.filled().len();
                return Poll::Ready(Woken::Read(buffer, filled));
            }
            // A TLS peer that leaves without saying so; what it had said before is complete or void by framing.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Poll::Ready(Woken::Read(buffer, 0));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Woken::Broken(error)),
            Poll::Pending => drop(buffer),
        }
        if alarm.poll(deadline, cx).is_ready() {
            return Poll::Ready(Woken::Deadline);
        }
        beyond.as_mut().poll(cx).map(Woken::Stop)
    })
    .await
}

async fn beyond(stop: &mut watch::Receiver<Stop>, stopped: Stop) -> Stop {
    match stop.wait_for(|wanted| *wanted > stopped).await {
        Ok(wanted) => *wanted,
        // Whoever could have stopped us is gone, and with it whatever we work for.
        Err(_) => Stop::Now,
    }
}

/// Writes everything, in one call where the kernel has room: then nothing waits, and no clock is looked at.
pub(super) async fn write_all(
    stream: &mut Stream,
    octets: &[u8],
    stop: &mut watch::Receiver<Stop>,
) -> Result<(), Ended> {
    let at_once = poll_fn(|cx| {
        let written = match Pin::new(&mut *stream).poll_write(cx, octets)? {
            Poll::Ready(written) => written,
            Poll::Pending => 0,
        };
        let done = written == octets.len() && Pin::new(&mut *stream).poll_flush(cx)?.is_ready();
        Poll::Ready(io::Result::Ok((written, done)))
    });
    match at_once.await.map_err(Ended::Broken)? {
        (_, true) => Ok(()),
        // Boxed: it is seldom there, and would make every session larger.
        (written, false) => Box::pin(write_rest(stream, &octets[written..], stop)).await,
    }
}

async fn write_rest(
    stream: &mut Stream,
    octets: &[u8],
    stop: &mut watch::Receiver<Stop>,
) -> Result<(), Ended> {
    let now = tokio::select! {
        biased;
        written = timeout(WRITE_TIMEOUT, async {
            stream.write_all(octets).await?;
            stream.flush().await
        }) => return match written {
            Err(_) => Err(Ended::Slow),
            Ok(Err(error)) => Err(Ended::Broken(error)),
            Ok(Ok(())) => Ok(()),
        },
        now = stop.wait_for(|wanted| *wanted == Stop::Now) => now,
    };
    let _either_way_it_is_over = now;
    Err(Ended::Stopped)
}

/// Closes our side, then throws away what still comes, for a moment: closing with octets unread would reset the
/// connection, and the reset would overtake our last answer.
pub(super) async fn linger(stream: &mut Stream, buffers: &Buffers) {
    let mut left = LINGER_OCTETS;
    let _in_time = timeout(LINGER, async {
        if stream.shutdown().await.is_err() {
            return;
        }
        while left > 0 {
            let count = poll_fn(|cx| {
                let mut buffer = buffers.take();
                let mut read = ReadBuf::new(&mut buffer);
                let polled = Pin::new(&mut *stream).poll_read(cx, &mut read);
                polled.map(|done| done.map_or(0, |()| read.filled().len()))
            })
            .await;
            if count == 0 {
                return;
            }
            left = left.saturating_sub(count);
        }
    })
    .await;
}
