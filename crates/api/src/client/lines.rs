//! Lines as they come.

use std::marker::PhantomData;
use std::path::PathBuf;

use reqwest::Response;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::limits::MAX_LINE;
use crate::line::Line;

/// What a stream said.
#[derive(Debug, Clone, PartialEq)]
pub enum Streamed<T, E> {
    /// One thing of many.
    Item(T),
    /// The last word.
    End(E),
}

/// A stream of things with a last word. Dropping it tells the server to stop.
#[derive(Debug)]
pub struct LineStream<T, E> {
    response: Response,
    socket: PathBuf,
    lines: LineBuffer,
    of: PhantomData<fn() -> (T, E)>,
}

impl<T, E> LineStream<T, E> {
    pub(super) fn new(response: Response, socket: PathBuf) -> Self {
        Self { response, socket, lines: LineBuffer::default(), of: PhantomData }
    }
}

impl<T: DeserializeOwned, E: DeserializeOwned> LineStream<T, E> {
    /// The next thing, or the last word; nothing comes behind the last word.
    ///
    /// # Errors
    /// The server's refusal in the middle of it, [`ClientError::Broken`] when it was cut.
    pub async fn next(&mut self) -> Result<Streamed<T, E>, ClientError> {
        loop {
            while let Some(line) = self.lines.take()? {
                let line = serde_json::from_slice(&line)
                    .map_err(|error| ClientError::Nonsense(error.to_string()))?;
                match line {
                    Line::Item(item) => return Ok(Streamed::Item(item)),
                    Line::End(end) => return Ok(Streamed::End(end)),
                    Line::Error(error) => return Err(ClientError::Refused(error)),
                    Line::Wait {} => {}
                }
            }
            let piece = self.response.chunk().await;
            match piece.map_err(|error| ClientError::from_http(&error, &self.socket))? {
                Some(piece) => self.lines.push(&piece),
                None => return Err(ClientError::Broken("the answer is cut off".to_owned())),
            }
        }
    }

    /// Goes to the last word, showing each thing on the way.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn finish(mut self, mut each: impl FnMut(T)) -> Result<E, ClientError> {
        loop {
            match self.next().await? {
                Streamed::Item(item) => each(item),
                Streamed::End(end) => return Ok(end),
            }
        }
    }
}

/// Cuts pieces into lines; holds at most one line and one piece.
#[derive(Debug, Default)]
struct LineBuffer {
    octets: Vec<u8>,
    from: usize,
    searched: usize,
}

impl LineBuffer {
    fn push(&mut self, piece: &[u8]) {
        self.octets.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        self.octets.extend_from_slice(piece);
    }

    fn take(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let Some(length) = self.octets[self.searched..].iter().position(|octet| *octet == b'\n') else {
            self.searched = self.octets.len();
            if self.searched - self.from > MAX_LINE {
                return Err(ClientError::Nonsense(format!("a line of more than {MAX_LINE} octets")));
            }
            return Ok(None);
        };
        let end = self.searched + length;
        let line = self.octets[self.from..end].to_vec();
        self.from = end + 1;
        self.searched = self.from;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_they_are_cut() {
        let text = b"one\n\ntwo three\nx\n";
        for width in 1..=text.len() {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            for piece in text.chunks(width) {
                buffer.push(piece);
                while let Some(line) = buffer.take().unwrap() {
                    lines.push(String::from_utf8(line).unwrap());
                }
            }
            assert_eq!(lines, ["one", "", "two three", "x"], "cut every {width}");
        }
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut buffer = LineBuffer::default();
        let piece = vec![b'x'; 1024 * 1024];
        let given_up = (0..8).any(|_| {
            buffer.push(&piece);
            buffer.take().is_err()
        });
        assert!(given_up && buffer.octets.len() <= MAX_LINE + piece.len());
    }
}
