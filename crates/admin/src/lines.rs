//! Streams of lines, sent in chunks, with an end that tells them from a cut connection.

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::poll_fn;
use restante_api::{ApiError, Line, write_json};
use restante_queue::StoreError;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::limits::{CHUNK, CHUNKS_AHEAD, HEARTBEAT};
use crate::refusal::Refusal;

/// Why a stream ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client left, or the server stops: nobody is there to be told.
    Gone,
    /// It went wrong.
    Refused(ApiError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(Refusal::from(error).0)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.0)
    }
}

/// The sending end: lines are collected into chunks, and a slow client makes the sender wait.
pub(crate) struct Lines<T, E> {
    chunks: mpsc::Sender<Bytes>,
    stopping: watch::Receiver<bool>,
    buffer: Vec<u8>,
    sent: Instant,
    of: PhantomData<fn(T, E)>,
}

/// A stream and the answer that carries it.
pub(crate) fn open<T, E>(stopping: &watch::Receiver<bool>) -> (Lines<T, E>, Response) {
    let (chunks, mut arriving) = mpsc::channel(CHUNKS_AHEAD);
    let body = poll_fn(move |cx| arriving.poll_recv(cx).map(|chunk| chunk.map(Ok::<_, Infallible>)));
    let response = ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response();
    let lines = Lines {
        chunks,
        stopping: stopping.clone(),
        buffer: Vec::new(),
        sent: Instant::now(),
        of: PhantomData,
    };
    (lines, response)
}

impl<T: Serialize, E: Serialize> Lines<T, E> {
    /// One thing of many; it goes out with the next full chunk.
    pub(crate) async fn item(&mut self, item: &T) -> Result<(), Stop> {
        self.write(&Line::<&T, &E>::Item(item));
        if self.buffer.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    /// One thing that the client should see at once.
    pub(crate) async fn now(&mut self, item: &T) -> Result<(), Stop> {
        self.item(item).await?;
        self.flush().await
    }

    /// A sign of life, if the stream was silent for long.
    pub(crate) async fn breathe(&mut self) -> Result<(), Stop> {
        if self.sent.elapsed() < HEARTBEAT {
            return if self.is_gone() { Err(Stop::Gone) } else { Ok(()) };
        }
        self.write(&Line::<&T, &E>::Wait {});
        self.flush().await
    }

    /// Sends what is there.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        if self.is_gone() {
            return Err(Stop::Gone);
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        let mut stopping = self.stopping.clone();
        let sent = tokio::select! {
            sent = self.chunks.send(chunk) => sent,
            _ = stopping.wait_for(|stopping| *stopping) => return Err(Stop::Gone),
        };
        self.sent = Instant::now();
        sent.map_err(|_| Stop::Gone)
    }

    /// Says the last word.
    pub(crate) async fn close(mut self, outcome: Result<E, Stop>) {
        match outcome {
            Ok(end) => self.write(&Line::<&T, &E>::End(&end)),
            Err(Stop::Refused(error)) => self.write(&Line::<&T, &E>::Error(error)),
            Err(Stop::Gone) => return,
        }
        let _ = self.flush().await;
    }

    fn is_gone(&self) -> bool {
        self.chunks.is_closed() || *self.stopping.borrow()
    }

    fn write(&mut self, line: &Line<&T, &E>) {
        write_json(&mut self.buffer, line).expect("our own types are JSON, and a Vec takes all");
    }
}

impl<T, E> Lines<T, E> {
    /// Comes back when the client has left or the server stops.
    pub(crate) async fn gone(&self) {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = self.chunks.closed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}
