//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;

use crate::limits::{BACKLOG, KEEPALIVE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, USER_TIMEOUT};
use crate::stream::Stream;

/// Why we do not listen there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// A socket that connections come in on.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
}

impl Listener {
    /// Listens. `[::]` takes IPv4 as well, and where there is no IPv6 it means `0.0.0.0`.
    ///
    /// # Errors
    /// [`ListenError`] names the address: in use, not ours, a port that needs a privilege.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = bind(address).or_else(|error| match address.ip() {
            IpAddr::V6(any) if any.is_unspecified() && lacks_ipv6(&error) => {
                bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
            }
            _ => Err(error),
        });
        let tcp = bound.and_then(TcpListener::from_std).map_err(|source| ListenError { address, source })?;
        Ok(Self { tcp })
    }

    /// The address, with the port that the kernel chose where 0 was asked for.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection. Its options (no delay, keepalive, user timeout) it has from the listening socket.
    ///
    /// # Errors
    /// Whatever accept(2) says; see [`is_lost_connection`].
    pub async fn accept(&self) -> io::Result<Stream> {
        let (tcp, peer) = self.tcp.accept().await?;
        Ok(Stream::plain(tcp, peer))
    }
}

/// Whether an error of `accept` concerns only the connection that it would have returned (accept(2) lists these), so
/// that the next one may be fine. Anything else, running out of files first of all, would only come again at once.
#[must_use]
pub fn is_lost_connection(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::ECONNABORTED
                | Errno::ECONNRESET
                | Errno::EINTR
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::EOPNOTSUPP
                | Errno::ENETUNREACH
                | Errno::ETIMEDOUT
        )
    )
}

fn lacks_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT))
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let IpAddr::V6(v6) = address.ip() {
        socket.set_only_v6(!v6.is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    set_options(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What every connection of ours has, whoever opened it. [2645-keepalive] A customer's line that is dead shows within
/// two minutes, also while nothing is to be sent.
pub(crate) fn set_options(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_nodelay(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn accepted(listener: &Listener, to: SocketAddr) -> Stream {
        let (client, server) = tokio::join!(tokio::net::TcpStream::connect(to), listener.accept());
        drop(client.unwrap());
        server.unwrap()
    }

    #[tokio::test]
    async fn dual_stack_shows_ipv4_clients_as_ipv4() {
        let listener = Listener::bind("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local().unwrap().port();
        let stream = accepted(&listener, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).await;
        assert_eq!(stream.peer().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(stream.local().unwrap().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
        assert!(stream.tls().is_none());
    }

    /// [2645-keepalive]
    #[tokio::test]
    async fn an_accepted_connection_inherits_the_options() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let to = listener.local().unwrap();
        let (client, server) = tokio::join!(tokio::net::TcpStream::connect(to), listener.tcp.accept());
        let (server, _client) = (server.unwrap().0, client.unwrap());
        let socket = socket2::SockRef::from(&server);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }

    #[tokio::test]
    async fn the_error_names_the_address() {
        let taken = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local().unwrap();
        let error = Listener::bind(address).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn running_out_is_told_apart_from_a_lost_client() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno as i32);
        assert!(!is_lost_connection(&error(Errno::EMFILE)) && !is_lost_connection(&error(Errno::ENFILE)));
        assert!(is_lost_connection(&error(Errno::ECONNABORTED)));
        assert!(lacks_ipv6(&error(Errno::EAFNOSUPPORT)) && !lacks_ipv6(&error(Errno::EADDRINUSE)));
    }
}
