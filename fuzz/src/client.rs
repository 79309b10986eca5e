//! The client machine against a server that says whatever it likes.
//!
//! - A recipient is delivered only after 2yz to MAIL, to its RCPT and to the content, as a book-keeper sees it who knows
//!   nothing but what went over the wire ([`crate::wire::Book`]).
//! - What we send is commands and content: every command line is one that there is, without a control character, and
//!   short enough; every content arrives as it was given.
//! - Each transaction ends once, with a fate for each recipient; nothing comes behind the end.
//! - Nobody is believed who does not know the password, and what can be read is not said outside of TLS.
//! - One command at a time, each is answered by its own reply.
//! - What it holds is bounded, whatever the server says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use restante_smtp::{
    Channel, ClientConfig, ClientEvent, ClientSession, Credentials, EtrnTarget, Fate, Layer, MailJob, Origin,
    Secret, Speaker, Step, TransactionId, Transcript,
};
use restante_types::{Body, Envelope, Mailbox, Recipient, ReversePath};

use crate::cut::Input;
use crate::scram;
use crate::wire::Book;

/// Messages that a run has to send.
const LETTERS: usize = 6;

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    if input.octets.split(|octet| *octet == b'\n').any(is_hard) {
        return;
    }
    let mut run = Run::new(input);
    run.go_on();
    for piece in input.pieces(|_| false) {
        run.hear(piece);
        if run.ended || run.spent {
            break;
        }
    }
    run.finish();
}

/// A challenge that wants a hundred thousand iterations or more; two million are allowed, and take seconds.
fn is_hard(line: &[u8]) -> bool {
    let text = line.strip_prefix(b"334 ").and_then(|text| std::str::from_utf8(text).ok());
    let challenge = text.and_then(|text| scram::decode(text.trim())).unwrap_or_default();
    let rounds =
        challenge.split("i=").skip(1).map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    rounds.max().unwrap_or(0) > 5
}

struct Run<'a> {
    input: Input<'a>,
    now: Instant,
    session: ClientSession,
    transcript: Transcript,
    book: Book,
    /// Number and recipients of each transaction that was not finished.
    open: BTreeMap<TransactionId, Letter>,
    sent: usize,
    ready: bool,
    ended: bool,
    spent: bool,
    step: usize,
}

struct Letter {
    number: usize,
    content: Vec<u8>,
    recipients: usize,
}

fn config() -> Arc<ClientConfig> {
    let own_names = vec!["mx2.example.net".parse().unwrap()];
    Arc::new(ClientConfig { hostname: "mx2.example.net".parse().unwrap(), own_names })
}

fn content_of(number: usize) -> Vec<u8> {
    match number % 4 {
        0 => b"Subject: a\r\n\r\n.\r\n..\r\nMAIL FROM:<x@y>\r\n.".to_vec(),
        1 => b".\r\n".to_vec(),
        2 => vec![b'.'; 3000],
        _ => b"DATA\r\n\r\n.\r\n\r\nQUIT\r\n".to_vec(),
    }
}

impl<'a> Run<'a> {
    fn new(input: Input<'a>) -> Self {
        let now = Instant::now();
        let mut session =
            if input.has(0) { ClientSession::lmtp(config(), now) } else { ClientSession::new(config(), now) };
        let transcript = Transcript::default();
        session.record(transcript.clone());
        let (book, open) = (Book::new(), BTreeMap::new());
        let (ready, ended, spent) = (false, false, false);
        Self { input, now, session, transcript, book, open, sent: 0, ready, ended, spent, step: 0 }
    }

    fn hear(&mut self, piece: &[u8]) {
        self.book.heard(piece);
        self.session.handle_bytes(self.now, piece);
        self.go_on();
    }

    /// Takes what there is, and does what can be done, until nothing is left.
    fn go_on(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "no end");
            let mut events = 0;
            while let Some(event) = self.session.poll_event() {
                events += 1;
                assert!(events <= 200 + self.input.octets.len(), "events pile up");
                assert!(!self.ended, "{event:?} behind the end");
                self.take(event);
            }
            self.transmit();
            if self.ended || self.spent || !self.act() {
                break;
            }
            self.transmit();
        }
    }

    fn transmit(&mut self) {
        let mut out = Vec::new();
        self.session.poll_transmit(&mut out);
        assert!(out.is_empty() || !self.ended, "sent behind the end");
        self.book.said(&out);
    }

    fn take(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Ready => self.ready = true,
            ClientEvent::Finished(finished) => {
                let letter = self.open.remove(&finished.id).expect("it was open");
                assert_eq!(finished.fates.len(), letter.recipients, "a fate for each");
                for (index, fate) in finished.fates.iter().enumerate() {
                    let taken = self.book.took(letter.number, index);
                    let content = content_of(letter.number);
                    // By DATA the last line has an end.
                    let ended = [&content[..], b"\r\n"].concat();
                    let arrived = taken.as_ref().is_some_and(|taken| *taken == content || *taken == ended);
                    assert!(*fate != Fate::Delivered || arrived, "{fate:?}, and the server took {taken:?}");
                    assert!(*fate == Fate::Delivered || taken.is_none(), "{fate:?} but it was taken");
                }
            }
            ClientEvent::Ended(_) => self.ended = true,
            ClientEvent::TlsGranted | ClientEvent::Turned => self.spent = true,
            ClientEvent::Authenticated => {
                assert!(self.book.proved("pencil"), "by somebody who does not know the password");
                let open = matches!(self.book.mechanism(), "PLAIN" | "EXTERNAL");
                assert!(!open || self.input.has(5), "outside of TLS");
            }
            ClientEvent::Stepped(stage, reply) => {
                assert_eq!(Some(reply.code.get()), self.book.answer(), "{stage:?}");
            }
            ClientEvent::AuthRefused(_)
            | ClientEvent::TlsRefused(_)
            | ClientEvent::IntroductionRefused(_)
            | ClientEvent::Etrn(_)
            | ClientEvent::Atrn(_)
            | ClientEvent::Turn(_) => {}
        }
    }

    /// One thing that can be done now; false if there is none.
    fn act(&mut self) -> bool {
        if let Some((id, left)) = self.session.wants_content() {
            let content = &self.open[&id].content;
            let from = content.len() - usize::try_from(left).unwrap();
            let upto = (from + 1 + usize::from(self.input.cuts) * 7).min(content.len());
            assert_eq!(self.session.content(self.now, &content[from..upto]), upto - from);
            return true;
        }
        if !self.ready {
            return false;
        }
        while self.session.is_idle() && self.step < 4 {
            self.step += 1;
            if self.say_first() {
                return true;
            }
        }
        if self.input.has(1) { self.relay() } else { self.send() }
    }

    /// What the setting wants said before mail goes.
    fn say_first(&mut self) -> bool {
        let now = self.now;
        match self.step {
            1 if self.input.has(2) => self.session.start_tls(now),
            2 if self.input.has(3) => {
                let external = self.input.has(4);
                let password = Some(Secret::new("pencil".to_owned()));
                let credentials = Credentials { name: "user".to_owned(), password, external, plain: true };
                let layer =
                    if self.input.has(5) { Layer::Tls { binding: Some([7; 32]) } } else { Layer::Clear };
                self.session.authenticate(now, &credentials, &mut Channel::new(layer, [1; 32])).is_ok()
            }
            3 if self.input.has(4) => self.session.introduce(now, &origin()),
            4 if self.input.has(5) && self.input.has(3) => self.session.atrn(now, &[]),
            4 if self.input.has(5) => self.session.etrn(now, &EtrnTarget::Group("group".to_owned())),
            _ => false,
        }
    }

    fn send(&mut self) -> bool {
        if self.sent == LETTERS {
            if self.session.is_idle() && self.input.has(6) {
                self.session.quit(self.now);
                self.sent += 1;
                return true;
            }
            return false;
        }
        if self.sent > LETTERS {
            return false;
        }
        let content = content_of(self.sent);
        // LMTP answers for each recipient.
        let recipients = if self.input.has(0) { 1 } else { 1 + self.sent % 3 };
        let job = MailJob {
            envelope: Arc::new(envelope(self.sent, recipients)),
            recipients: (0..u16::try_from(recipients).unwrap()).collect(),
            size: content.len() as u64,
            origin: self.input.has(7).then(|| Arc::new(origin())),
        };
        if !self.session.room().takes(job.size, recipients) || self.session.check(&job).is_err() {
            return false;
        }
        let id = self.session.send(self.now, job).expect("there was room");
        self.open.insert(id, Letter { number: self.sent, content, recipients });
        self.sent += 1;
        true
    }

    /// One command at a time, as the agent does it.
    fn relay(&mut self) -> bool {
        let (number, place) = (self.sent / 5, self.sent % 5);
        if number >= LETTERS {
            return false;
        }
        let envelope = envelope(number, 1);
        let said = match place {
            0 => self.session.step(self.now, Step::Mail(&envelope, None)),
            1 => self.session.step(self.now, Step::Recipient(&envelope.recipients[0])),
            2 => self.session.step(self.now, Step::Data),
            3 => {
                let content = content_of(number);
                let wanted = self.session.step_content(self.now, &content);
                wanted && self.session.step_end(self.now)
            }
            _ => self.session.step(self.now, Step::Reset),
        };
        // Where no content is wanted DATA was refused: RSET is next.
        let skip = place == 3 && !said && self.session.is_idle();
        self.sent += usize::from(said || skip);
        said || skip
    }

    fn finish(mut self) {
        if !self.ended && !self.spent {
            self.session.handle_eof();
            self.go_on();
            assert!(self.ended);
        }
        let lines = self.transcript.lines();
        assert!(lines.len() <= 80 && lines.iter().all(|(_, line)| line.len() <= 1024));
        for (_, line) in lines.iter().filter(|(who, _)| *who == Speaker::Client) {
            assert!(!line.contains("cGVuY2ls") && !line.contains("pencil"), "a password in the transcript");
        }
        drop((self.transcript, lines));
        let held = crate::octets_of(self.session);
        assert!(held <= 256 * 1024, "{held} octets held");
    }
}

fn envelope(number: usize, recipients: usize) -> Envelope {
    let mailbox = |text: String| text.parse::<Mailbox>().unwrap();
    let recipient = |index| Recipient::from(mailbox(format!("r{index}@example.org")));
    Envelope {
        sender: ReversePath::Mailbox(mailbox(format!("s{number}@example.net"))),
        recipients: (0..recipients).map(recipient).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    }
}

fn origin() -> Origin {
    let helo = "odd name=\r\nQUIT".to_owned();
    Origin { address: "2001:db8::1".parse().unwrap(), helo, ident: "id 1".to_owned() }
}
