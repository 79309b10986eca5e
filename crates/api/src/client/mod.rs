//! A small client over the unix socket.

mod content;
mod lines;

use std::path::{Path, PathBuf};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use restante_types::{Domain, QueueId};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use content::ContentStream;
pub use lines::{LineStream, Streamed};

use crate::change::{
    ApplyReport, BackupProgress, BackupReport, BackupRequest, ChangeProgress, ChangeRequest,
};
use crate::entry::{ContentQuery, EntryView, ListEnd, ListQuery, MessageView};
use crate::error::{ApiError, ClientError, ErrorCode};
use crate::explain::{ExplainQuery, ExplainReport};
use crate::flush::{FlushEnd, FlushEvent, FlushRequest};
use crate::health::HealthReport;
use crate::limits::{CONNECT, MAX_ANSWER, REUSE, SILENCE};
use crate::paths;
use crate::route::{RouteReport, WhyReport};
use crate::status::{DomainStatus, StatusEnd};

/// A client of one server. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

impl Client {
    /// A client of the server behind a unix socket. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the HTTP client cannot be set up.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .pool_idle_timeout(REUSE)
            .build()
            .map_err(|error| ClientError::from_http(&error, socket))?;
        Ok(Self { http, socket: socket.to_owned() })
    }

    /// The socket it talks to.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The condition of the server.
    pub async fn health(&self) -> Result<HealthReport, ClientError> {
        self.answer(self.request(Method::GET, paths::HEALTH)).await
    }

    /// All domains, in the order of their names.
    pub async fn domains(&self) -> Result<LineStream<DomainStatus, StatusEnd>, ClientError> {
        self.lines(self.request(Method::GET, paths::DOMAINS)).await
    }

    /// One domain.
    pub async fn domain(&self, domain: &Domain) -> Result<DomainStatus, ClientError> {
        self.answer(self.request(Method::GET, &paths::domain(domain))).await
    }

    /// Where a domain's mail would go now. Its names are looked up meanwhile.
    pub async fn route(&self, domain: &Domain) -> Result<RouteReport, ClientError> {
        self.answer(self.request(Method::GET, &paths::route(domain))).await
    }

    /// A domain's last attempt that failed; `None` where none did since the server started.
    pub async fn why(&self, domain: &Domain) -> Result<Option<WhyReport>, ClientError> {
        self.answer(self.request(Method::GET, &paths::why(domain))).await
    }

    /// What a client would be answered.
    pub async fn explain(&self, query: &ExplainQuery) -> Result<ExplainReport, ClientError> {
        self.answer(self.request(Method::GET, paths::EXPLAIN).query(query)).await
    }

    /// Entries, in the order of domain, then arrival.
    pub async fn entries(&self, query: &ListQuery) -> Result<LineStream<EntryView, ListEnd>, ClientError> {
        self.lines(self.request(Method::GET, paths::ENTRIES).query(query)).await
    }

    /// One message in all its queues.
    pub async fn message(&self, id: QueueId) -> Result<MessageView, ClientError> {
        self.answer(self.request(Method::GET, &paths::message(id))).await
    }

    /// A message's content, byte for byte, through one of its queues or whichever has it.
    pub async fn content(&self, id: QueueId, domain: Option<&Domain>) -> Result<ContentStream, ClientError> {
        let query = ContentQuery { domain: domain.cloned() };
        let response = self.send(self.request(Method::GET, &paths::content(id)).query(&query)).await?;
        Ok(ContentStream::new(response, self.socket.clone()))
    }

    /// Starts drains.
    pub async fn flush(
        &self,
        request: &FlushRequest,
    ) -> Result<LineStream<FlushEvent, FlushEnd>, ClientError> {
        self.lines(self.post(paths::FLUSH, request)).await
    }

    /// Stops domains or entries.
    pub async fn hold(
        &self,
        change: &ChangeRequest,
    ) -> Result<LineStream<ChangeProgress, ApplyReport>, ClientError> {
        self.lines(self.post(paths::HOLD, change)).await
    }

    /// Lets domains or entries go again.
    pub async fn release(
        &self,
        change: &ChangeRequest,
    ) -> Result<LineStream<ChangeProgress, ApplyReport>, ClientError> {
        self.lines(self.post(paths::RELEASE, change)).await
    }

    /// Deletes entries.
    pub async fn delete(
        &self,
        change: &ChangeRequest,
    ) -> Result<LineStream<ChangeProgress, ApplyReport>, ClientError> {
        self.lines(self.post(paths::DELETE, change)).await
    }

    /// Brings deleted entries back.
    pub async fn restore(
        &self,
        change: &ChangeRequest,
    ) -> Result<LineStream<ChangeProgress, ApplyReport>, ClientError> {
        self.lines(self.post(paths::RESTORE, change)).await
    }

    /// Copies the store into a directory of the server.
    pub async fn backup(
        &self,
        request: &BackupRequest,
    ) -> Result<LineStream<BackupProgress, BackupReport>, ClientError> {
        self.lines(self.post(paths::BACKUP, request)).await
    }

    /// The effective configuration, redacted, as TOML.
    pub async fn configuration(&self) -> Result<String, ClientError> {
        let response = self.send(self.request(Method::GET, paths::CONFIG)).await?;
        let body = self.collect(response).await?;
        String::from_utf8(body).map_err(|error| ClientError::Nonsense(error.to_string()))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://localhost{path}"))
    }

    fn post(&self, path: &str, body: &impl Serialize) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::from_http(&error, &self.socket))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.collect(response).await?;
        let refusal = serde_json::from_slice(&body).unwrap_or_else(|_| stranger(status));
        Err(ClientError::Refused(refusal))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let body = self.collect(response).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Nonsense(error.to_string()))
    }

    async fn lines<T, E>(&self, request: RequestBuilder) -> Result<LineStream<T, E>, ClientError> {
        let response = self.send(request).await?;
        Ok(LineStream::new(response, self.socket.clone()))
    }

    async fn collect(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) =
            response.chunk().await.map_err(|error| ClientError::from_http(&error, &self.socket))?
        {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(ClientError::Nonsense(format!("more than {MAX_ANSWER} octets")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// A refusal without our object in it: the HTTP layer said no, or another program answers there.
fn stranger(status: StatusCode) -> ApiError {
    let code = match status.as_u16() {
        403 => ErrorCode::NotAllowed,
        404 | 405 => ErrorCode::NotFound,
        400..=499 => ErrorCode::BadRequest,
        _ => ErrorCode::Internal,
    };
    ApiError::new(code, format!("the server answered {status}"))
}
