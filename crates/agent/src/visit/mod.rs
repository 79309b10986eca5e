//! One call at one server, until it has answered: connect, TLS, authenticate, ask.

mod dial;
mod etrn;
mod login;

use std::time::Instant;

use restante_net::{ClientConnection, Stream, UpgradeError};
use restante_smtp::{ClientEvent, End};
use restante_types::{Domain, Reply};
use tokio::sync::watch;

use crate::failure::Failure;
use crate::settings::{Protocol, ServerSettings};
use crate::tally::{Progress, show};

pub(crate) use etrn::Promise;

type Connection = ClientConnection<Stream>;

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The roles have turned: whoever holds the stream greets.
    Turned(Stream),
    /// Nothing is held.
    NoMail,
    /// ETRN was taken.
    Asked(Vec<Promise>),
}

/// Calls the server and asks.
pub(crate) async fn call(
    server: &ServerSettings,
    hostname: &Domain,
    shown: &watch::Sender<Progress>,
) -> Result<Answer, Failure> {
    show(shown, Progress::Calling);
    let mut connection = dial::dial(server, hostname).await?;
    login::prove(&mut connection, server).await?;
    show(shown, Progress::Asked);
    match server.protocol {
        Protocol::Etrn => etrn::ask(connection, server).await.map(Answer::Asked),
        Protocol::Atrn => {
            let said = connection.session_mut().atrn(Instant::now(), &server.domains);
            if said { turn(connection, "ATRN").await } else { Err(too_many()) }
        }
        // [821-turn-agent] without domains: those that we take mail for are held to all the same.
        Protocol::Turn => {
            connection.session_mut().turn(Instant::now());
            turn(connection, "TURN").await
        }
    }
}

fn too_many() -> Failure {
    let reply =
        Reply::new(501, (5, 5, 4), "the domains do not fit into one ATRN: give them to several [[server]]s");
    Failure::Refused { verb: "ATRN", reply }
}

/// [2645-5.2.1-agent] waits for ten minutes and more, as the client machine's deadlines say. [2645-453-agent] No mail is a
/// success.
async fn turn(mut connection: Connection, verb: &'static str) -> Result<Answer, Failure> {
    match next_event(&mut connection).await {
        ClientEvent::Turned => match connection.turned() {
            Ok(stream) => Ok(Answer::Turned(stream)),
            // [2645-early-agent] what came before we have greeted is never read.
            Err(UpgradeError::Early) => Err(Failure::Early("behind the 250 that turned the roles")),
            Err(_) => Err(Failure::Cut("closed right after the roles had turned".to_owned())),
        },
        ClientEvent::Atrn(reply) | ClientEvent::Turn(reply) => {
            quit(connection).await;
            if reply.code.get() == 453 { Ok(Answer::NoMail) } else { Err(Failure::Refused { verb, reply }) }
        }
        ClientEvent::Ended(end) => Err(ended(end)),
        other => Err(out_of_place(&other)),
    }
}

/// [5321-4.1.1.10-client] Nobody is left without QUIT.
async fn quit(mut connection: Connection) {
    connection.session_mut().quit(Instant::now());
    while !matches!(next_event(&mut connection).await, ClientEvent::Ended(_)) {}
    connection.close().await;
}

async fn next_event(connection: &mut Connection) -> ClientEvent {
    loop {
        if let Some(event) = connection.poll_event() {
            return event;
        }
        connection.exchange().await;
    }
}

/// The end of a conversation that should have gone on.
fn ended(end: End) -> Failure {
    use restante_smtp::ProtocolError::{Auth, Early, EarlyTurn};
    match end {
        End::Protocol(Early) => Failure::Early("behind the answer to STARTTLS"),
        End::Protocol(EarlyTurn) => Failure::Early("behind the 250 that turned the roles"),
        // [5802-agent] who does not know the account's keys is not the server that we have it with.
        End::Protocol(Auth(error)) => Failure::Imposter(error.to_string()),
        end => Failure::Ended(end),
    }
}

/// The machine tells only what was asked for.
fn out_of_place(event: &ClientEvent) -> Failure {
    Failure::Imposter(format!("{event:?}"))
}
