//! Who reads the metrics over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use restante_integration_tests::free_port;
use serde_json::Value;

use crate::{check, private};

/// The token's text.
const TOKEN: &str = "0123456789abcdef";

/// Where a daemon answers over HTTP.
pub(crate) struct Monitor {
    port: u16,
    token: String,
}

impl Monitor {
    /// With the token in a file there.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { port: free_port(), token: private(&dir.join("token"), &format!("{TOKEN}\n")) }
    }

    /// Lines for `[admin]`.
    pub(crate) fn lines(&self) -> String {
        format!("http = \"127.0.0.1:{}\"\ntoken-file = \"{}\"", self.port, self.token)
    }

    /// The answer to a request as whoever knows the token.
    pub(crate) fn get(&self, path: &str) -> String {
        self.get_as(path, TOKEN)
    }

    /// The answer to a request.
    pub(crate) fn get_as(&self, path: &str, token: &str) -> String {
        get(self.port, path, token)
    }

    /// The metrics as Prometheus' own parser reads them: `name{label=value}` and its value.
    pub(crate) fn samples(&self) -> Value {
        let answer = self.get("/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        serde_json::from_str(&check("metrics.py", &[], &body(&answer))).unwrap()
    }
}

fn get(port: u16, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What stands behind the head, taken out of its chunks.
fn body(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return rest.to_owned();
    }
    let mut body = String::new();
    while let Some((length, behind)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        body.push_str(&behind[..length]);
        rest = behind[length..].trim_start_matches("\r\n");
    }
    body
}
