//! One connection, in clear or inside TLS.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use restante_types::{Domain, Reply, TlsFacts, canonical};
use rustls::CommonState;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::tls_client::ClientTls;
use crate::tls_peer::ClientCa;
use crate::tls_server::TlsError;

/// A connection with what is known about it.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    peer: SocketAddr,
    facts: Option<TlsFacts>,
    names: Vec<Domain>,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Server(Box<server::TlsStream<TcpStream>>),
    Client(Box<client::TlsStream<TcpStream>>),
}

/// What one look at a connection found that should have been silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Nothing is there.
    Nothing,
    /// The peer has talked out of turn.
    Octets,
    /// The peer has closed its side.
    Closed,
}

impl Stream {
    /// A connection in clear; `peer` as `accept` or `connect` told it.
    #[must_use]
    pub fn plain(tcp: TcpStream, peer: SocketAddr) -> Self {
        let peer = SocketAddr::new(canonical(peer.ip()), peer.port());
        Self { io: Io::Plain(tcp), peer, facts: None, names: Vec::new() }
    }

    /// The other end; never an IPv4-mapped address.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our end; never an IPv4-mapped address.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr().map(|local| SocketAddr::new(canonical(local.ip()), local.port()))
    }

    /// What TLS it has, if it has any.
    #[must_use]
    pub const fn tls(&self) -> Option<&TlsFacts> {
        self.facts.as_ref()
    }

    /// The names of a client, by a certificate of an authority of ours; see [`ClientCa`](crate::ClientCa).
    #[must_use]
    pub fn names(&self) -> &[Domain] {
        &self.names
    }

    /// Finds out the client's names.
    pub(crate) fn name_by(&mut self, ca: &ClientCa) {
        if let Io::Server(tls) = &self.io {
            let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
            self.names = ca.names(chain, UnixTime::now());
        }
    }

    /// Looks, without waiting, whether the peer has sent anything that was not read yet.
    ///
    /// Nothing early crosses a change of layer or role: this is asked immediately before the greeting, before the
    /// 220 of STARTTLS and before the 250 that turns a connection. It asks the kernel, because what the executor
    /// knows of a socket's readiness is as old as its last turn. Inside TLS, decrypted octets count, and so does
    /// any record that has arrived.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn nothing_early(&mut self) -> io::Result<Early> {
        let decrypted = match &mut self.io {
            Io::Plain(_) => 0,
            Io::Server(tls) => plaintext(tls.get_mut().1.process_new_packets())?,
            Io::Client(tls) => plaintext(tls.get_mut().1.process_new_packets())?,
        };
        if decrypted > 0 {
            return Ok(Early::Octets);
        }
        match SockRef::from(self.tcp()).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Ok(Early::Closed),
            Ok(_) => Ok(Early::Octets),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Early::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Says one thing without waiting, and closes. For connections that there is no room for: no task, no timer, and
    /// when the kernel does not take it at once, nothing is said.
    pub fn dismiss(self, reply: &Reply) {
        if let Io::Plain(tcp) = &self.io {
            let mut octets = Vec::with_capacity(128);
            reply.write(&mut octets);
            let _said_or_not = SockRef::from(tcp).send(&octets);
        }
    }

    /// TLS from here on, we being its server.
    ///
    /// # Errors
    /// When the handshake fails or takes longer than `limit`, or when there is TLS already.
    pub async fn accept_tls(self, acceptor: TlsAcceptor, limit: Duration) -> Result<Self, TlsError> {
        let Io::Plain(tcp) = self.io else { return Err(TlsError::Twice) };
        let handshake = Box::pin(acceptor.accept(tcp));
        let tls =
            timeout(limit, handshake).await.map_err(|_| TlsError::Slow)?.map_err(TlsError::Handshake)?;
        let facts = Some(facts_of(tls.get_ref().1));
        Ok(Self { io: Io::Server(Box::new(tls)), peer: self.peer, facts, names: Vec::new() })
    }

    /// TLS from here on, we being its client; `name` is what we ask for (SNI) and what a verifier checks.
    ///
    /// # Errors
    /// As [`Stream::accept_tls`].
    pub async fn connect_tls(
        self,
        tls: &ClientTls,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let Io::Plain(tcp) = self.io else { return Err(TlsError::Twice) };
        let handshake = Box::pin(TlsConnector::from(Arc::clone(tls.config())).connect(name, tcp));
        let tls =
            timeout(limit, handshake).await.map_err(|_| TlsError::Slow)?.map_err(TlsError::Handshake)?;
        let facts = Some(facts_of(tls.get_ref().1));
        Ok(Self { io: Io::Client(Box::new(tls)), peer: self.peer, facts, names: Vec::new() })
    }

    /// [9266-2] `tls-exporter`, and only where TLS is 1.3 (RFC 9266 4.2).
    pub(crate) fn binding(&self) -> Option<[u8; 32]> {
        const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
        let is_new = |state: &CommonState| state.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        match &self.io {
            Io::Plain(_) => None,
            Io::Server(tls) if is_new(tls.get_ref().1) => {
                tls.get_ref().1.export_keying_material([0; 32], LABEL, Some(b"")).ok()
            }
            Io::Client(tls) if is_new(tls.get_ref().1) => {
                tls.get_ref().1.export_keying_material([0; 32], LABEL, Some(b"")).ok()
            }
            Io::Server(_) | Io::Client(_) => None,
        }
    }

    /// Has the kernel acknowledge what came, and what comes next, at once. It would wait up to 40 ms for an answer of ours to
    /// go with it, and a client that sends small pieces (RFC 896) waits as long for the acknowledgement.
    pub(crate) fn acknowledge(&self) {
        // Where that cannot be asked for, the client waits.
        let _slower = SockRef::from(self.tcp()).set_tcp_quickack(true);
    }

    fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Server(tls) => tls.get_ref().0,
            Io::Client(tls) => tls.get_ref().0,
        }
    }
}

fn plaintext(state: Result<rustls::IoState, rustls::Error>) -> io::Result<usize> {
    state
        .map(|state| state.plaintext_bytes_to_read())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn facts_of(state: &CommonState) -> TlsFacts {
    let version = match state.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
    let name = suite.as_ref().and_then(rustls::CipherSuite::as_str).unwrap_or("unknown");
    // rustls writes TLS13_AES_… where IANA has TLS_AES_….
    let cipher = name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"));
    let peer_fingerprint = state.peer_certificates().and_then(<[_]>::first).and_then(fingerprint);
    TlsFacts { version, cipher, peer_fingerprint }
}

pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let sha256 = suite.tls13()?.common.hash_provider;
    sha256.hash(certificate).as_ref().try_into().ok()
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Server(tls) => Pin::new(tls).poll_read(cx, buf),
            Io::Client(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Io::Server(tls) => Pin::new(tls).poll_write(cx, buf),
            Io::Client(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Io::Server(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            Io::Client(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Server(tls) => Pin::new(tls).poll_flush(cx),
            Io::Client(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Server(tls) => Pin::new(tls).poll_shutdown(cx),
            Io::Client(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
