//! The loop over real sockets, with a handler that says yes to everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_net::limits::{LINGER, READ_BUFFER};
use restante_net::{Ended, ServerTls, Stop, serve};
use restante_types::Reply;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::certificates::Pair;
use crate::peer::{self, Peer, YesMan, open};

fn certificate() -> (Pair, Option<Arc<ServerTls>>) {
    let pair = Pair::new("mx.example");
    let tls = ServerTls::load(pair.certificate(), pair.key()).unwrap();
    (pair, Some(tls))
}

async fn plain() -> (Peer, peer::Host) {
    open(b"", None, false, YesMan::default()).await
}

// [5321-4.3.1]
#[tokio::test]
async fn a_client_that_waits_is_greeted_and_served() {
    let (mut peer, host) = plain().await;
    assert_eq!(peer.reply().await.get(..15), Some("220 mx.example "));
    assert!(peer.ask("EHLO c.example\r\n").await.starts_with("250-mx.example"));
    let envelope = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
    assert!(peer.ask(envelope).await.starts_with("250 2.1.0"));
    assert!(peer.reply().await.starts_with("250 2.1.5"));
    assert!(peer.reply().await.starts_with("354"));
    assert!(peer.ask("A: b\r\n\r\n..c\r\n.\r\n").await.starts_with("250 2.0.0"));
    assert!(peer.ask("QUIT\r\n").await.starts_with("221 2.0.0"));
    assert_eq!(peer.reply().await, "");
    let (ended, seen) = host.ended().await;
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
    assert_eq!(seen.messages, [b"A: b\r\n\r\n.c\r\n"]);
    assert_eq!(seen.clients[0].helo, "c.example");
}

// [5321-4.3.1]
#[tokio::test]
async fn a_client_that_talks_before_the_greeting_is_turned_away() {
    let (peer, host) = open(b"EHLO c.example\r\n", None, false, YesMan::default()).await;
    let said = peer.rest().await;
    assert!(said.starts_with("554 5.5.0"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let (ended, seen) = host.ended().await;
    assert!(matches!(ended, Ended::EarlyTalker), "{ended:?}");
    assert!(seen.clients.is_empty());
}

#[tokio::test]
async fn a_refusal_is_the_greeting() {
    let refusal = Some(Reply::new(554, (5, 7, 1), "not you"));
    let (peer, host) = open(b"", None, false, YesMan { refusal, ..YesMan::default() }).await;
    assert_eq!(peer.rest().await, "554 5.7.1 not you\r\n");
    assert!(matches!(host.ended().await.0, Ended::Closed));
}

/// Closing with octets unread would reset the connection, and the reset could overtake the 421.
#[tokio::test]
async fn what_comes_behind_the_last_answer_is_read_and_thrown_away() {
    let (mut peer, host) = plain().await;
    peer.reply().await;
    peer.send("NONSENSE\r\n".repeat(2 * READ_BUFFER / 10)).await;
    for _ in 0..10 {
        assert!(peer.reply().await.starts_with("500"));
    }
    assert!(peer.reply().await.starts_with("421 4.7.0"));
    let began = Instant::now();
    sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let sent = peer.stream.write_all(b"NONSENSE\r\n").await;
        assert!(sent.is_ok() || began.elapsed() >= LINGER, "{sent:?}");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(peer.reply().await, "");
    drop(peer);
    assert!(matches!(host.ended().await.0, Ended::Closed));
}

// [3207-4.2]
#[tokio::test]
async fn starttls_starts_over_inside() {
    let (_pair, tls) = certificate();
    let (mut peer, host) = open(b"", tls, false, YesMan::default()).await;
    peer.reply().await;
    assert!(peer.ask("EHLO clear.example\r\n").await.contains("STARTTLS"));
    assert!(peer.ask("STARTTLS\r\n").await.starts_with("220"));
    let mut peer = peer.into_tls().await;
    assert!(peer.ask("MAIL FROM:<a@c.example>\r\n").await.starts_with("503"), "EHLO is forgotten");
    assert!(!peer.ask("EHLO inside.example\r\n").await.contains("STARTTLS"));
    assert!(peer.ask("QUIT\r\n").await.starts_with("221"));
    let (_, seen) = host.ended().await;
    assert!(seen.clients[0].tls.is_none());
    assert_eq!(seen.clients[1].tls.as_ref().unwrap().version, "TLS1.3");
    assert_eq!(seen.clients[1].helo, "inside.example");
}

// [3207-early]
#[tokio::test]
async fn what_stands_behind_starttls_in_the_same_segment_is_never_read() {
    let (_pair, tls) = certificate();
    let (mut peer, host) = open(b"", tls, false, YesMan::default()).await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    peer.send("STARTTLS\r\nMAIL FROM:<evil@c.example>\r\n").await;
    let said = peer.rest().await;
    assert!(said.starts_with("554 5.5.0") && said.lines().count() == 1, "{said}");
    let (ended, _) = host.ended().await;
    assert!(matches!(ended, Ended::EarlyTls), "{ended:?}");
}

/// Commands of exactly so many octets.
fn filler(octets: usize) -> String {
    const LINE: usize = 1000;
    let line = |length: usize| format!("NOOP {}\r\n", "x".repeat(length - "NOOP \r\n".len()));
    let (whole, rest) = (octets / LINE - 1, octets % LINE + LINE);
    line(LINE).repeat(whole) + &line(rest)
}

// [3207-early]
#[tokio::test]
async fn what_is_still_in_the_kernel_behind_starttls_is_never_read() {
    let (_pair, tls) = certificate();
    let (mut peer, host) = open(b"", tls, false, YesMan::default()).await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    // STARTTLS ends where one read ends, so nothing is unread on our side of the kernel when it is granted.
    let command = "STARTTLS\r\n";
    let flight = filler(READ_BUFFER - command.len()) + command;
    assert_eq!(flight.len(), READ_BUFFER);
    peer.send(flight + "RSET\r\n").await;
    let said = peer.rest().await;
    let (noops, last) = said.trim_end().rsplit_once('\n').unwrap();
    assert!(noops.lines().all(|line| line.starts_with("250")), "{said}");
    assert!(last.starts_with("554 5.5.0"), "{said}");
    let (ended, seen) = host.ended().await;
    assert!(matches!(ended, Ended::EarlyTls), "{ended:?}");
    assert_eq!(seen.clients.len(), 1);
}

#[tokio::test]
async fn starttls_without_a_certificate_is_put_off() {
    let (mut peer, _host) = plain().await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    assert!(peer.ask("STARTTLS\r\n").await.starts_with("454 4.7.0"));
    assert!(peer.ask("NOOP\r\n").await.starts_with("250"));
}

// [8314-3.3]
#[tokio::test]
async fn implicit_tls_greets_inside() {
    let (_pair, tls) = certificate();
    let (peer, host) = open(b"", tls, true, YesMan::default()).await;
    let mut peer = peer.into_tls().await;
    assert!(peer.reply().await.starts_with("220 mx.example"));
    assert!(!peer.ask("EHLO c.example\r\n").await.contains("STARTTLS"));
    assert!(peer.ask("QUIT\r\n").await.starts_with("221"));
    let (_, seen) = host.ended().await;
    assert!(seen.clients[0].tls.is_some());
}

#[tokio::test]
async fn clear_text_on_an_implicit_listener_is_a_failed_handshake() {
    let (_pair, tls) = certificate();
    let (peer, host) = open(b"EHLO c.example\r\n", tls, true, YesMan::default()).await;
    peer.rest().await;
    assert!(matches!(host.ended().await.0, Ended::TlsFailed(_)));
}

// [2920-3.2]
#[tokio::test]
async fn a_pipelined_conversation_is_answered_in_order_up_to_its_end() {
    let (mut peer, host) = plain().await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    let once = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 6 LAST\r\nA: b\r\n";
    peer.send(once.repeat(500) + "QUIT\r\n").await;
    let said = peer.rest().await;
    assert_eq!(said.matches("250 2.1.0").count(), 500);
    assert_eq!(said.matches("250 2.1.5").count(), 500);
    assert!(said.trim_end().lines().last().unwrap().starts_with("221"), "{said}");
    assert_eq!(host.ended().await.1.messages.len(), 500);
}

#[tokio::test]
async fn a_client_that_closes_its_side_still_gets_its_answers() {
    let (mut peer, host) = plain().await;
    peer.reply().await;
    peer.send("HELO c.example\r\nNOOP\r\nMAIL FROM:<a@c.example>\r\n").await;
    peer.stream.shutdown().await.unwrap();
    let said = peer.rest().await;
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(matches!(host.ended().await.0, Ended::Eof));
}

#[tokio::test]
async fn content_that_breaks_off_is_void() {
    let (mut peer, host) = plain().await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    peer.send("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n").await;
    for _ in 0..3 {
        peer.reply().await;
    }
    peer.send("A: b\r\n\r\nhalf a mess").await;
    drop(peer);
    let (ended, seen) = host.ended().await;
    assert!(matches!(ended, Ended::Eof | Ended::Broken(_)), "{ended:?}");
    assert!(seen.messages.is_empty());
    assert_eq!(seen.void, 1);
}

// [5321-3.8]
#[tokio::test]
async fn a_stop_lets_a_transaction_end_and_an_idle_session_hear_421() {
    let (mut idle, idle_host) = plain().await;
    idle.reply().await;
    idle_host.stop.send_replace(Stop::Finish);
    assert!(idle.rest().await.starts_with("421 4.3.2"));
    assert!(matches!(idle_host.ended().await.0, Ended::Closed));

    let (mut peer, host) = plain().await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    peer.send("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n").await;
    for _ in 0..3 {
        peer.reply().await;
    }
    host.stop.send_replace(Stop::Finish);
    sleep(Duration::from_millis(50)).await;
    let said = peer.ask("A: b\r\n\r\nc\r\n.\r\n").await;
    assert!(said.starts_with("250 2.0.0"), "{said}");
    assert!(peer.rest().await.starts_with("421 4.3.2"));
    assert_eq!(host.ended().await.1.messages.len(), 1);
}

#[tokio::test]
async fn a_stop_waits_for_no_handshake() {
    let (_pair, tls) = certificate();
    let (_silent, implicit_host) = open(b"", tls.clone(), true, YesMan::default()).await;
    let (mut peer, host) = open(b"", tls, false, YesMan::default()).await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    assert!(peer.ask("STARTTLS\r\n").await.starts_with("220"));
    let began = Instant::now();
    for host in [implicit_host, host] {
        host.stop.send_replace(Stop::Finish);
        assert!(matches!(host.ended().await.0, Ended::Stopped));
    }
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_stop_at_once_waits_for_nobody() {
    let (mut peer, host) = plain().await;
    peer.reply().await;
    peer.ask("EHLO c.example\r\n").await;
    peer.send("MAIL FROM:<a@c.example>\r\n").await;
    host.stop.send_replace(Stop::Now);
    assert!(matches!(host.ended().await.0, Ended::Stopped));
}

// [5321-4.5.3.2.7]
#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_not_read_either() {
    let (mut peer, host) = plain().await;
    peer.reply().await;
    let asking = async {
        let help = "HELP\r\n".repeat(1000);
        loop {
            peer.send(&help).await;
        }
    };
    let stuck = tokio::time::timeout(Duration::from_secs(3), asking).await;
    assert!(stuck.is_err(), "the server goes on reading without end");
    host.stop.send_replace(Stop::Now);
    assert!(matches!(host.ended().await.0, Ended::Stopped));
}

/// What a session costs while it waits is its future: the buffers are shared and the handshake is boxed.
#[tokio::test]
async fn the_future_of_a_session_is_small() {
    let (connection, _peer) = peer::accepted().await;
    let mut handler = YesMan::default();
    let octets = std::mem::size_of_val(&serve(connection, &mut handler));
    assert!(octets < 3 * 1024, "{octets}");
}
