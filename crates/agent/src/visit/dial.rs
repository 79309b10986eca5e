//! Until the server is ready: addresses, TCP, TLS as wanted, EHLO.

use std::sync::Arc;
use std::time::Instant;

use restante_net::limits::HANDSHAKE_TIMEOUT;
use restante_net::{ClientConnection, ClientTls, ConnectError, Connecting, Stream, UpgradeError};
use restante_smtp::{ClientConfig, ClientEvent, ClientSession};
use restante_types::Domain;

use super::{Connection, ended, next_event, out_of_place, quit};
use crate::events;
use crate::failure::Failure;
use crate::limits::CONNECT;
use crate::settings::{Secured, ServerSettings};

pub(super) async fn dial(server: &ServerSettings, hostname: &Domain) -> Result<Connection, Failure> {
    events::calling(server);
    // Before the line is opened: a certificate that cannot be read need not cost the other side anything.
    let tls = match server.tls {
        Secured::Never => None,
        Secured::StartTls | Secured::Implicit => Some(client_tls(server)?),
    };
    let mut stream = connect(server).await?;
    if let (Secured::Implicit, Some(tls)) = (server.tls, &tls) {
        stream = stream
            .connect_tls(tls, server.tls_name.clone(), HANDSHAKE_TIMEOUT)
            .await
            .map_err(Failure::Tls)?;
    }
    let config = Arc::new(ClientConfig { hostname: hostname.clone(), own_names: Vec::new() });
    let session = ClientSession::new(Arc::clone(&config), Instant::now());
    let mut connection = ready(ClientConnection::new(stream, session)).await?;
    if let (Secured::StartTls, Some(tls)) = (server.tls, &tls) {
        connection = upgrade(connection, server, tls, config).await?;
    }
    Ok(connection)
}

fn client_tls(server: &ServerSettings) -> Result<ClientTls, Failure> {
    let shown = server.login.certificate.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
    ClientTls::trusting(&server.trust, shown).map_err(Failure::TlsFiles)
}

async fn connect(server: &ServerSettings) -> Result<Stream, Failure> {
    let host = server.address.to_string();
    let found = server.address.resolve().await;
    let addresses = found.map_err(|error| Failure::Lookup { host: host.clone(), error })?;
    let mut error = ConnectError::Slow;
    for address in addresses {
        match (Connecting { address, source: None, limit: CONNECT }).connect().await {
            Ok(stream) => return Ok(stream),
            Err(last) => error = last,
        }
    }
    Err(Failure::Connect { host, error })
}

async fn ready(mut connection: Connection) -> Result<Connection, Failure> {
    match next_event(&mut connection).await {
        ClientEvent::Ready => Ok(connection),
        ClientEvent::Ended(end) => {
            connection.close().await;
            Err(ended(end))
        }
        other => Err(out_of_place(&other)),
    }
}

/// [3207-4-agent] Nothing goes in clear where TLS is wanted.
async fn upgrade(
    mut connection: Connection,
    server: &ServerSettings,
    tls: &ClientTls,
    config: Arc<ClientConfig>,
) -> Result<Connection, Failure> {
    if !connection.session_mut().start_tls(Instant::now()) {
        quit(connection).await;
        return Err(Failure::NoTls(None));
    }
    match next_event(&mut connection).await {
        ClientEvent::TlsGranted => {}
        ClientEvent::TlsRefused(reply) => {
            quit(connection).await;
            return Err(Failure::NoTls(Some(reply)));
        }
        ClientEvent::Ended(end) => return Err(ended(end)),
        other => return Err(out_of_place(&other)),
    }
    let fresh = |now| ClientSession::after_tls(config, now);
    let upgraded = connection.upgrade(tls, server.tls_name.clone(), fresh).await;
    let connection = upgraded.map_err(|error| match error {
        UpgradeError::Early => Failure::Early("behind the answer to STARTTLS"),
        UpgradeError::Lost => Failure::Cut("lost before TLS".to_owned()),
        UpgradeError::Tls(error) => Failure::Tls(error),
    })?;
    ready(connection).await
}
