//! Fetching an MTA-STS policy by HTTPS (RFC 8461 3.3).

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use restante_net::{ClientTlsBook, Connecting, ServerName, Stream, TlsError, Trust};
use restante_types::Domain;
use tokio::time::timeout;

use crate::limits::{CONNECT_TIMEOUT_SHORT, STS_ADDRESSES, STS_BODY, STS_FETCH_TIMEOUT, STS_HEAD};
use crate::resolve::{Lookup, LookupError};

/// The way to the text of a policy.
#[async_trait]
pub trait PolicyFetch: Send + Sync + 'static {
    /// The text at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`; the host's addresses are for `lookup` to find.
    ///
    /// # Errors
    /// [`FetchError`]. Must come back within [`STS_FETCH_TIMEOUT`](crate::limits::STS_FETCH_TIMEOUT).
    async fn fetch(&self, domain: &Domain, lookup: &Arc<dyn Lookup>) -> Result<String, FetchError>;
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The host has no address now.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// It is not the policy host of that domain, by the authorities that count.
    #[error("{}", .0.in_words())]
    Tls(#[from] TlsError),
    /// What came is not HTTP.
    #[error("HTTP: {0}")]
    Http(String),
    /// [8461-3.3-status] Only 200 is an answer; nothing is followed.
    #[error("HTTP status {0}")]
    Status(u16),
    /// It is no plain text.
    #[error("it is not of type text/plain")]
    Type,
    /// It is longer than a policy may be.
    #[error("it is longer than {STS_BODY} octets")]
    TooLong,
    /// It took too long.
    #[error("timed out")]
    Slow,
}

/// By HTTPS.
pub struct HttpsFetch {
    configs: ClientTlsBook,
    authorities: Trust,
    port: u16,
    limit: Duration,
}

impl Default for HttpsFetch {
    fn default() -> Self {
        Self {
            configs: ClientTlsBook::default(),
            authorities: Trust::System,
            port: 443,
            limit: STS_FETCH_TIMEOUT,
        }
    }
}

impl HttpsFetch {
    /// These authorities stand in for those of the system.
    #[must_use]
    pub fn with_authorities(mut self, authorities: Trust) -> Self {
        self.authorities = authorities;
        self
    }

    /// This port stands in for 443.
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// For one policy, instead of [`STS_FETCH_TIMEOUT`].
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn get(&self, domain: &Domain, lookup: &Arc<dyn Lookup>) -> Result<String, FetchError> {
        let host = Domain::parse(&format!("mta-sts.{domain}"));
        let host = host.map_err(|error| FetchError::Connect(error.to_string()))?;
        let addresses = lookup.addresses(&host).await?.records;
        let stream = self.connect(&host, &addresses).await?;
        exchange(stream, &host).await
    }

    /// TLS with the host, whose certificate must be for its name.
    async fn connect(&self, host: &Domain, addresses: &[IpAddr]) -> Result<Stream, FetchError> {
        let mut last = FetchError::Connect("the host has no address".to_owned());
        for ip in addresses.iter().take(STS_ADDRESSES) {
            let address = SocketAddr::new(*ip, self.port);
            match (Connecting { address, source: None, limit: CONNECT_TIMEOUT_SHORT }).connect().await {
                // [8461-3.3-host] By DNS-ID alone, not expired, by an authority that counts; SNI is the host's name.
                Ok(stream) => {
                    let name = ServerName::try_from(host.as_str().to_owned());
                    let name = name.map_err(|error| FetchError::Connect(error.to_string()))?;
                    let tls = self.configs.trusting(&self.authorities, None, Instant::now())?;
                    return Ok(stream.connect_tls(&tls, name, self.limit).await?);
                }
                Err(error) => last = FetchError::Connect(format!("{address}: {error}")),
            }
        }
        Err(last)
    }
}

#[async_trait]
impl PolicyFetch for HttpsFetch {
    async fn fetch(&self, domain: &Domain, lookup: &Arc<dyn Lookup>) -> Result<String, FetchError> {
        // [8461-3.3-bounds]
        timeout(self.limit, self.get(domain, lookup)).await.unwrap_or(Err(FetchError::Slow))
    }
}

/// One question, one answer.
async fn exchange(stream: Stream, host: &Domain) -> Result<String, FetchError> {
    let mut http = http1::Builder::new();
    http.max_buf_size(STS_HEAD);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let question = Request::get("/.well-known/mta-sts.txt")
        .header(HOST, host.as_str())
        .header(USER_AGENT, "restante")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Http(error.to_string()))?;
    let mut answer = pin!(async { text(sender.send_request(question).await.map_err(broken)?).await });
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        // The server may close behind its answer; what came before that is taken all the same.
        _closed = connection => {}
    }
    answer.await
}

async fn text(answer: Response<Incoming>) -> Result<String, FetchError> {
    // [8461-3.3-status] No redirect is followed, no cache asked.
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    // [8461-3.2-type]
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/plain") {
        return Err(FetchError::Type);
    }
    let body = Limited::new(answer.into_body(), STS_BODY).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => broken(*error),
        // The only other one is that of the limit.
        Err(_) => FetchError::TooLong,
    })?;
    String::from_utf8(body.to_bytes().into()).map_err(|_| FetchError::Type)
}

fn broken(error: hyper::Error) -> FetchError {
    FetchError::Http(error.to_string())
}
