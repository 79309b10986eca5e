//! A model of a server that answers whatever it likes but keeps its own word: it knows which recipients of which
//! message it took responsibility for, and the client must believe exactly that.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::limits::{WINDOW_MESSAGES, WINDOW_OCTETS, WINDOW_START};
use super::*;

/// How the model feels about one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Yes,
    Later,
    Never,
    TooMany,
    Strange,
    Closing,
}

#[derive(Debug, Default)]
enum Reading {
    #[default]
    Commands,
    Dots,
    Chunk(usize),
}

#[derive(Debug)]
struct Model {
    chunking: bool,
    moods: VecDeque<Mood>,
    input: Vec<u8>,
    reading: Reading,
    /// Recipients accepted since MAIL, if one is open.
    open: Option<Vec<String>>,
    content: Vec<u8>,
    taken: Vec<(Vec<u8>, Vec<String>)>,
    out: Vec<u8>,
    closed: bool,
}

impl Model {
    fn new(keywords: &[&str], moods: Vec<Mood>) -> Self {
        Self {
            chunking: keywords.contains(&"CHUNKING"),
            moods: moods.into(),
            input: Vec::new(),
            reading: Reading::default(),
            open: None,
            content: Vec::new(),
            taken: Vec::new(),
            out: Vec::new(),
            closed: false,
        }
    }

    fn mood(&mut self) -> Mood {
        self.moods.pop_front().unwrap_or(Mood::Yes)
    }

    fn say(&mut self, line: &str) {
        if !self.closed {
            self.out.extend_from_slice(format!("{line}\r\n").as_bytes());
        }
    }

    /// The common part of all answers; true for yes.
    fn feels(&mut self, mood: Mood, yes: &str, legal: bool) -> bool {
        match mood {
            Mood::Closing => {
                self.say("421 closing");
                self.closed = true;
            }
            Mood::Strange => self.say("354-what\r\n354 now"),
            _ if !legal => self.say("503 5.5.1 out of order"),
            Mood::Yes => self.say(yes),
            Mood::Later => self.say("451 4.3.0 later"),
            Mood::Never => self.say("550-5.7.1 no\r\n550 5.7.1 really"),
            Mood::TooMany => self.say("452 4.5.3 too many"),
        }
        mood == Mood::Yes && legal
    }

    fn handle_bytes(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        while !self.closed {
            let done = match self.reading {
                Reading::Commands => self.read_command(),
                Reading::Dots => self.read_dots(),
                Reading::Chunk(left) => self.read_chunk(left),
            };
            if !done {
                return;
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let end = self.input.windows(2).position(|pair| pair == b"\r\n")?;
        let line: Vec<u8> = self.input.drain(..end + 2).collect();
        Some(String::from_utf8(line).unwrap().trim_end().to_owned())
    }

    fn read_command(&mut self) -> bool {
        let Some(line) = self.line() else { return false };
        let mood = self.mood();
        if line == "RSET" {
            self.open = None;
            self.feels(Mood::Yes, "250 reset", true);
        } else if line.starts_with("MAIL FROM:<") {
            if self.feels(mood, "250 2.1.0 ok", self.open.is_none()) {
                self.open = Some(Vec::new());
            }
        } else if let Some(rest) = line.strip_prefix("RCPT TO:<") {
            if self.feels(mood, "250 2.1.5 ok", self.open.is_some()) {
                self.open.as_mut().unwrap().push(rest.trim_end_matches('>').to_owned());
            }
        } else if line == "DATA" {
            assert!(!self.chunking);
            let wanted = self.open.as_ref().is_some_and(|all| !all.is_empty());
            let strange = mood == Mood::Strange;
            if self.feels(mood, "354 go", wanted) || strange {
                self.reading = Reading::Dots;
            }
        } else if let Some(rest) = line.strip_prefix("BDAT ") {
            assert!(self.chunking);
            let size = rest.strip_suffix(" LAST").unwrap().parse().unwrap();
            self.reading = Reading::Chunk(size);
        } else if line == "QUIT" {
            self.say("221 bye");
            self.closed = true;
        } else {
            panic!("{line:?}");
        }
        true
    }

    fn read_dots(&mut self) -> bool {
        let Some(line) = self.line() else { return false };
        if line == "." {
            self.reading = Reading::Commands;
            self.end_content(true);
        } else {
            self.content.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            self.content.extend_from_slice(b"\r\n");
        }
        true
    }

    fn read_chunk(&mut self, size: usize) -> bool {
        if self.input.len() < size {
            return false;
        }
        self.content = self.input.drain(..size).collect();
        self.reading = Reading::Commands;
        self.end_content(false);
        true
    }

    /// A BDAT that failed leaves its transaction open, as RFC 3030 allows; a dot never does.
    fn end_content(&mut self, dot: bool) {
        let mood = self.mood();
        let content = std::mem::take(&mut self.content);
        let wanted = self.open.as_ref().is_some_and(|all| !all.is_empty());
        let taken = self.feels(mood, "250 2.0.0 taken", wanted);
        let recipients = if taken || dot { self.open.take() } else { None };
        if taken {
            self.taken.push((content, recipients.unwrap()));
        }
    }
}

/// Lets the client send these messages, cutting both directions into pieces of these sizes.
struct Play {
    talk: Talk,
    model: Model,
    contents: BTreeMap<TransactionId, (u64, Vec<u8>, u16)>,
    fates: BTreeMap<TransactionId, Vec<Fate>>,
    end: Option<End>,
}

impl Play {
    fn new(keywords: &[&str], moods: Vec<Mood>) -> Self {
        let (contents, fates) = Default::default();
        Self { talk: Talk::ready(keywords), model: Model::new(keywords, moods), contents, fates, end: None }
    }

    fn run(&mut self, messages: &[(u16, usize)], up: usize, down: usize) {
        let mut waiting: VecDeque<_> = messages.iter().copied().enumerate().collect();
        let mut given: Vec<u8> = Vec::new();
        loop {
            self.take_events();
            if self.end.is_some() {
                return;
            }
            if let Some((id, left)) = self.talk.session.wants_content() {
                let content = &self.contents[&id].1;
                let from = content.len() - usize::try_from(left).unwrap();
                let piece = &content[from..content.len().min(from + up)];
                assert_eq!(self.talk.session.content(self.talk.now, piece), piece.len());
                continue;
            }
            if let Some((number, (recipients, size))) = waiting.front().copied() {
                let content = content(number, size);
                if self.talk.session.room().takes(content.len() as u64, usize::from(recipients)) {
                    let job = job(recipients, content.len() as u64);
                    let id = self.talk.session.send(self.talk.now, job).unwrap();
                    self.contents.insert(id, (number as u64, content, recipients));
                    self.check_window();
                    waiting.pop_front();
                    continue;
                }
            } else if self.talk.session.is_idle() {
                self.talk.session.quit(self.talk.now);
            }
            self.talk.session.poll_transmit(&mut given);
            assert!(!given.is_empty() || !self.model.out.is_empty(), "nobody has anything to say");
            let piece: Vec<u8> = given.drain(..given.len().min(up)).collect();
            self.model.handle_bytes(&piece);
            let answer: Vec<u8> = self.model.out.drain(..self.model.out.len().min(down)).collect();
            self.talk.session.handle_bytes(self.talk.now, &answer);
            if self.model.closed && self.model.out.is_empty() {
                self.talk.session.handle_eof();
            }
        }
    }

    fn take_events(&mut self) {
        for event in self.talk.events() {
            match event {
                ClientEvent::Finished(finished) => {
                    assert_eq!(finished.fates.len(), usize::from(self.contents[&finished.id].2));
                    assert_eq!(self.fates.insert(finished.id, finished.fates), None, "one outcome each");
                }
                ClientEvent::Ended(end) => assert_eq!(self.end.replace(end), None),
                other => panic!("{other:?}"),
            }
        }
    }

    fn check_window(&self) {
        let open = self.contents.iter().filter(|(id, _)| !self.fates.contains_key(id));
        let sizes: Vec<u64> = open.map(|(_, (_, content, _))| content.len() as u64).collect();
        let taken = self.fates.values().filter(|fates| fates.contains(&Fate::Delivered)).count();
        assert!(sizes.len() <= taken.clamp(WINDOW_START, WINDOW_MESSAGES));
        assert!(sizes.len() == 1 || sizes.iter().sum::<u64>() <= WINDOW_OCTETS);
    }

    /// Delivered is what the model took, no more and no less; only what was never answered may be in doubt.
    fn check(&self) {
        for (id, (_, content, recipients)) in &self.contents {
            let taken: Vec<&Vec<String>> =
                self.model.taken.iter().filter(|(taken, _)| taken == content).map(|(_, all)| all).collect();
            assert!(taken.len() <= 1, "sent twice");
            let Some(fates) = self.fates.get(id) else { continue };
            for index in 0..*recipients {
                let has = taken.iter().any(|all| all.contains(&format!("r{index}@example.org")));
                let believes = fates[usize::from(index)] == Fate::Delivered;
                assert_eq!(believes, has, "message {id:?} recipient {index}: {fates:?}");
            }
        }
        for (content, _) in &self.model.taken {
            assert!(self.contents.values().any(|(_, sent, _)| sent == content), "altered on its way");
        }
    }
}

/// Unlike any other message, with dots where they hurt.
fn content(number: usize, size: usize) -> Vec<u8> {
    let mut content = format!("Subject: {number}\r\n\r\n.\r\n..\r\n").into_bytes();
    while content.len() < size {
        content.extend_from_slice(b".x.\r\n");
    }
    content
}

const OFFERS: [&[&str]; 4] = [&[], &["PIPELINING"], &["CHUNKING"], &["PIPELINING", "CHUNKING"]];

#[test]
fn a_server_that_says_yes_gets_everything_under_every_cut() {
    for keywords in OFFERS {
        for (up, down) in [(1, 1), (1, 1000), (7, 3), (1000, 1), (100_000, 100_000)] {
            let mut play = Play::new(keywords, Vec::new());
            play.run(&[(1, 0), (2, 300), (1, 0), (3, 50), (1, 40), (1, 0)], up, down);
            assert_eq!(play.end, Some(End::Quit), "{keywords:?} {up} {down}");
            assert_eq!((play.model.taken.len(), play.fates.len()), (6, 6));
            play.check();
        }
    }
}

#[test]
fn a_long_queue_keeps_within_the_window() {
    let mut play = Play::new(OFFERS[3], Vec::new());
    play.run(&vec![(1, 30_000); 200], 4096, 512);
    assert_eq!((play.end.clone(), play.model.taken.len()), (Some(End::Quit), 200));
    play.check();
    let mut play = Play::new(OFFERS[3], Vec::new());
    play.run(&vec![(1, 50); 600], 4096, 512);
    assert_eq!((play.end.clone(), play.model.taken.len()), (Some(End::Quit), 600));
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        20 => Just(Mood::Yes),
        3 => Just(Mood::Later),
        3 => Just(Mood::Never),
        2 => Just(Mood::TooMany),
        1 => Just(Mood::Strange),
        1 => Just(Mood::Closing),
    ]
}

proptest! {
    #[test]
    fn the_client_believes_what_the_server_took(
        offer in 0_usize..4,
        moods in prop::collection::vec(mood(), 0..60),
        messages in prop::collection::vec((1_u16..5, 0_usize..200), 1..12),
        up in 1_usize..300,
        down in 1_usize..60,
    ) {
        let mut play = Play::new(OFFERS[offer], moods);
        play.run(&messages, up, down);
        play.check();
        if play.end == Some(End::Quit) {
            prop_assert_eq!(play.fates.len(), messages.len(), "a good end leaves nothing open");
        }
    }
}
