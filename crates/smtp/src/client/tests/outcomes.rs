//! What replies mean for recipients, command by command.

use super::super::limits::MAX_KEPT_TEXT;
use super::*;
use crate::client::{ProtocolError, Stage};

/// D delivered, d deferred, F failed, A another transaction.
fn letters(fates: &[Fate]) -> String {
    let letter = |fate: &Fate| match fate {
        Fate::Delivered => 'D',
        Fate::Deferred(_) => 'd',
        Fate::Failed(_) => 'F',
        Fate::AnotherTransaction => 'A',
    };
    fates.iter().map(letter).collect()
}

/// Plays one transaction with these answers, in order, over a server that offers these keywords; returns the fates
/// and what the next message begins with.
fn play(keywords: &[&str], proven: bool, recipients: u16, answers: &[&str]) -> (String, bool) {
    let mut talk = if proven { Talk::proven(keywords) } else { Talk::ready(keywords) };
    talk.send(recipients, "x\r\n");
    let mut answers = answers.iter();
    loop {
        if talk.session.wants_content().is_some() {
            talk.content("x\r\n");
        }
        talk.sent();
        if talk.session.has_events() {
            break;
        }
        talk.hear(answers.next().expect("an answer for each command"));
    }
    assert_eq!(answers.next(), None, "every answer is used");
    let fates = talk.fates();
    assert_eq!(fates.len(), 1);
    talk.send(1, "x\r\n");
    (letters(&fates[0].1), talk.sent().starts_with("RSET"))
}

/// Two recipients; the answers to MAIL, RCPT, RCPT, DATA, content. [5321-4.2.1]
#[test]
fn outcomes_of_data() {
    let table: &[(&[&str], &str, bool)] = &[
        (&["250", "250", "250", "354", "250"], "DD", false),
        (&["250", "250", "550", "354", "250"], "DF", false),
        (&["250", "450", "250", "354", "250"], "dD", false),
        (&["250", "450", "550", "354", "250"], "dF", false),
        (&["250", "450", "550", "554", ""], "dF", true),
        (&["250", "250", "250", "354", "450"], "dd", false),
        (&["250", "250", "250", "354", "554"], "FF", false),
        (&["250", "250", "550", "354", "451"], "dF", false),
        (&["250", "250", "250", "451", ""], "dd", true),
        // 5yz to DATA itself names nobody.
        (&["250", "250", "250", "554", ""], "dd", true),
        (&["250", "250", "550", "550", ""], "dF", true),
        (&["250", "250", "250", "503", ""], "dd", true),
        (&["550", "503", "503", "503", ""], "dd", false),
        (&["450", "503", "503", "503", ""], "dd", false),
        (&["550", "250", "250", "354", "250"], "dd", false),
        (&["250", "250", "452", "354", "250"], "DA", false),
        (&["250", "250", "452 4.5.3 many", "354", "250"], "DA", false),
        (&["250", "250", "552 5.5.3 many", "354", "250"], "DA", false),
        (&["250", "250", "452 4.2.2 full", "354", "250"], "Dd", false),
        (&["250", "250", "552 5.2.2 full", "354", "250"], "DF", false),
        (&["250", "250", "452", "354", "451"], "dd", false),
        (&["250", "452", "250", "354", "250"], "dD", false),
        (&["250", "530", "571", "354", "250"], "dF", false),
    ];
    for (answers, fates, reset) in table {
        let answers: Vec<&str> = answers.iter().copied().filter(|answer| !answer.is_empty()).collect();
        assert_eq!(play(&["PIPELINING"], false, 2, &answers), ((*fates).to_owned(), *reset), "{answers:?}");
    }
}

/// As above, without PIPELINING: what was refused is not asked any further.
#[test]
fn outcomes_one_command_at_a_time() {
    let table: &[(&[&str], &str, bool)] = &[
        (&["250", "250", "250", "354", "250"], "DD", false),
        (&["550"], "dd", false),
        (&["451"], "dd", false),
        (&["250", "550", "450"], "Fd", true),
        (&["250", "250", "550", "354", "554"], "FF", false),
        (&["250", "250", "250", "451"], "dd", true),
        (&["250", "250", "250", "550"], "dd", true),
        (&["250", "250", "452", "354", "250"], "DA", false),
    ];
    for (answers, fates, reset) in table {
        assert_eq!(play(&[], false, 2, answers), ((*fates).to_owned(), *reset), "{answers:?}");
    }
}

/// MAIL, RCPT, RCPT, BDAT LAST: before and after a message was accepted. [3030-2]
#[test]
fn outcomes_of_bdat() {
    let table: &[(&[&str], &str, bool)] = &[
        (&["250", "250", "250", "250"], "DD", false),
        (&["250", "250", "550", "250"], "DF", false),
        (&["250", "250", "250", "452"], "dd", true),
        (&["250", "250", "450", "554"], "Fd", true),
        (&["250", "250", "452", "250"], "DA", false),
        (&["250", "250", "452", "554"], "Fd", true),
    ];
    for (answers, fates, reset) in table {
        for proven in [false, true] {
            let played = play(&["PIPELINING", "CHUNKING"], proven, 2, answers);
            assert_eq!(played, ((*fates).to_owned(), *reset), "{proven} {answers:?}");
        }
    }
    // Nobody accepted: before, no content is sent; after, it was on its way, and its refusal says nothing new.
    let nobody: &[(&[&str], &str, &str, bool)] = &[
        (&["250", "550", "450"], "503 no recipients", "Fd", true),
        (&["250", "550", "450"], "554 no recipients", "Fd", true),
        (&["250", "550", "450"], "250 what", "Fd", false),
        (&["550", "503", "503"], "503 MAIL first", "dd", false),
        (&["451", "503", "503"], "250 what", "dd", false),
    ];
    for (answers, end, fates, reset) in nobody {
        let first = play(&["PIPELINING", "CHUNKING"], false, 2, answers);
        assert_eq!(first, ((*fates).to_owned(), answers[0] == "250"), "{answers:?}");
        let all: Vec<&str> = answers.iter().copied().chain([*end]).collect();
        assert_eq!(
            play(&["PIPELINING", "CHUNKING"], true, 2, &all),
            ((*fates).to_owned(), *reset),
            "{all:?}"
        );
    }
}

/// [2920-3.1-client]: 354 although nobody was accepted is ended with a single dot.
#[test]
fn a_354_for_nobody_gets_a_single_dot() {
    let mut talk = Talk::ready(&["PIPELINING"]);
    let id = talk.send(1, "secret\r\n");
    talk.hear_all(&["250 ok", "550 no", "354 go on"]);
    assert_eq!(talk.session.wants_content(), None);
    assert_eq!(talk.sent(), ".\r\n");
    talk.hear("250 thanks for nothing");
    let fates = talk.fates();
    assert_eq!((fates[0].0, letters(&fates[0].1)), (id, "F".to_owned()));
}

/// In a burst each answer goes to its own message, whatever became of the one before.
#[test]
fn answers_in_a_burst_keep_their_order() {
    let mut talk = Talk::proven(&["PIPELINING", "CHUNKING"]);
    for _ in 0..4 {
        talk.send(2, "x\r\n");
        talk.content("x\r\n");
    }
    talk.hear_all(&["250", "550 no", "550 no", "554 no recipients"]);
    talk.hear_all(&["250 reset", "550 no", "503 no", "503 no", "503 no"]);
    talk.hear_all(&["250 reset", "250", "250", "450", "250 taken"]);
    talk.hear_all(&["250 reset", "250", "250", "250", "451 later"]);
    let fates: Vec<String> = talk.fates().iter().map(|(_, fates)| letters(fates)).collect();
    assert_eq!(fates, ["FF", "dd", "Dd", "dd"]);
    assert!(talk.session.is_idle());
}

/// [5321-3.8-client]
#[test]
fn a_421_defers_the_message_it_answers_and_leaves_the_others() {
    let keywords = ["PIPELINING", "CHUNKING"];
    let table: &[(&[&str], &str, Stage)] = &[
        (&["421"], "dd", Stage::Mail),
        (&["250", "550", "421"], "Fd", Stage::Recipient),
        (&["250", "250", "250", "421"], "dd", Stage::Content),
        (&["550", "421"], "dd", Stage::Recipient),
    ];
    for (answers, expected, at) in table {
        let mut talk = Talk::proven(&keywords);
        let first = talk.send(2, "x\r\n");
        talk.content("x\r\n");
        talk.send(2, "x\r\n");
        talk.content("x\r\n");
        talk.hear_all(answers);
        match talk.events().as_slice() {
            [ClientEvent::Finished(finished), ClientEvent::Ended(End::Refused { stage, .. })] => {
                assert_eq!((finished.id, letters(&finished.fates).as_str(), stage), (first, *expected, at));
            }
            other => panic!("{answers:?}: {other:?}"),
        }
    }
}

#[test]
fn replies_out_of_place_end_it_without_an_outcome() {
    let table: &[(&[&str], Stage)] = &[
        (&["354"], Stage::Mail),
        (&["250", "354"], Stage::Recipient),
        (&["250", "250", "250"], Stage::Data),
        (&["250", "250", "354", "354"], Stage::Content),
    ];
    for (answers, at) in table {
        let mut talk = Talk::ready(&["PIPELINING"]);
        talk.send(1, "x\r\n");
        for answer in *answers {
            talk.sent();
            talk.hear(answer);
            if talk.session.wants_content().is_some() {
                talk.content("x\r\n");
            }
        }
        assert!(
            matches!(talk.end(), End::Protocol(ProtocolError::OutOfPlace(stage, _)) if stage == *at),
            "{answers:?}"
        );
    }
}

#[test]
fn a_refusal_in_the_middle_of_content_counts_and_ends_it() {
    for (keywords, proven) in [(&["PIPELINING"][..], false), (&["PIPELINING", "CHUNKING"][..], true)] {
        let mut talk = if proven { Talk::proven(keywords) } else { Talk::ready(keywords) };
        let id = talk.session.send(talk.now, job(1, 100_000)).unwrap();
        talk.hear_all(&["250", "250"]);
        if !proven {
            talk.hear("354");
        }
        talk.session.content(talk.now, b"beginning");
        talk.hear_all(&["552 5.3.4 too much"]);
        match talk.events().as_slice() {
            [
                ClientEvent::Finished(finished),
                ClientEvent::Ended(End::Protocol(ProtocolError::Unasked(_))),
            ] => {
                assert_eq!((finished.id, letters(&finished.fates).as_str()), (id, "F"));
            }
            other => panic!("{other:?}"),
        }
        // A yes before the end is worth nothing.
        let mut talk = if proven { Talk::proven(keywords) } else { Talk::ready(keywords) };
        talk.session.send(talk.now, job(1, 100_000)).unwrap();
        talk.hear_all(&["250", "250"]);
        if !proven {
            talk.hear("354");
        }
        talk.hear_all(&["250 done already"]);
        assert!(matches!(talk.end(), End::Protocol(ProtocolError::Unasked(_))));
    }
}

#[test]
fn content_that_is_given_up_is_no_delivery() {
    let mut talk = Talk::proven(&["PIPELINING", "CHUNKING"]);
    talk.session.send(talk.now, job(1, 100_000)).unwrap();
    talk.session.content(talk.now, b"beginning");
    talk.session.abandon();
    assert_eq!(talk.end(), End::Abandoned);
    talk.hear("250 anyway");
    assert_eq!((talk.events(), talk.sent()), (vec![], String::new()));
}

#[test]
fn what_is_kept_of_a_reply_is_bounded() {
    let mut talk = Talk::ready(&["PIPELINING"]);
    talk.send(1, "x\r\n");
    talk.sent();
    talk.hear("250");
    talk.hear(&format!("550 {}", "ü".repeat(900)));
    talk.hear("554 nobody");
    let fates = talk.fates();
    let Fate::Failed(reply) = &fates[0].1[0] else { panic!("{fates:?}") };
    assert_eq!(reply.text.len(), MAX_KEPT_TEXT);
}
