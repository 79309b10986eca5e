//! The same over TCP, for monitors: only what can be read, only behind a token, and not on everybody's address.
//!
//! A web page that a browser on this machine shows can reach loopback too, by a name of its own that leads here (DNS
//! rebinding). So the Host field must be an address, `localhost` or our own name, and the token is never in a cookie.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use restante_api::{ErrorCode, paths};
use restante_types::Domain;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::events;
use crate::handlers::health;
use crate::limits::{AFTER_FAILURE, HTTP_CONNECTIONS, HTTP_IDLE, MIN_TOKEN};
use crate::listener::{IdleStream, Patience};
use crate::metrics;
use crate::refusal::Refusal;
use crate::router::{Shared, nowhere};

/// What a monitor shows to be let in. Never shown itself.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A token of at least 16 visible ASCII characters; `None` for any other text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let visible = text.len() >= MIN_TOKEN && text.bytes().all(|octet| octet.is_ascii_graphic());
        visible.then(|| Self(text.as_bytes().into()))
    }

    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some((scheme, token)) = shown.and_then(|shown| shown.split_at_checked(7)) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(token.trim_ascii().ct_eq(&self.0))
    }
}

/// Where monitors are let in.
#[derive(Debug, Clone)]
pub struct Http {
    /// The address.
    pub address: SocketAddr,
    /// What they show.
    pub token: Token,
    /// Our name, as far as they use it.
    pub hostname: Domain,
}

/// Who asks over TCP.
#[derive(Debug, Clone, Copy)]
struct Monitor(SocketAddr);

/// The TCP listener with its slots.
pub(crate) struct HttpListener {
    socket: TcpListener,
    slots: Arc<Semaphore>,
}

impl HttpListener {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, slots: Arc::new(Semaphore::new(HTTP_CONNECTIONS)) })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Listener for HttpListener {
    type Io = IdleStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the slots are never closed");
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    return (IdleStream::new(stream, slot, Patience::same(HTTP_IDLE)), peer);
                }
                Err(error) => {
                    events::accept_failed(&error);
                    sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

impl Connected<IncomingStream<'_, HttpListener>> for Monitor {
    fn connect_info(stream: IncomingStream<'_, HttpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// What a gate needs.
struct Gate {
    token: Token,
    hostname: Domain,
}

/// Serves until the interface stops.
pub(crate) async fn serve(listener: HttpListener, http: Http, shared: Arc<Shared>) {
    let gate = Arc::new(Gate { token: http.token, hostname: http.hostname });
    let mut stopping = shared.stopping.clone();
    let router = Router::new()
        .route(paths::METRICS, get(metrics::metrics))
        .route(paths::HTTP_HEALTH, get(health::health))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(from_fn_with_state(gate, pass))
        .layer(DefaultBodyLimit::max(0))
        .with_state(shared);
    let service = router.into_make_service_with_connect_info::<Monitor>();
    let stopped = async move {
        // A sender that is gone means the same.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped).await {
        events::ended(&error);
    }
}

async fn pass(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(Monitor(peer)): ConnectInfo<Monitor>,
    request: Request,
    next: Next,
) -> Response {
    if !is_ours(request.headers(), &gate.hostname) {
        events::http_refused(peer, "the Host field is not ours", request.uri().path());
        let message = "ask by an address, localhost or the server's own name";
        return closing(Refusal::new(ErrorCode::NotAllowed, message).into_response());
    }
    if !gate.token.is_shown(request.headers()) {
        events::http_refused(peer, "no token, or another", request.uri().path());
        let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"restante\""))];
        let refusal = Refusal::new(ErrorCode::NotAllowed, "a bearer token is wanted: see [admin] token-file");
        return closing((StatusCode::UNAUTHORIZED, challenge, axum::Json(refusal.0)).into_response());
    }
    next.run(request).await
}

/// Who is refused keeps no slot either.
fn closing(mut refusal: Response) -> Response {
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    refusal
}

/// Whether the one Host field names us by an address, `localhost` or our name.
fn is_ours(headers: &HeaderMap, hostname: &Domain) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) => return false,
        None => host,
    };
    name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(hostname.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_here_is_not_ours() {
        let hostname: Domain = "mx2.example.net".parse().unwrap();
        let ours = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_str(host).unwrap());
            }
            is_ours(&headers, &hostname)
        };
        for host in
            ["127.0.0.1:8025", "127.0.0.1", "[::1]:8025", "[::1]", "localhost:8025", "MX2.example.net"]
        {
            assert!(ours(&[host]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8025",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "x:y",
        ] {
            assert!(!ours(&[host]), "{host}");
        }
        assert!(!ours(&[]) && !ours(&["localhost", "evil.example"]));
    }

    #[test]
    fn the_token_must_be_the_token() {
        assert!(Token::new("short").is_none() && Token::new("sixteen chars, two\n").is_none());
        let token = Token::new("0123456789abcdef").unwrap();
        let shown = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            token.is_shown(&headers)
        };
        assert!(shown("Bearer 0123456789abcdef") && shown("bearer 0123456789abcdef"));
        for text in [
            "",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdefg",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!shown(text), "{text}");
        }
        assert!(!token.is_shown(&HeaderMap::new()));
        assert!(!format!("{token:?}").contains("0123"));
    }
}
