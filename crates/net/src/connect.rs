//! Opening connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::listen::set_options;
use crate::stream::Stream;

/// Where to connect to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connecting {
    /// The next hop.
    pub address: SocketAddr,
    /// The address to come from; the kernel's choice where there is none, or where it is of the other family.
    pub source: Option<IpAddr>,
    /// For the connection to stand.
    pub limit: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered in time.
    #[error("connection timed out")]
    Slow,
    /// Refused, unreachable, or a source address that is not ours.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Connecting {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`], within `limit`.
    pub async fn connect(self) -> Result<Stream, ConnectError> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        set_options(&socket)?;
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == self.address.is_ipv4()) {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        let socket = TcpSocket::from_std_stream(socket.into());
        let tcp =
            timeout(self.limit, socket.connect(self.address)).await.map_err(|_| ConnectError::Slow)??;
        Ok(Stream::plain(tcp, self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::Listener;

    #[tokio::test]
    async fn the_source_address_is_kept() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().unwrap();
        let source = "127.0.0.2".parse().unwrap();
        let connecting = Connecting { address, source: Some(source), limit: Duration::from_secs(5) };
        let (there, here) = tokio::join!(connecting.connect(), listener.accept());
        assert_eq!(here.unwrap().peer().ip(), source);
        assert_eq!(there.unwrap().peer(), address);
    }

    #[tokio::test]
    async fn a_source_of_the_other_family_is_left_out() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().unwrap();
        let source = Some("::1".parse().unwrap());
        let connecting = Connecting { address, source, limit: Duration::from_secs(5) };
        assert!(connecting.connect().await.is_ok());
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_at_once() {
        let free = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap().local().unwrap();
        let connecting = Connecting { address: free, source: None, limit: Duration::from_secs(5) };
        assert!(matches!(connecting.connect().await, Err(ConnectError::Io(_))));
    }

    #[tokio::test]
    async fn a_full_backlog_times_out() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let connecting = Connecting { address, source: None, limit: Duration::from_millis(300) };
        let _waiting = connecting.connect().await.unwrap();
        let mut last = Ok(());
        for _ in 0..3 {
            last = connecting.connect().await.map(drop);
        }
        assert!(matches!(last, Err(ConnectError::Slow)), "{last:?}");
    }
}
