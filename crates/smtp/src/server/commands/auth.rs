//! AUTH, RFC 4954 4: the command, the lines inside it, and what their outcome does.

use restante_types::{Reply, Severity};

use crate::ask::Ask;
use crate::framing::line::LineFault;
use crate::grammar::Fault;
use crate::limits::{MAX_AUTH_FAILURES, MAX_AUTH_LINE};
use crate::sasl::server::{Bad, Exchange, Step};
use crate::sasl::{Identity, Mechanism, Mechanisms, ScramKeys, decode};
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::reading::Read;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::{Asked, State};

impl<R: QueuedAs> ServerSession<R> {
    /// The mechanisms that this client may use now.
    pub(in crate::server) fn offered_mechanisms(&self) -> Mechanisms {
        let tls = self.client.tls.as_ref();
        let offer = &self.config.auth;
        if !self.offers_auth() {
            return Mechanisms::NONE;
        }
        let fits = |mechanism: &Mechanism| match mechanism {
            Mechanism::ScramSha256Plus => {
                self.channel.as_ref().is_some_and(|channel| channel.layer().binding().is_some())
            }
            Mechanism::ScramSha256 | Mechanism::CramMd5 => self.channel.is_some(),
            Mechanism::External => tls.is_some_and(|tls| tls.peer_fingerprint.is_some()),
            // [4954-4-cleartext] No configuration shows a password to the line.
            Mechanism::Plain | Mechanism::Login => tls.is_some(),
        };
        offer.mechanisms.iter().filter(fits).collect()
    }

    /// Whether AUTH would be taken now, by whatever mechanism.
    pub(in crate::server) fn offers_auth(&self) -> bool {
        let tls = self.client.tls.is_some();
        let may = tls || (self.config.auth.cleartext && !self.config.tls_required);
        may && self.config.takes(crate::grammar::verb::Verb::Auth, tls)
    }

    /// [4954-4] `AUTH mechanism [initial-response]`
    pub(in crate::server) fn auth(&mut self, arguments: &str) {
        let (name, initial) = match arguments.split_once(' ') {
            Some((name, rest)) => (name, Some(rest.trim_start_matches(' '))),
            None => (arguments, None),
        };
        if name.is_empty() {
            return self.reject_bad(replies::fault(Fault::Argument, "AUTH"));
        }
        let offered = self.offered_mechanisms();
        let known = Mechanism::by_name(name).filter(|mechanism| offered.contains(*mechanism));
        let channel = self.channel.as_deref_mut();
        let hostname = self.config.hostname.as_str();
        let Some(mut exchange) =
            known.and_then(|mechanism| Exchange::begin(mechanism, offered, channel, hostname))
        else {
            // [4954-4-504] Not known, not offered, or not without TLS.
            return self.reject(replies::mechanism_not_offered());
        };
        match initial {
            None => {
                let challenge = exchange.first_challenge();
                self.auth_step(Box::new(exchange), Step::Challenge(challenge));
            }
            Some(_) if !exchange.takes_initial_response() => self.reject_bad(replies::no_initial_response()),
            // [4954-4-initial] `=` is a response without octets.
            Some("=") => {
                let step = exchange.respond(b"");
                self.auth_step(Box::new(exchange), step);
            }
            Some(response) => self.auth_response(Box::new(exchange), response.as_bytes()),
        }
    }

    /// A line inside AUTH.
    pub(in crate::server) fn read_auth_line(&mut self, octets: &[u8]) -> Read {
        let mut lines = std::mem::take(&mut self.lines);
        let (taken, line) = lines.feed(octets, self.config.strict, |_| MAX_AUTH_LINE);
        let mut pause = false;
        if let Some(line) = line {
            self.deadlines.command();
            self.auth_line(line);
            lines.release();
            pause = true;
        }
        self.lines = lines;
        Read { taken, pause }
    }

    fn auth_line(&mut self, line: Result<&[u8], LineFault>) {
        let State::Authenticating(exchange) = std::mem::replace(&mut self.state, State::Idle) else { return };
        match line {
            // [4954-4-line]
            Err(LineFault::TooLong) => self.reject_bad(replies::auth_line_too_long()),
            Err(fault) => self.reject_bad(replies::line_fault(fault)),
            // [4954-4-cancel]
            Ok(b"*") => self.reject_bad(replies::auth_cancelled()),
            Ok(line) => self.auth_response(exchange, line),
        }
    }

    /// [4954-4-base64] 501 5.5.2 to what is no base64.
    fn auth_response(&mut self, mut exchange: Box<Exchange>, response: &[u8]) {
        match decode(response) {
            Some(response) => {
                let step = exchange.respond(&response);
                self.auth_step(exchange, step);
            }
            None => self.reject_bad(replies::auth_malformed()),
        }
    }

    fn auth_step(&mut self, exchange: Box<Exchange>, step: Step) {
        self.state = State::Idle;
        match step {
            Step::Challenge(challenge) => {
                replies::challenge(&mut self.out, &challenge);
                self.state = State::Authenticating(exchange);
            }
            Step::Keys(name) => self.ask(Asked::ScramKeys(exchange), Event::ScramKeys(Ask::new(), name)),
            Step::Evidence(evidence) => self.ask(Asked::Auth(exchange), Event::Auth(Ask::new(), evidence)),
            Step::Done(Identity(identity)) => {
                self.client.identity = Some(identity);
                self.say(replies::AUTHENTICATED);
                self.achieved();
            }
            Step::Bad(Bad::Malformed) => self.reject_bad(replies::auth_malformed()),
            Step::Bad(Bad::Unprepared) => {
                let reply = replies::auth_failed();
                self.events.push(Event::BadCommand(reply.clone()));
                self.not_authenticated(&reply);
            }
        }
    }

    /// The keys came: the challenge goes out.
    pub(in crate::server) fn scram_keys(&mut self, mut exchange: Box<Exchange>, keys: ScramKeys) {
        let step = exchange.keys(keys);
        self.auth_step(exchange, step);
    }

    /// The caller agrees. Where the machine knows that nothing was proved, it does not.
    pub(in crate::server) fn agreed(&mut self, mut exchange: Box<Exchange>, identity: Identity) {
        match exchange.agree(identity) {
            Some(step) => self.auth_step(exchange, step),
            None => {
                self.state = State::Idle;
                self.not_authenticated(&replies::auth_failed());
            }
        }
    }

    /// [4954-9] The connection goes after some failures; what is not the client's fault is none.
    pub(in crate::server) fn not_authenticated(&mut self, reply: &Reply) {
        self.refuse_with(reply);
        if reply.code.severity() == Severity::Permanent {
            self.auth_failures += 1;
        }
        if self.auth_failures >= MAX_AUTH_FAILURES {
            self.reject(replies::too_many_auth_failures(&self.config.hostname));
            self.close();
        }
    }
}
