//! Every dialogue file, in one piece per step, octet by octet, and under every cut into two.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod dialogue;
mod memory;

use std::path::Path;
use std::time::Duration;

use dialogue::{Act, Dialogue, Step, matches};
use memory::Memory;

fn dialogues() -> Vec<Dialogue> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| Dialogue::parse(&name(path), &std::fs::read_to_string(path).unwrap())).collect()
}

/// Where the octets are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Nowhere.
    Whole,
    /// Before each octet.
    Everywhere,
    /// In this step, at this place.
    At(usize, usize),
}

fn replay(dialogue: &Dialogue, cut: Cut) {
    let mut memory = Memory::silent(&dialogue.config);
    for (index, step) in dialogue.steps.iter().enumerate() {
        let voids = memory.voids;
        act(&mut memory, index, step, cut);
        memory.drain();
        let (name, line) = (&dialogue.name, step.line);
        let said = memory.said();
        let lines: Vec<_> = said.split_terminator("\r\n").collect();
        let agrees = lines.len() == step.expect.len()
            && lines.iter().zip(&step.expect).all(|(line, expected)| matches(expected, line));
        assert!(agrees, "{name}:{line} {cut:?}\nexpected {:#?}\ngot {lines:#?}", step.expect);
        assert_eq!(memory.closed, step.closes, "{name}:{line} {cut:?}: closed");
        assert_eq!(memory.turned, step.turns, "{name}:{line} {cut:?}: turned");
        assert_eq!(memory.voids - voids, step.voids, "{name}:{line} {cut:?}: contents void");
    }
    assert_eq!(memory.accepted.len(), dialogue.queued.len(), "{} {cut:?}: messages accepted", dialogue.name);
    for (accepted, expected) in memory.accepted.iter().zip(&dialogue.queued) {
        assert_eq!((&accepted.sender, &accepted.recipients), (&expected.sender, &expected.recipients));
        if let Some(content) = &expected.content {
            let (got, want) = (String::from_utf8_lossy(&accepted.content), String::from_utf8_lossy(content));
            assert_eq!(got, want, "{} {cut:?}", dialogue.name);
        }
    }
    assert!(
        !memory.sink.open || !memory.closed,
        "{} {cut:?}: content of a closed session is void",
        dialogue.name
    );
}

fn act(memory: &mut Memory, index: usize, step: &Step, cut: Cut) {
    match &step.act {
        Act::Wait => memory.session.greet(),
        Act::Time(seconds) => {
            memory.now += Duration::from_secs(*seconds);
            memory.session.handle_timeout(memory.now);
        }
        Act::Shutdown => memory.session.shut_down(),
        Act::Eof => memory.session.handle_eof(),
        Act::Send { octets, glued } => {
            let mut places: Vec<usize> = match cut {
                Cut::Everywhere => (1..octets.len()).collect(),
                Cut::At(step, place) if step == index => vec![place],
                _ => vec![],
            };
            places.retain(|place| !glued.contains(place));
            let mut from = 0;
            for place in places.into_iter().chain([octets.len()]) {
                if !memory.closed && !memory.turned {
                    memory.send(&octets[from..place]);
                }
                from = place;
            }
        }
    }
}

#[test]
fn dialogues_come_out_in_one_piece() {
    let dialogues = dialogues();
    assert!(dialogues.len() >= 25, "only {} dialogues found", dialogues.len());
    for dialogue in &dialogues {
        replay(dialogue, Cut::Whole);
    }
}

#[test]
fn dialogues_come_out_octet_by_octet() {
    for dialogue in &dialogues() {
        replay(dialogue, Cut::Everywhere);
    }
}

#[test]
fn dialogues_come_out_under_every_cut() {
    for dialogue in &dialogues() {
        for (index, step) in dialogue.steps.iter().enumerate() {
            let Act::Send { octets, .. } = &step.act else { continue };
            // Long filler is all alike: its ends are what matters.
            let (edge, length) = (700, octets.len());
            for place in (1..length).filter(|place| *place <= edge || *place + edge >= length) {
                replay(dialogue, Cut::At(index, place));
            }
        }
    }
}
