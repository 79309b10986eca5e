//! What goes out together, and how much of it.

use super::super::limits::{WINDOW_OCTETS, WINDOW_RECIPIENTS, WINDOW_START};
use super::*;
use crate::client::{Room, Unsendable};

const MAIL: &str = "MAIL FROM:<s@example.com>\r\n";

#[test]
fn without_pipelining_each_command_waits_for_its_answer() {
    let mut talk = Talk::ready(&[]);
    let id = talk.send(2, "x\r\n");
    assert_eq!(talk.sent(), MAIL);
    assert!(talk.session.room().is_none());
    talk.hear("250 ok");
    assert_eq!(talk.sent(), "RCPT TO:<r0@example.org>\r\n");
    talk.hear("250 ok");
    assert_eq!(talk.sent(), "RCPT TO:<r1@example.org>\r\n");
    talk.hear("251 will forward");
    assert_eq!(talk.sent(), "DATA\r\n");
    talk.hear("354 go");
    talk.content("x\r\n");
    assert_eq!(talk.sent(), "x\r\n.\r\n");
    talk.hear("250 taken");
    assert_eq!(talk.fates(), [(id, vec![Fate::Delivered, Fate::Delivered])]);
    assert!(talk.session.is_idle());
}

/// [2920-3.1-client]
#[test]
fn with_pipelining_data_ends_a_group_and_content_begins_the_next() {
    let mut talk = Talk::ready(&["PIPELINING"]);
    let first = talk.send(1, "x\r\n");
    assert_eq!(talk.sent(), format!("{MAIL}RCPT TO:<r0@example.org>\r\nDATA\r\n"));
    for line in ["250 ok", "250 ok", "354 go"] {
        talk.hear(line);
    }
    assert!(talk.session.room().is_none(), "content first");
    talk.content("x\r\n");
    let second = talk.send(1, ".\r\n");
    assert_eq!(talk.sent(), format!("x\r\n.\r\n{MAIL}RCPT TO:<r0@example.org>\r\nDATA\r\n"));
    assert!(talk.session.room().is_none(), "DATA ends a group");
    for line in ["250 first taken", "250 ok", "250 ok"] {
        talk.hear(line);
    }
    assert_eq!(talk.fates(), [(first, vec![Fate::Delivered])]);
    talk.hear("354 go");
    talk.content(".\r\n");
    assert_eq!(talk.sent(), "..\r\n.\r\n");
    talk.hear("451 not now");
    assert!(
        matches!(talk.fates().as_slice(), [(id, fates)] if *id == second && matches!(fates[0], Fate::Deferred(_)))
    );
}

/// [3030-2]
#[test]
fn the_first_bdat_waits_for_its_recipients() {
    let mut talk = Talk::ready(&["PIPELINING", "CHUNKING"]);
    let id = talk.send(2, "x\r\n");
    assert_eq!(talk.sent(), format!("{MAIL}RCPT TO:<r0@example.org>\r\nRCPT TO:<r1@example.org>\r\n"));
    for line in ["250 ok", "550 no"] {
        assert_eq!(talk.session.wants_content(), None);
        talk.hear(line);
        assert_eq!(talk.sent(), "");
    }
    talk.hear("250 ok");
    talk.content("x\r\n");
    assert_eq!(talk.sent(), "BDAT 3 LAST\r\nx\r\n");
    assert!(talk.session.room().is_none(), "nothing is proven yet");
    talk.hear("250 taken");
    let fates = talk.fates();
    assert!(
        matches!(&fates[0], (one, fates) if *one == id && matches!(fates[..], [Fate::Failed(_), Fate::Delivered]))
    );
}

#[test]
fn chunking_without_pipelining_waits_too() {
    let mut talk = Talk::ready(&["CHUNKING"]);
    talk.send(1, "x\r\n");
    assert_eq!(talk.sent(), MAIL);
    talk.hear("250 ok");
    assert_eq!(talk.sent(), "RCPT TO:<r0@example.org>\r\n");
    talk.hear("250 ok");
    talk.content("x\r\n");
    assert_eq!(talk.sent(), "BDAT 3 LAST\r\nx\r\n");
    talk.hear("250 taken");
    assert_eq!(talk.fates().len(), 1);
    assert_eq!(talk.session.room().messages, 1);
    talk.send(1, "");
    assert_eq!(talk.sent(), MAIL);
}

/// [3030-deviation]: whole transactions go out together once one was accepted.
#[test]
fn when_one_was_accepted_whole_transactions_go_out_together() {
    let mut talk = Talk::proven(&["PIPELINING", "CHUNKING"]);
    let whole = format!("{MAIL}RCPT TO:<r0@example.org>\r\nBDAT 3 LAST\r\nx\r\n");
    let mut ids = Vec::new();
    for number in 0..WINDOW_START {
        ids.push(talk.send(1, "x\r\n"));
        talk.content("x\r\n");
        // [3030-2]: a BDAT that fails leaves the state unknown until RSET.
        let reset = if number == 0 { "" } else { "RSET\r\n" };
        assert_eq!(talk.sent(), format!("{reset}{whole}"));
    }
    assert!(talk.session.room().is_none());
    assert_eq!(talk.session.send(talk.now, job(1, 3)), Err(Unsendable::NoRoom));
    for number in 0..WINDOW_START {
        let lines = ["250 reset", "250 ok", "250 ok", "250 taken"];
        for line in &lines[usize::from(number == 0)..] {
            talk.hear(line);
        }
        assert_eq!(talk.fates(), [(ids[number], vec![Fate::Delivered])]);
    }
    assert!(talk.session.is_idle());
    for _ in 0..WINDOW_START {
        talk.send(1, "x\r\n");
        talk.content("x\r\n");
    }
    assert!(talk.session.room().is_none(), "as many as it took, and no more");
}

#[test]
fn the_window_counts_octets_but_lets_a_lone_message_through() {
    let mut talk = Talk::proven(&["PIPELINING", "CHUNKING"]);
    let large = WINDOW_OCTETS + 1;
    assert_eq!(talk.session.room(), Room { messages: 1, octets: u64::MAX, recipients: WINDOW_RECIPIENTS });
    talk.session.send(talk.now, job(1, large)).unwrap();
    let mut left = large;
    while let Some((_, wanted)) = talk.session.wants_content() {
        assert_eq!(wanted, left);
        left -= talk.session.content(talk.now, &[b'x'; 65536]) as u64;
    }
    assert_eq!((left, talk.session.room().octets), (0, 0));
    talk.hear_all(&["250 ok", "250 ok", "250 taken"]);
    assert_eq!(talk.fates().len(), 1);

    talk.session.send(talk.now, job(1, 1000)).unwrap();
    talk.content(&"x".repeat(1000));
    let room =
        Room { messages: WINDOW_START - 1, octets: WINDOW_OCTETS - 1000, recipients: WINDOW_RECIPIENTS - 1 };
    assert_eq!(talk.session.room(), room);
    assert_eq!(talk.session.send(talk.now, job(1, WINDOW_OCTETS)), Err(Unsendable::NoRoom));
}

/// A server that answers 503 to a burst gets its commands one group at a time from then on.
#[test]
fn a_server_that_loses_its_place_is_not_hurried_any_more() {
    let mut talk = Talk::proven(&["PIPELINING", "CHUNKING"]);
    talk.send(1, "x\r\n");
    talk.content("x\r\n");
    talk.hear_all(&["250 ok", "250 ok", "503 5.5.1 RCPT first"]);
    let fates = talk.fates();
    assert!(matches!(fates[0].1[..], [Fate::Deferred(_)]), "{fates:?}");
    talk.send(1, "x\r\n");
    assert_eq!(talk.sent(), format!("RSET\r\n{MAIL}RCPT TO:<r0@example.org>\r\n"));
}

/// 503 to content for which nobody was accepted is what must be said then; it slows nothing down.
#[test]
fn a_503_for_nobody_is_no_complaint() {
    let mut talk = Talk::proven(&["PIPELINING", "CHUNKING"]);
    talk.send(1, "x\r\n");
    talk.content("x\r\n");
    talk.hear_all(&["250 ok", "550 no", "503 5.5.1 RCPT first"]);
    assert_eq!(talk.fates().len(), 1);
    talk.send(1, "x\r\n");
    talk.content("x\r\n");
    let whole = "RCPT TO:<r0@example.org>\r\nBDAT 3 LAST\r\nx\r\n";
    assert_eq!(talk.sent(), format!("RSET\r\n{MAIL}{whole}"));
}

/// [1870-5] [6152-a-client] [6531-3.5-client]
#[test]
fn what_the_server_cannot_take_is_told_before_anything_is_said() {
    let mut eight_bit = job(1, 10);
    Arc::make_mut(&mut eight_bit.envelope).body = Body::EightBitMime;
    let mut utf8 = job(1, 10);
    Arc::make_mut(&mut utf8.envelope).smtputf8 = true;
    let mut utf8_address = job(1, 10);
    Arc::make_mut(&mut utf8_address.envelope).recipients[0].mailbox = "ü@example.org".parse().unwrap();
    let table = [
        (eight_bit, Unsendable::EightBitMime, "554 5.6.3"),
        (utf8, Unsendable::SmtpUtf8, "554 5.6.7"),
        (utf8_address, Unsendable::SmtpUtf8, "554 5.6.7"),
        (job(1, 1001), Unsendable::Size { limit: 1000 }, "552 5.3.4"),
    ];
    for (job, reason, reply) in table {
        let mut talk = Talk::ready(&["SIZE 1000"]);
        assert_eq!(talk.session.send(talk.now, job.clone()), Err(reason));
        assert_eq!(talk.sent(), "");
        assert!(reason.reply().unwrap().to_string().starts_with(reply));
        let mut able = Talk::ready(&["8BITMIME", "SMTPUTF8", "SIZE"]);
        assert!(able.session.send(able.now, job).is_ok());
    }
    let mut talk = Talk::ready(&[]);
    for recipients in [vec![], vec![5], vec![0; 101]] {
        let malformed = MailJob { recipients, ..job(1, 1) };
        assert_eq!(talk.session.send(talk.now, malformed), Err(Unsendable::Malformed));
    }
}
