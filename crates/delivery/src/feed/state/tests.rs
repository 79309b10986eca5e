use std::sync::Arc;

use restante_types::{Body, Envelope, ReversePath};

use super::*;

const ALONE: Room = Room { messages: 1, octets: 0, alone: true };

fn work(number: u8) -> Work {
    let envelope = Envelope {
        sender: ReversePath::Null,
        recipients: Vec::new(),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    Work {
        id: id(number),
        envelope: Arc::new(envelope),
        size: u64::from(number) * 100,
        arrived: UnixMillis(0),
        waiting: vec![0],
        attempts: 0,
        client: Arc::new(restante_types::ClientFacts {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            helo: String::new(),
            identity: None,
            tls: None,
        }),
        vouched: restante_types::Vouched::Unchecked,
    }
}

fn id(number: u8) -> QueueId {
    QueueId::from_bytes([number; 16])
}

fn filled(numbers: &[u8]) -> State {
    let mut state = State::new(DrainCause::Etrn, None);
    assert!(state.wants_page().is_some());
    state.page_read(numbers.iter().map(|number| work(*number)).collect());
    state
}

fn next(state: &mut State, room: Room) -> Option<QueueId> {
    match state.step(room) {
        Step::Take(work) => Some(work.id),
        Step::Nothing | Step::Wait | Step::Until(_) => None,
    }
}

#[test]
fn a_page_older_than_a_settlement_brings_nothing_back() {
    let mut state = filled(&[1]);
    assert_eq!(next(&mut state, ALONE), Some(id(1)));
    // A page is being read, as the store was before this outcome came in.
    assert!(state.wants_page().is_some());
    state.forget(id(1));
    state.page_read(vec![work(1), work(2)]);
    assert_eq!(next(&mut state, ALONE), Some(id(2)));
    assert_eq!(next(&mut state, ALONE), None);
    // A page read after it may: the message was deferred, and somebody asked again.
    assert!(state.wants_page().is_some());
    state.page_read(vec![work(1)]);
    assert_eq!(next(&mut state, ALONE), Some(id(1)));
}

#[test]
fn what_is_out_is_not_handed_out_again() {
    let mut state = filled(&[1, 2]);
    assert_eq!(next(&mut state, ALONE), Some(id(1)));
    assert!(state.wants_page().is_some());
    state.page_read(vec![work(1), work(2), work(3)]);
    assert_eq!(next(&mut state, ALONE), Some(id(2)));
    assert_eq!(next(&mut state, ALONE), Some(id(3)));
    assert_eq!(next(&mut state, ALONE), None);
}

#[test]
fn what_is_put_back_goes_to_its_old_place() {
    let mut state = filled(&[1, 2, 3, 4]);
    let mut out: Vec<Work> = (0..3).filter_map(|_| state.take_head()).collect();
    state.put_back(out.remove(2));
    state.put_back(out.remove(0));
    let order: Vec<QueueId> = std::iter::from_fn(|| next(&mut state, ALONE)).collect();
    assert_eq!(order, [id(1), id(3), id(4)]);
}

#[test]
fn a_message_must_fit_unless_it_is_alone() {
    let mut state = filled(&[3]);
    let room = |messages, octets, alone| Room { messages, octets, alone };
    assert_eq!(next(&mut state, room(1, 299, false)), None);
    assert_eq!(next(&mut state, room(0, 1000, true)), None);
    assert!(matches!(state.peek(), Some(true)));
    assert_eq!(next(&mut state, room(1, 300, false)), Some(id(3)));
    state.put_back(work(3));
    assert_eq!(next(&mut state, room(1, 0, true)), Some(id(3)));
}

#[test]
fn a_short_page_is_not_the_end_an_empty_one_is() {
    let mut state = filled(&[1]);
    assert_eq!(next(&mut state, ALONE), Some(id(1)));
    assert!(matches!(state.step(ALONE), Step::Wait));
    assert!(state.wants_page().is_some());
    state.page_read(Vec::new());
    assert!(matches!(state.step(ALONE), Step::Nothing));
    assert!(state.is_idle());
    assert!(state.wants_page().is_none());
}

#[test]
fn once_stopped_nothing_is_handed_out_and_the_first_reason_stays() {
    let mut state = filled(&[1, 2]);
    state.stop(Some("first".to_owned()));
    state.stop(Some("second".to_owned()));
    assert_eq!(next(&mut state, ALONE), None);
    assert_eq!((state.backlog(), state.peek()), (0, Some(false)));
    assert_eq!(state.tally().stopped.as_deref(), Some("first"));
}

#[test]
fn no_more_is_out_than_a_crash_may_repeat() {
    let mut state = State::new(DrainCause::Etrn, None);
    let numbered = |number: usize| {
        let id = QueueId::from_bytes((number as u128).to_be_bytes());
        Work { id, ..work(1) }
    };
    assert!(state.wants_page().is_some());
    state.page_read((0..=UNRECORDED).map(numbered).collect());
    let room = Room { messages: usize::MAX, octets: u64::MAX, alone: false };
    let mut out: Vec<Work> = Vec::new();
    while let Step::Take(work) = state.step(room) {
        out.push(work);
    }
    assert_eq!(out.len(), UNRECORDED);
    assert!(matches!(state.step(room), Step::Wait) && matches!(state.step(ALONE), Step::Wait));
    assert!(matches!(state.head(), Head::Unknown));
    // An outcome that was handed in is not recorded yet.
    state.count(&Settlement { id: out[0].id, outcomes: vec![(0, Outcome::Delivered)] });
    assert!(matches!(state.step(room), Step::Wait));
    state.forget(out[0].id);
    assert!(matches!(state.step(room), Step::Take(_)), "recorded");
    assert!(state.is_full());
    state.put_back(out.remove(1));
    assert!(matches!(state.step(room), Step::Take(_)), "nothing was said about it");
    assert!(state.is_full());
    state.skip(out[1].id);
    assert!(!state.is_full(), "it is out no longer");
}
