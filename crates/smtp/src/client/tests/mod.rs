//! The client machine against scripted servers, a model server, hostile ones, and our own server machine.

mod auth;
mod forwarding;
mod grouping;
mod hello;
mod hostile;
mod model;
mod outcomes;
mod relay;

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_types::{Body, Envelope, Mailbox, Recipient, ReversePath};

use super::{ClientConfig, ClientEvent, ClientSession, End, Fate, MailJob, TransactionId};

/// A client on a clock of its own, with a hand at the server's side.
pub(super) struct Talk {
    pub(super) session: ClientSession,
    pub(super) now: Instant,
}

pub(super) fn config() -> Arc<ClientConfig> {
    let own_names = vec!["mx2.example.net".parse().unwrap(), "other.example.net".parse().unwrap()];
    Arc::new(ClientConfig { hostname: "mx2.example.net".parse().unwrap(), own_names })
}

/// A message for this many recipients.
pub(super) fn job(recipients: u16, size: u64) -> MailJob {
    let recipient = |index: u16| Recipient::from(format!("r{index}@example.org").parse::<Mailbox>().unwrap());
    let envelope = Envelope {
        sender: ReversePath::Mailbox("s@example.com".parse().unwrap()),
        recipients: (0..recipients).map(recipient).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    MailJob { envelope: Arc::new(envelope), recipients: (0..recipients).collect(), size, origin: None }
}

impl Talk {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { session: ClientSession::new(config(), now), now }
    }

    /// Greeted, and EHLO answered with these keywords.
    pub(super) fn ready(keywords: &[&str]) -> Self {
        let mut talk = Self::new();
        talk.hear("220 primary.example ESMTP");
        assert_eq!(talk.sent(), "EHLO mx2.example.net\r\n");
        let mut lines = vec!["primary.example"];
        lines.extend(keywords);
        let last = lines.len() - 1;
        for (index, line) in lines.iter().enumerate() {
            talk.hear(&format!("250{}{line}", if index == last { ' ' } else { '-' }));
        }
        assert_eq!(talk.events(), [ClientEvent::Ready]);
        talk
    }

    /// Ready, and one message was accepted already.
    pub(super) fn proven(keywords: &[&str]) -> Self {
        let mut talk = Self::ready(keywords);
        let id = talk.send(1, "x\r\n");
        talk.hear_all(&["250 ok", "250 ok"]);
        talk.content("x\r\n");
        talk.sent();
        talk.hear("250 taken");
        assert_eq!(talk.fates(), [(id, vec![Fate::Delivered])]);
        talk
    }

    pub(super) fn hear(&mut self, line: &str) {
        self.session.handle_bytes(self.now, format!("{line}\r\n").as_bytes());
    }

    pub(super) fn hear_all(&mut self, lines: &[&str]) {
        self.sent();
        for line in lines {
            self.hear(line);
        }
    }

    pub(super) fn sent(&mut self) -> String {
        let mut out = Vec::new();
        self.session.poll_transmit(&mut out);
        String::from_utf8(out).unwrap()
    }

    pub(super) fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The transactions that are over; nothing else may have happened.
    pub(super) fn fates(&mut self) -> Vec<(TransactionId, Vec<Fate>)> {
        let fates = |event| match event {
            ClientEvent::Finished(finished) => (finished.id, finished.fates),
            other => panic!("{other:?}"),
        };
        self.events().into_iter().map(fates).collect()
    }

    /// The end; nothing else may have happened since the last look.
    pub(super) fn end(&mut self) -> End {
        match self.events().as_slice() {
            [ClientEvent::Ended(end)] => end.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn send(&mut self, recipients: u16, content: &str) -> TransactionId {
        self.session.send(self.now, job(recipients, content.len() as u64)).unwrap()
    }

    pub(super) fn content(&mut self, content: &str) {
        assert_eq!(self.session.wants_content().map(|(_, left)| left), Some(content.len() as u64));
        assert_eq!(self.session.content(self.now, content.as_bytes()), content.len());
        assert_eq!(self.session.wants_content(), None);
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now += span;
        self.session.handle_timeout(self.now);
    }
}
