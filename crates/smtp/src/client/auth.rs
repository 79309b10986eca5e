//! AUTH (RFC 4954), ATRN (RFC 2645) and TURN (RFC 821) from the client's side.

use std::time::Instant;

use restante_types::{Domain, Reply, Severity};

use super::event::{ClientEvent, End, ProtocolError, Stage};
use super::limits::{MAX_ATRN_LINE, MAX_AUTH_COMMAND};
use super::{ClientSession, Phase, commands};
use crate::sasl::client::Exchange;
use crate::sasl::{self, Channel, Credentials, Mechanism, NoMechanism};

impl ClientSession {
    /// Says who we are, by the strongest mechanism that the server offers and the credentials allow here: SCRAM-SHA-256-PLUS,
    /// SCRAM-SHA-256, EXTERNAL, PLAIN inside TLS; never CRAM-MD5 or LOGIN. Returns which. The outcome comes as
    /// [`ClientEvent::Authenticated`], [`ClientEvent::AuthRefused`], or the end of the connection where the server is not
    /// what it pretends to be. SCRAM derives keys in [`handle_bytes`](Self::handle_bytes), which takes milliseconds, and
    /// at [`MAX_ITERATIONS`](super::limits::MAX_ITERATIONS) a second.
    ///
    /// # Errors
    /// [`NoMechanism`] says why nothing was said.
    pub fn authenticate(
        &mut self,
        now: Instant,
        credentials: &Credentials,
        channel: &mut Channel,
    ) -> Result<Mechanism, NoMechanism> {
        if !self.is_idle() {
            return Err(NoMechanism::Busy);
        }
        let (mechanism, exchange, first) = Exchange::begin(credentials, self.server.auth, channel)?;
        let Phase::Open(pipeline) = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return Err(NoMechanism::Busy);
        };
        // [4954-4-initial-client] `=` is an initial response without octets; one that would make the line too long comes
        // after an empty challenge.
        let encoded = if first.is_empty() { "=".to_owned() } else { sasl::encode(&first) };
        let line = format!("AUTH {mechanism} {encoded}");
        let exchange = if line.len() + 2 > MAX_AUTH_COMMAND {
            self.wire.say(Stage::Auth, &format!("AUTH {mechanism}"));
            exchange.with_first(first)
        } else {
            self.wire.say(Stage::Auth, &line);
            exchange
        };
        self.phase = Phase::Authenticating(pipeline, exchange);
        self.activity = now;
        Ok(mechanism)
    }

    /// Asks for the mail of these domains over this connection, RFC 2645; none of them: of all that we have. False, and
    /// nothing happens, while something is under way, or where they do not fit a line
    /// ([`MAX_ATRN_LINE`](super::limits::MAX_ATRN_LINE)). The answer is [`ClientEvent::Turned`] or [`ClientEvent::Atrn`].
    pub fn atrn(&mut self, now: Instant, domains: &[Domain]) -> bool {
        let line = commands::atrn(domains);
        if !self.is_idle() || line.len() + 2 > MAX_ATRN_LINE {
            return false;
        }
        self.activity = now;
        self.wire.say(Stage::Atrn, &line);
        true
    }

    /// [821-turn-client] Asks for all our mail over this connection, RFC 821. False, and nothing happens, while something is under way. The
    /// answer is [`ClientEvent::Turned`] or [`ClientEvent::Turn`].
    pub fn turn(&mut self, now: Instant) -> bool {
        if !self.is_idle() {
            return false;
        }
        self.activity = now;
        self.wire.say(Stage::Turn, "TURN");
        true
    }

    pub(super) fn handle_auth(&mut self, reply: Reply) {
        let (pipeline, mut exchange) = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Authenticating(pipeline, exchange) => (pipeline, exchange),
            phase => {
                self.phase = phase;
                return self.end(End::Protocol(ProtocolError::Unasked(reply)));
            }
        };
        match reply.severity() {
            Severity::Completed => match exchange.success() {
                Ok(()) => {
                    self.phase = Phase::Open(pipeline);
                    self.events.push_back(ClientEvent::Authenticated);
                }
                Err(error) => self.end(End::Protocol(error.into())),
            },
            Severity::Intermediate if reply.code.get() == 334 => {
                match sasl::decode(reply.text.as_bytes())
                    .ok_or(sasl::AuthError::Challenge)
                    .and_then(|challenge| exchange.challenge(&challenge))
                {
                    Ok(response) => {
                        self.wire.say(Stage::Auth, &sasl::encode(&response));
                        self.phase = Phase::Authenticating(pipeline, exchange);
                    }
                    Err(error) => self.cancel(error),
                }
            }
            Severity::Intermediate => {
                self.end(End::Protocol(ProtocolError::OutOfPlace(Stage::Auth, reply)));
            }
            Severity::Transient | Severity::Permanent => {
                self.phase = Phase::Open(pipeline);
                self.events.push_back(ClientEvent::AuthRefused(reply));
            }
        }
    }

    /// [4954-4-cancel-client] A challenge that makes no sense is answered by `*`; then the connection is of no further use.
    fn cancel(&mut self, error: sasl::AuthError) {
        self.wire.say(Stage::Quit, "*");
        self.phase = Phase::Quitting(End::Protocol(error.into()));
    }

    pub(super) fn handle_turn(&mut self, stage: Stage, reply: Reply) {
        match reply.severity() {
            // [2645-5.3-client] The roles turn right behind this line.
            Severity::Completed => {
                self.phase = Phase::Turned;
                self.events.push_back(ClientEvent::Turned);
            }
            Severity::Intermediate => self.end(End::Protocol(ProtocolError::OutOfPlace(stage, reply))),
            _ if stage == Stage::Atrn => self.events.push_back(ClientEvent::Atrn(reply)),
            _ => self.events.push_back(ClientEvent::Turn(reply)),
        }
    }
}
