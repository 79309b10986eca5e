//! Our client and our server, face to face: every mechanism under every cut, then the roles turn and the mail flows back
//! over the same line.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;

use std::sync::Arc;

use memory::{BINDING, Memory};
use proptest::prelude::*;
use restante_smtp::{
    AuthError, Channel, ClientConfig, ClientEvent, ClientSession, Credentials, End, Fate, Layer, MailJob,
    Mechanism, NoMechanism, ProtocolError, Secret,
};
use restante_types::{Body, Domain, Envelope, Mailbox, Recipient, ReversePath};

const BOUND: Layer = Layer::Tls { binding: Some(BINDING) };

fn client(name: &str) -> ClientSession {
    let config = ClientConfig { hostname: name.parse().unwrap(), own_names: Vec::new() };
    ClientSession::new(Arc::new(config), std::time::Instant::now())
}

fn server(words: &str) -> Memory {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let mut memory = Memory::silent(&words);
    memory.session.greet();
    memory.drain();
    memory
}

fn credentials(name: &str, password: &str) -> Credentials {
    let password = Some(Secret::new(password.into()));
    Credentials { name: name.into(), password, external: false, plain: true }
}

/// Lets both talk, in pieces of this many octets, until neither has anything to say.
fn talk(client: &mut ClientSession, server: &mut Memory, cut: usize) -> Vec<ClientEvent> {
    let (mut events, mut given) = (Vec::new(), Vec::new());
    loop {
        events.extend(std::iter::from_fn(|| client.poll_event()));
        client.poll_transmit(&mut given);
        if given.is_empty() && server.out.is_empty() {
            return events;
        }
        let piece: Vec<u8> = given.drain(..given.len().min(cut)).collect();
        if !piece.is_empty() && !server.closed {
            assert!(!server.turned, "nothing is said behind the turn: {piece:?}");
            server.send(&piece);
        }
        let said: Vec<u8> = server.out.drain(..server.out.len().min(cut)).collect();
        client.handle_bytes(server.now, &said);
    }
}

/// What became of an attempt to authenticate.
fn attempt(
    words: &str,
    credentials: &Credentials,
    layer: Layer,
    cut: usize,
) -> (Mechanism, Vec<ClientEvent>, Memory) {
    let (mut client, mut server) = (client("customer.example"), server(words));
    assert_eq!(talk(&mut client, &mut server, cut), [ClientEvent::Ready]);
    let now = server.now;
    let mechanism = client.authenticate(now, credentials, &mut Channel::new(layer, [2; 32])).unwrap();
    let events = talk(&mut client, &mut server, cut);
    let known = server.session.client().identity.is_some();
    assert_eq!(known, events == [ClientEvent::Authenticated], "both sides are of one mind: {events:?}");
    (mechanism, events, server)
}

fn is_refused(events: &[ClientEvent]) -> bool {
    matches!(events, [ClientEvent::AuthRefused(reply)] if reply.code.get() == 535)
}

/// [5802-3] [5802-6] [9266-2]
#[test]
fn every_mechanism_of_ours_under_every_cut() {
    let user = credentials("user", "pencil");
    let certified = Credentials { password: None, external: true, ..user.clone() };
    let unbound = Layer::Tls { binding: None };
    for cut in [1, 2, 3, 7, 64, 10_000] {
        for (words, credentials, layer, expected, identity) in [
            ("tls auth=all", &user, BOUND, Mechanism::ScramSha256Plus, "user"),
            ("tls no-binding auth=all", &user, BOUND, Mechanism::ScramSha256, "user"),
            ("tls auth=all", &user, unbound, Mechanism::ScramSha256, "user"),
            ("auth=all cleartext", &user, Layer::Clear, Mechanism::ScramSha256, "user"),
            ("tls auth=PLAIN,LOGIN", &user, BOUND, Mechanism::Plain, "user"),
            ("tls auth=all certificate", &certified, BOUND, Mechanism::External, "certified"),
            ("odmr tls auth=all", &user, BOUND, Mechanism::ScramSha256Plus, "user"),
        ] {
            let (mechanism, events, server) = attempt(words, credentials, layer, cut);
            assert_eq!(
                (mechanism, events.as_slice()),
                (expected, [ClientEvent::Authenticated].as_slice()),
                "{words}"
            );
            assert_eq!(server.session.client().identity.as_deref(), Some(identity));
            assert_eq!(server.evidence.last().map(restante_smtp::Evidence::mechanism), Some(expected));
        }
    }
}

#[test]
fn wrong_passwords_and_strangers_are_refused_alike() {
    for words in ["tls auth=all", "tls no-binding auth=all", "tls auth=PLAIN"] {
        let layer = if words.contains("no-binding") { Layer::Tls { binding: None } } else { BOUND };
        let wrong = attempt(words, &credentials("user", "pencils"), layer, 10_000);
        let stranger = attempt(words, &credentials("nobody", "pencil"), layer, 10_000);
        assert!(is_refused(&wrong.1) && wrong.1 == stranger.1, "{words}");
    }
}

/// [5802-6-data] Somebody stands in between: two TLS connections, two bindings, the right password.
#[test]
fn another_binding_is_refused() {
    for binding in [[0; 32], [8; 32]] {
        let layer = Layer::Tls { binding: Some(binding) };
        let (mechanism, events, _) = attempt("tls auth=all", &credentials("user", "pencil"), layer, 10_000);
        assert!(mechanism == Mechanism::ScramSha256Plus && is_refused(&events), "{events:?}");
    }
}

/// [5802-6-server] Somebody takes `-PLUS` out of the answer to EHLO: the client says what it saw, and is refused.
#[test]
fn an_offer_that_was_taken_away_on_the_line_is_found_out() {
    let (mut client, mut server) = (client("customer.example"), server("tls auth=all"));
    let mut given = Vec::new();
    client.handle_bytes(server.now, &std::mem::take(&mut server.out));
    client.poll_transmit(&mut given);
    server.send(&given);
    let said = server.said().replace("SCRAM-SHA-256-PLUS ", "");
    client.handle_bytes(server.now, said.as_bytes());
    let channel = &mut Channel::new(BOUND, [2; 32]);
    let mechanism = client.authenticate(server.now, &credentials("user", "pencil"), channel).unwrap();
    assert_eq!(mechanism, Mechanism::ScramSha256);
    let events = talk(&mut client, &mut server, 10_000);
    assert!(
        matches!(events.as_slice(), [ClientEvent::Ready, ClientEvent::AuthRefused(reply)] if reply.code.get() == 535)
    );
}

/// Who changes the server's last word does not get the client.
#[test]
fn a_changed_proof_of_the_server_ends_it() {
    let (mut client, mut server) = (client("customer.example"), server("tls no-binding auth=all"));
    talk(&mut client, &mut server, 10_000);
    let channel = &mut Channel::new(Layer::Tls { binding: None }, [2; 32]);
    client.authenticate(server.now, &credentials("user", "pencil"), channel).unwrap();
    for round in 0..2 {
        let mut given = Vec::new();
        client.poll_transmit(&mut given);
        server.send(&given);
        let mut said = std::mem::take(&mut server.out);
        if round == 1 {
            // Base64 of `v=` and the first letters of the signature.
            said[9] = if said[9] == b'A' { b'B' } else { b'A' };
        }
        client.handle_bytes(server.now, &said);
    }
    let mut given = Vec::new();
    client.poll_transmit(&mut given);
    assert_eq!(given, b"*\r\n");
    server.send(&given);
    client.handle_bytes(server.now, &std::mem::take(&mut server.out));
    let ended = ClientEvent::Ended(End::Protocol(ProtocolError::Auth(AuthError::Server)));
    assert_eq!(std::iter::from_fn(|| client.poll_event()).collect::<Vec<_>>(), [ended]);
    assert_eq!(server.session.client().identity, None, "[4954-4-cancel]");
}

#[test]
fn clear_lines_see_no_password() {
    let (mut client, mut server) =
        (client("customer.example"), server("auth=PLAIN,LOGIN,CRAM-MD5 cleartext"));
    talk(&mut client, &mut server, 10_000);
    let channel = &mut Channel::new(Layer::Clear, [2; 32]);
    let credentials = credentials("user", "pencil");
    assert_eq!(client.authenticate(server.now, &credentials, channel), Err(NoMechanism::NoneInCommon));
}

fn job(sender: &str, recipient: &str, content: &[u8]) -> MailJob {
    let envelope = Envelope {
        sender: ReversePath::Mailbox(sender.parse().unwrap()),
        recipients: vec![Recipient::from(recipient.parse::<Mailbox>().unwrap())],
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    MailJob { envelope: Arc::new(envelope), recipients: vec![0], size: content.len() as u64, origin: None }
}

/// The customer calls in, proves who it is and asks for its mail; both sides are at the turn then.
fn turned(words: &str, cut: usize) -> bool {
    let (mut customer, mut provider) = (client("customer.example"), server(words));
    talk(&mut customer, &mut provider, cut);
    let channel = &mut Channel::new(BOUND, [2; 32]);
    customer.authenticate(provider.now, &credentials("user", "pencil"), channel).unwrap();
    assert_eq!(talk(&mut customer, &mut provider, cut), [ClientEvent::Authenticated]);
    let domains: Vec<Domain> = ["a.example", "b.example"].map(|name| name.parse().unwrap()).into();
    let asked = if words.contains(" turn") {
        customer.turn(provider.now)
    } else {
        customer.atrn(provider.now, &domains)
    };
    assert!(asked);
    talk(&mut customer, &mut provider, cut) == [ClientEvent::Turned] && provider.turned && !provider.closed
}

/// [2645-5.3] [2645-5.3-client] [2645-5.3-server] [821-turn] The whole of it, cut anywhere: the customer greets, the provider
/// says EHLO and sends.
#[test]
fn the_roles_turn_and_mail_flows_back() {
    for cut in [1, 5, 10_000] {
        assert!(turned("odmr tls auth=all", cut));
        assert!(turned("tls auth=all atrn", cut));
        assert!(turned("tls auth=all turn", cut));
        let (mut provider, mut customer) = (client("mx2.example.net"), server("collected has-size"));
        assert_eq!(talk(&mut provider, &mut customer, cut), [ClientEvent::Ready]);
        let offered = provider.capabilities();
        assert!(offered.pipelining && offered.chunking && offered.size.is_some());
        assert!(!offered.starttls && !offered.etrn && !offered.atrn && offered.auth.is_empty());
        let content = b"Subject: held\r\n\r\n.\r\n";
        for number in 0..3 {
            provider
                .send(customer.now, job("s@sender.example", &format!("r{number}@example.org"), content))
                .unwrap();
            let mut finished = Vec::new();
            while finished.is_empty() {
                finished = talk(&mut provider, &mut customer, cut);
                if provider.wants_content().is_some() {
                    provider.content(customer.now, content);
                }
            }
            let [ClientEvent::Finished(finished)] = finished.as_slice() else { panic!("{finished:?}") };
            assert_eq!(finished.fates, [Fate::Delivered]);
        }
        provider.quit(customer.now);
        assert_eq!(talk(&mut provider, &mut customer, cut), [ClientEvent::Ended(End::Quit)]);
        assert!(customer.closed && customer.accepted.len() == 3);
        assert!(customer.accepted.iter().all(|accepted| accepted.content == content));
    }
}

/// [2645-5.2.1-450] [2645-5.2.1-453] A refusal leaves both where they were.
#[test]
fn refusals_of_atrn_arrive() {
    let (mut client, mut server) = (client("customer.example"), server("odmr tls auth=all"));
    talk(&mut client, &mut server, 10_000);
    let channel = &mut Channel::new(BOUND, [2; 32]);
    client.authenticate(server.now, &credentials("user", "pencil"), channel).unwrap();
    talk(&mut client, &mut server, 10_000);
    for (name, code) in [("stranger.example", 450), ("down.example", 451), ("empty.example", 453)] {
        assert!(client.atrn(server.now, &[name.parse().unwrap()]));
        let events = talk(&mut client, &mut server, 10_000);
        assert!(
            matches!(events.as_slice(), [ClientEvent::Atrn(reply)] if reply.code.get() == code),
            "{events:?}"
        );
    }
    assert!(client.atrn(server.now, &[]));
    assert_eq!(talk(&mut client, &mut server, 10_000), [ClientEvent::Turned]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is changed in what the client sends, nobody is authenticated who does not know the password.
    #[test]
    fn nobody_gets_in_by_changing_octets(at in any::<prop::sample::Index>(), octet: u8, password in "[a-z]{1,8}") {
        let (mut client, mut server) = (client("customer.example"), server("tls auth=all"));
        talk(&mut client, &mut server, 10_000);
        let channel = &mut Channel::new(BOUND, [2; 32]);
        client.authenticate(server.now, &credentials("user", &password), channel).unwrap();
        for _ in 0..4 {
            let mut given = Vec::new();
            client.poll_transmit(&mut given);
            if !given.is_empty() && !server.closed {
                let place = at.index(given.len());
                given[place] = octet;
                server.send(&given);
            }
            client.handle_bytes(server.now, &std::mem::take(&mut server.out));
        }
        prop_assert_eq!(&server.session.client().identity, &None);
    }
}
