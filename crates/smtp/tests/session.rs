//! What a driver sees of the machine besides dialogues: bounds, questions that are out, the ends of a session.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;

use std::time::Duration;

use memory::{Memory, Receipt, Sink};
use restante_smtp::{Ask, Begin, Event, Evidence, Identity, Mail, Mechanism, ScramKeys, ServerSession};
use restante_types::Reply;

const ENVELOPE: &[u8] = b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n";

/// A session whose question about MAIL is out.
fn asked() -> (Memory, Ask<Mail>) {
    let mut memory = Memory::new(&[]);
    memory.send(b"EHLO client.example\r\n");
    memory.session.handle_bytes(memory.now, b"MAIL FROM:<a@client.example>\r\n", &mut Sink::default());
    let Some(Event::Mail(ask, _)) = memory.session.poll_event() else { panic!("no question") };
    memory.said();
    (memory, ask)
}

/// A session whose question about content is out.
fn asked_for_content() -> (Memory, Ask<Begin>) {
    let mut memory = Memory::new(&[]);
    memory.send(ENVELOPE);
    memory.session.handle_bytes(memory.now, b"DATA\r\n", &mut Sink::default());
    let Some(Event::Begin(ask)) = memory.session.poll_event() else { panic!("no question") };
    (memory, ask)
}

/// Without a channel nothing is offered that needs a nonce.
#[test]
fn without_a_channel_no_nonce_is_made_up() {
    let words = ["tls", "auth=all", "certificate", "no-channel"].map(str::to_owned);
    let mut memory = Memory::new(&words);
    memory.said();
    memory.send(b"EHLO client.example\r\nAUTH CRAM-MD5\r\nAUTH SCRAM-SHA-256\r\nAUTH SCRAM-SHA-256-PLUS\r\n");
    let said = memory.said();
    assert!(said.contains("\r\n250-AUTH EXTERNAL PLAIN LOGIN\r\n"), "{said}");
    assert_eq!(said.matches("504 5.5.4 ").count(), 3, "{said}");
}

/// A session whose question about this line of AUTH is out.
fn asked_at(line: &str) -> Memory {
    let mut memory = Memory::new(&["tls", "auth=all"].map(str::to_owned));
    memory.send(b"EHLO client.example\r\n");
    memory.said();
    memory.session.handle_bytes(memory.now, line.as_bytes(), &mut Sink::default());
    memory
}

/// The identity is there with 235 and not before; while the question is out nothing is read.
#[test]
fn who_it_is_is_known_when_the_client_was_told() {
    let mut memory = asked_at("AUTH PLAIN AHVzZXIAcGVuY2ls\r\n");
    let Some(Event::Auth(ask, evidence)) = memory.session.poll_event() else { panic!("no question") };
    assert_eq!((evidence.name(), evidence.mechanism()), (Some("user"), Mechanism::Plain));
    assert_eq!(memory.session.handle_bytes(memory.now, b"NOOP\r\n", &mut memory.sink), 0);
    assert_eq!((memory.session.poll_timeout(), &memory.session.client().identity), (None, &None));
    memory.session.grant(ask, Identity("somebody".into()));
    memory.drain();
    assert_eq!(memory.said(), "235 2.7.0 Authentication successful\r\n");
    assert_eq!(memory.session.client().identity.as_deref(), Some("somebody"));
}

/// A question of AUTH is not answered by the answer of another session, nor by another question's.
#[test]
fn answers_of_other_sessions_authenticate_nobody() {
    let mut memory = asked_at("AUTH PLAIN AHVzZXIAcGVuY2ls\r\n");
    let mut scram = asked_at("AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9YWJj\r\n");
    let Some(Event::ScramKeys(keys, name)) = scram.session.poll_event() else { panic!("no question") };
    assert_eq!(name, "user");
    memory.session.grant(keys, ScramKeys::derive("x", b"salt", 4096));
    assert!(!memory.session.poll_transmit(&mut memory.out));
    let Some(Event::Auth(auth, _)) = memory.session.poll_event() else { panic!("no question") };
    scram.session.grant(auth, Identity("user".into()));
    assert!(!scram.session.poll_transmit(&mut scram.out));
    assert_eq!((&memory.session.client().identity, &scram.session.client().identity), (&None, &None));
}

/// The name and the password that came are in the evidence and in no representation of the machine.
#[test]
fn a_session_inside_auth_tells_no_secret() {
    let mut memory = asked_at("AUTH LOGIN dXNlcg==\r\n");
    memory.send(b"cGVu");
    let held = format!("{:?} {:?}", b"cGVu", memory.session);
    assert!(!held[20..].contains(&held[1..19]), "{held}");
    memory.session.handle_bytes(memory.now, b"Y2ls\r\n", &mut Sink::default());
    let shown = format!("{:?}", memory.session);
    let Some(Event::Auth(_ask, Evidence::Plain { password, .. })) = memory.session.poll_event() else {
        panic!("no question")
    };
    assert_eq!(password.expose(), "pencil");
    assert!(!shown.contains("pencil"), "{shown}");
}

/// The end of the stream and our shutdown wait for the answer, and nobody is authenticated behind them.
#[test]
fn a_session_that_ends_while_it_is_asked() {
    for shutdown in [false, true] {
        let mut memory = asked_at("AUTH PLAIN AHVzZXIAcGVuY2ls\r\n");
        if shutdown {
            memory.session.shut_down()
        } else {
            memory.session.handle_eof()
        }
        assert!(!memory.closed);
        memory.drain();
        assert!(memory.closed);
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<ServerSession<Receipt>>() <= 512, "{}", size_of::<ServerSession<Receipt>>());
}

#[test]
fn while_a_question_is_out_nothing_is_read_and_no_time_passes() {
    let (mut memory, ask) = asked();
    assert_eq!(memory.session.handle_bytes(memory.now, b"NOOP\r\n", &mut memory.sink), 0);
    assert_eq!(memory.session.poll_timeout(), None);
    memory.now += Duration::from_secs(1000);
    memory.session.handle_timeout(memory.now);
    memory.session.grant(ask, ());
    memory.session.handle_timeout(memory.now);
    memory.drain();
    assert_eq!(memory.said(), "250 2.1.0 Sender ok\r\n");
    assert!(memory.session.poll_timeout().is_some_and(|deadline| deadline > memory.now));
}

#[test]
fn the_answer_of_another_session_changes_nothing() {
    let (mut memory, mail) = asked();
    let (_, begin) = asked_for_content();
    memory.session.grant(begin, ());
    assert!(!memory.drain());
    memory.session.grant(mail, ());
    memory.drain();
    assert_eq!(memory.said(), "250 2.1.0 Sender ok\r\n");
}

#[test]
fn void_content_without_content_changes_nothing() {
    let mut memory = Memory::new(&[]);
    memory.session.void_content(Reply::new(452, (4, 3, 1), "no room"));
    memory.send(ENVELOPE);
    memory.send(b"DATA\r\n");
    memory.send(b"x\r\n.\r\n");
    assert_eq!(memory.accepted.len(), 1);
}

/// A driver may want to know how long the content has grown, whichever way it comes.
#[test]
fn the_content_that_is_coming_has_a_length() {
    let mut memory = Memory::new(&[]);
    memory.send(ENVELOPE);
    assert_eq!(memory.session.content_so_far(), 0);
    memory.send(b"DATA\r\n");
    memory.send(b"12345678\r\n");
    assert_eq!(memory.session.content_so_far(), 10);
    memory.send(b".\r\n");
    assert_eq!(memory.session.content_so_far(), 0);
    memory.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 20 LAST\r\n12345678");
    assert_eq!(memory.session.content_so_far(), 8);
}

#[test]
fn the_end_of_the_stream_waits_for_the_answer() {
    let (mut memory, ask) = asked();
    memory.session.handle_eof();
    memory.drain();
    assert!(!memory.closed);
    memory.session.grant(ask, ());
    memory.drain();
    assert!(memory.closed);
    let (mut memory, ask) = asked_for_content();
    memory.session.handle_eof();
    memory.sink.open = true;
    memory.session.grant(ask, ());
    memory.drain();
    assert!(memory.closed && memory.voids == 1 && memory.accepted.is_empty());
}

/// [5321-3.8]
#[test]
fn shutting_down_waits_for_the_answer() {
    let (mut memory, ask) = asked();
    memory.session.shut_down();
    memory.drain();
    assert!(!memory.closed);
    memory.session.refuse(ask, Reply::new(451, (4, 3, 0), "later"));
    memory.drain();
    assert!(memory.closed);
    assert_eq!(
        memory.said(),
        "451 4.3.0 later\r\n421 4.3.2 mx2.example.net shutting down, closing connection\r\n"
    );
    let mut memory = Memory::silent(&[]);
    memory.session.shut_down();
    memory.session.greet();
    memory.drain();
    assert!(memory.closed && memory.said().starts_with("421 4.3.2 "));
}

#[test]
fn a_client_that_is_turned_away_hears_why() {
    let mut memory = Memory::silent(&[]);
    memory.session.turn_away(&Reply::new(421, (4, 7, 0), "too many connections"));
    memory.drain();
    assert!(memory.closed);
    assert_eq!(memory.said(), "421 4.7.0 too many connections\r\n");
    assert_eq!(memory.session.handle_bytes(memory.now, b"NOOP\r\n", &mut memory.sink), 0);
    memory.session.greet();
    memory.session.handle_eof();
    memory.session.shut_down();
    assert!(!memory.drain());
}

/// [2920-3.2] Replies to a flood of commands do not pile up: the machine waits until they are taken.
#[test]
fn replies_do_not_pile_up() {
    let flood = b"RSET\r\n".repeat(20_000);
    let mut memory = Memory::new(&[]);
    memory.said();
    let taken = memory.session.handle_bytes(memory.now, &flood, &mut memory.sink);
    assert!(taken < flood.len());
    assert_eq!(memory.session.handle_bytes(memory.now, &flood[taken..], &mut memory.sink), 0);
    memory.drain();
    let length = memory.out.len();
    assert!((16 * 1024..17 * 1024).contains(&length), "{length}");
    memory.send(&flood[taken..]);
    assert_eq!(memory.said().lines().count(), 20_000);
}

/// Nor do events: a refused MAIL with a thousand pipelined recipients behind it.
#[test]
fn events_do_not_pile_up() {
    let mut memory = Memory::new(&[]);
    memory.send(b"EHLO client.example\r\n");
    memory.said();
    memory.send(&b"RCPT TO:<b@example.org>\r\n".repeat(1000));
    assert_eq!((memory.said().lines().count(), memory.bad.len()), (1000, 1000));
}

/// Content that is void is swallowed politely up to a bound.
#[test]
fn a_flood_of_void_content_ends() {
    let mut memory = Memory::new(&["size=1000".into()]);
    memory.send(ENVELOPE);
    memory.send(b"DATA\r\n");
    memory.said();
    let piece = vec![b'x'; 8 << 20];
    for _ in 0..128 {
        memory.send(&piece);
        assert!(!memory.closed);
    }
    memory.send(&piece);
    memory.send(&piece);
    assert!(memory.closed && memory.voids == 1 && memory.sink.octets.is_empty());
    assert_eq!(memory.said(), "552 5.3.4 Message size exceeds the limit\r\n");
}

/// Ten bad commands close; a list of bad recipients does not.
#[test]
fn bad_recipients_are_no_bad_commands() {
    let mut memory = Memory::new(&[]);
    memory.send(ENVELOPE);
    memory.send(&b"RCPT TO:<bad>\r\n".repeat(50));
    assert!(!memory.closed && memory.bad.len() == 50);
}
