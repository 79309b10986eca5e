//! Our client and our server, face to face in memory: every message arrives as it was sent, however the octets are cut,
//! and what the client believes is what the server did.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use memory::Memory;
use proptest::prelude::*;
use restante_smtp::{
    ClientConfig, ClientEvent, ClientSession, End, EtrnTarget, Fate, Finished, MailJob, TransactionId,
};
use restante_types::{Body, Envelope, Mailbox, Recipient, ReversePath};

/// A message by its sender's local part, which says how the server takes it, and its recipients' domains.
#[derive(Debug, Clone)]
struct Letter {
    sender: &'static str,
    domains: Vec<&'static str>,
    content: Vec<u8>,
}

struct Pair {
    client: ClientSession,
    server: Memory,
    finished: BTreeMap<TransactionId, Finished>,
    letters: BTreeMap<TransactionId, Letter>,
    ready: bool,
    end: Option<End>,
    etrn: Vec<u16>,
}

fn client_config() -> Arc<ClientConfig> {
    Arc::new(ClientConfig { hostname: "primary.example.org".parse().unwrap(), own_names: Vec::new() })
}

fn job(letter: &Letter) -> MailJob {
    let recipient = |(index, domain): (usize, &&str)| {
        Recipient::from(format!("r{index}@{domain}").parse::<Mailbox>().unwrap())
    };
    let envelope = Envelope {
        sender: ReversePath::Mailbox(format!("{}@example.net", letter.sender).parse().unwrap()),
        recipients: letter.domains.iter().enumerate().map(recipient).collect(),
        body: Body::EightBitMime,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    let all = u16::try_from(letter.domains.len()).unwrap();
    MailJob {
        envelope: Arc::new(envelope),
        recipients: (0..all).collect(),
        size: letter.content.len() as u64,
        origin: None,
    }
}

impl Pair {
    fn new(words: &[&str]) -> Self {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let server = Memory::new(&words);
        let client = ClientSession::new(client_config(), server.now);
        let (finished, letters) = Default::default();
        Self { client, server, finished, letters, ready: false, end: None, etrn: Vec::new() }
    }

    /// Lets both talk until neither has anything to say, the client sending these letters as its window allows.
    fn run(&mut self, letters: &[Letter], up: usize, down: usize) {
        let mut waiting: VecDeque<&Letter> = letters.iter().collect();
        let mut given = Vec::new();
        loop {
            while let Some(event) = self.client.poll_event() {
                self.take(event);
            }
            let quiet = !self.feed(&mut waiting, up);
            self.client.poll_transmit(&mut given);
            if quiet && given.is_empty() && self.server.out.is_empty() {
                return;
            }
            let piece: Vec<u8> = given.drain(..given.len().min(up)).collect();
            if !piece.is_empty() && !self.server.closed {
                self.server.send(&piece);
            }
            let said: Vec<u8> = self.server.out.drain(..self.server.out.len().min(down)).collect();
            self.client.handle_bytes(self.server.now, &said);
            if self.server.closed && self.server.out.is_empty() && said.is_empty() {
                self.client.handle_eof();
                given.clear();
            }
        }
    }

    /// One thing that the client can do now; false if there is none.
    fn feed(&mut self, waiting: &mut VecDeque<&Letter>, up: usize) -> bool {
        let now = self.server.now;
        if let Some((id, left)) = self.client.wants_content() {
            let content = &self.letters[&id].content;
            let from = content.len() - usize::try_from(left).unwrap();
            return self.client.content(now, &content[from..content.len().min(from + up)]) > 0;
        }
        let Some(letter) = waiting.front() else { return false };
        let job = job(letter);
        if !self.client.room().takes(job.size, job.recipients.len()) {
            return false;
        }
        let id = self.client.send(now, job).unwrap();
        self.letters.insert(id, (*letter).clone());
        waiting.pop_front();
        true
    }

    fn take(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Ready => self.ready = true,
            ClientEvent::TlsGranted => {
                self.ready = false;
                self.client = ClientSession::after_tls(client_config(), self.server.now);
            }
            ClientEvent::Finished(finished) => drop(self.finished.insert(finished.id, finished)),
            ClientEvent::Etrn(reply) => self.etrn.push(reply.code.get()),
            ClientEvent::Ended(end) => assert_eq!(self.end.replace(end), None),
            other => panic!("nobody asked for {other:?}"),
        }
    }

    /// What the client believes to be delivered is what the server accepted, in order, octet by octet.
    fn check(&self) {
        let mut accepted = self.server.accepted.iter();
        for (id, finished) in &self.finished {
            let letter = &self.letters[id];
            let delivered = finished.fates.iter().zip(letter.domains.iter().enumerate());
            let to: Vec<String> = delivered
                .filter(|(fate, _)| **fate == Fate::Delivered)
                .map(|(_, (index, domain))| format!("r{index}@{domain}"))
                .collect();
            if to.is_empty() {
                continue;
            }
            let next = accepted.next().expect("the server accepted it");
            assert_eq!((&next.recipients, next.normalised), (&to, false));
            assert_eq!(next.content, letter.content);
        }
        assert_eq!(accepted.next(), None, "accepted, and the client does not know");
    }
}

fn letter(sender: &'static str, domains: &[&'static str], text: &str) -> Letter {
    Letter { sender, domains: domains.to_vec(), content: text.as_bytes().to_vec() }
}

fn letters() -> Vec<Letter> {
    vec![
        letter("a", &["example.org"], "Subject: 1\r\n\r\n.\r\n..\r\nbody\r\n"),
        letter("b", &["example.org", "elsewhere.example", "example.com"], "Subject: 2\r\n\r\n\u{fc}\r\n"),
        letter("c", &["elsewhere.example"], "Subject: 3\r\n\r\nnobody\r\n"),
        letter("never", &["example.org"], "Subject: 4\r\n\r\n"),
        letter("later", &["example.org"], "Subject: 5\r\n\r\n"),
        letter("full", &["example.org", "elsewhere.example"], "Subject: 6\r\n\r\n"),
        letter("nobegin", &["example.org"], "Subject: 7\r\n\r\n"),
        letter("void", &["example.com"], "Subject: 8\r\n\r\nRSET\r\nQUIT\r\n"),
        letter("d", &["example.com"], "Subject: 9\r\n\r\nMAIL FROM:<x@example.org>\r\n"),
    ]
}

#[test]
fn everything_arrives_or_is_told_under_every_cut() {
    for cut in (1..80).chain([1000, 1_000_000]) {
        for down in [1, 5, 1_000_000] {
            let mut pair = Pair::new(&[]);
            pair.run(&letters(), cut, down);
            pair.check();
            assert_eq!((pair.end.clone(), pair.finished.len()), (None, 9), "{cut} {down}");
            let behind_a_refused_mail = |reply: &restante_types::Reply| reply.code.get() == 503;
            assert!(pair.server.bad.iter().all(behind_a_refused_mail), "{cut} {down}: {:?}", pair.server.bad);
            let fates: String = pair.finished.values().flat_map(|one| one.fates.iter()).map(short).collect();
            assert_eq!(fates, "DDFDFdddFddD", "{cut} {down}");
        }
    }
}

fn short(fate: &Fate) -> char {
    match fate {
        Fate::Delivered => 'D',
        Fate::Deferred(_) => 'd',
        Fate::Failed(_) => 'F',
        Fate::AnotherTransaction => 'A',
    }
}

#[test]
fn a_421_at_the_end_of_content_leaves_what_is_behind_it() {
    let mut pair = Pair::new(&[]);
    let all = [letter("a", &["example.org"], "1\r\n"), letter("bye", &["example.org"], "2\r\n")];
    let behind = vec![letter("b", &["example.org"], "3\r\n"); 5];
    pair.run(&[&all[..], &behind].concat(), 1000, 1000);
    pair.check();
    assert!(matches!(pair.end, Some(End::Refused { .. })));
    let fates: String = pair.finished.values().flat_map(|one| one.fates.iter()).map(short).collect();
    assert_eq!(fates, "Dd");
}

#[test]
fn starttls_etrn_and_quit() {
    let mut pair = Pair::new(&["starttls"]);
    pair.run(&[], 3, 3);
    assert!(pair.ready && pair.client.capabilities().starttls && pair.client.capabilities().etrn);
    assert!(pair.client.start_tls(pair.server.now));
    pair.run(&[], 3, 3);
    assert!(pair.ready && !pair.client.capabilities().starttls);
    for node in ["started.example", "empty.example", "pending.example", "many.example", "other.example"] {
        assert!(pair.client.etrn(pair.server.now, &EtrnTarget::Node(node.parse().unwrap())));
        pair.run(&[], 3, 3);
    }
    assert_eq!(pair.etrn, [250, 251, 252, 253, 459]);
    pair.run(&letters()[..2], 3, 3);
    pair.check();
    pair.client.quit(pair.server.now);
    pair.run(&[], 3, 3);
    assert_eq!(pair.end, Some(End::Quit));
}

/// A crowd of recipients beyond what the server takes in one transaction is told apart from a refusal.
#[test]
fn one_recipient_too_many_goes_into_another_transaction() {
    let mut pair = Pair::new(&["recipients=2"]);
    pair.run(&[letter("a", &["example.org"; 3], "1\r\n")], 1000, 1000);
    pair.check();
    let fates: String = pair.finished.values().flat_map(|one| one.fates.iter()).map(short).collect();
    assert_eq!(fates, "DDA");
}

proptest! {
    #[test]
    fn any_mail_goes_through_as_it_is(
        picks in prop::collection::vec((0_usize..9, prop::collection::vec(prop::sample::select(
            vec!["a", ".", "..", "\r\n", "\r\n.\r\n", "BDAT 3 LAST\r\n", "RSET\r\n", "\u{fc}"]), 0..30)), 1..20),
        up in 1_usize..500,
        down in 1_usize..100,
    ) {
        let all = letters();
        let with = |(which, words): &(usize, Vec<&str>)| {
            let mut letter = all[*which].clone();
            letter.content.extend_from_slice(words.concat().as_bytes());
            letter
        };
        let sent: Vec<Letter> = picks.iter().map(with).collect();
        let mut pair = Pair::new(&[]);
        pair.run(&sent, up, down);
        pair.check();
        prop_assert_eq!(pair.finished.len(), sent.len());
    }
}
