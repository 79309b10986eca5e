use std::sync::Arc;

use restante_smtp::{ClientConfig, End, Fate, MailJob};
use restante_types::{Body, Envelope, Mailbox, Recipient, ReversePath};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn config() -> Arc<ClientConfig> {
    Arc::new(ClientConfig { hostname: "mx2.example.net".parse().unwrap(), own_names: Vec::new() })
}

fn job(size: u64) -> MailJob {
    let envelope = Envelope {
        sender: ReversePath::Null,
        recipients: vec![Recipient::from("r@example.org".parse::<Mailbox>().unwrap())],
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    MailJob { envelope: Arc::new(envelope), recipients: vec![0], size, origin: None }
}

fn connection(stream: DuplexStream) -> ClientConnection<DuplexStream> {
    ClientConnection::new(stream, ClientSession::new(config(), now()))
}

async fn next_event<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut ClientConnection<S>) -> ClientEvent {
    while !connection.session().has_events() {
        connection.exchange().await;
    }
    connection.poll_event().unwrap()
}

/// Reads up to this, and throws away what comes before.
async fn heard(stream: &mut DuplexStream, what: &[u8]) {
    let mut last = Vec::new();
    while !last.ends_with(what) {
        last.push(stream.read_u8().await.unwrap());
    }
}

/// A message of any size costs a fixed buffer, and a line that holds 100 octets is enough.
#[tokio::test]
async fn large_content_goes_through_a_small_window() {
    const SIZE: usize = 5 * 1024 * 1024;
    let (ours, mut theirs) = duplex(100);
    let server = async move {
        theirs.write_all(b"220 x\r\n").await.unwrap();
        heard(&mut theirs, b"EHLO mx2.example.net\r\n").await;
        theirs.write_all(b"250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n").await.unwrap();
        heard(&mut theirs, b"RCPT TO:<r@example.org>\r\n").await;
        theirs.write_all(b"250 ok\r\n250 ok\r\n").await.unwrap();
        heard(&mut theirs, format!("BDAT {SIZE} LAST\r\n").as_bytes()).await;
        let mut content = vec![0; SIZE];
        theirs.read_exact(&mut content).await.unwrap();
        assert!(content.iter().all(|octet| *octet == b'x'));
        theirs.write_all(b"250 taken\r\n").await.unwrap();
        heard(&mut theirs, b"QUIT\r\n").await;
        theirs.write_all(b"221 bye\r\n").await.unwrap();
    };
    let client = async move {
        let mut connection = connection(ours);
        assert_eq!(next_event(&mut connection).await, ClientEvent::Ready);
        connection.session_mut().send(now(), job(SIZE as u64)).unwrap();
        let (mut most, piece) = (0, vec![b'x'; 64 * 1024]);
        while !connection.session().has_events() {
            while connection.session().wants_content().is_some() && connection.is_hungry() {
                connection.session_mut().content(now(), &piece);
                connection.is_hungry();
                most = most.max(connection.outbox.len());
            }
            connection.exchange().await;
        }
        assert!(most <= 4 * TRANSMIT_AHEAD, "{most} octets held of {SIZE}");
        let Some(ClientEvent::Finished(finished)) = connection.poll_event() else { panic!("not finished") };
        assert_eq!(finished.fates, [Fate::Delivered]);
        connection.session_mut().quit(now());
        assert_eq!(next_event(&mut connection).await, ClientEvent::Ended(End::Quit));
        connection.close().await;
    };
    tokio::join!(server, client);
}

/// A server that answers each command before it reads on, over a line that holds almost nothing in either direction:
/// whoever writes without reading stands still here.
#[tokio::test]
async fn answers_are_read_while_commands_are_written() {
    const MESSAGES: usize = 50;
    let (ours, mut theirs) = duplex(16);
    let server = async move {
        theirs.write_all(b"220 x\r\n").await.unwrap();
        let mut line = Vec::new();
        let mut taken = 0;
        loop {
            line.push(theirs.read_u8().await.unwrap());
            let answer: &[u8] = match line.strip_suffix(b"\r\n") {
                None => continue,
                Some([b'E', ..]) => b"250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
                Some([b'B', ..]) => {
                    theirs.read_exact(&mut [0; 8]).await.unwrap();
                    taken += 1;
                    b"250-taken\r\n250 and thank you very much indeed\r\n"
                }
                Some([b'Q', ..]) => b"221 bye\r\n",
                Some(_) => b"250 a long and winding yes to whatever this was\r\n",
            };
            theirs.write_all(answer).await.unwrap();
            if line.starts_with(b"Q") {
                return taken;
            }
            line.clear();
        }
    };
    let client = async move {
        let mut connection = connection(ours);
        assert_eq!(next_event(&mut connection).await, ClientEvent::Ready);
        let (mut begun, mut finished) = (0, 0);
        while finished < MESSAGES {
            while begun < MESSAGES && connection.session().room().takes(8, 1) {
                connection.session_mut().send(now(), job(8)).unwrap();
                connection.session_mut().content(now(), b"content\n");
                begun += 1;
            }
            if connection.session().wants_content().is_some() {
                connection.session_mut().content(now(), b"content\n");
            }
            connection.exchange().await;
            while let Some(event) = connection.poll_event() {
                assert!(matches!(event, ClientEvent::Finished(_)), "{event:?}");
                finished += 1;
            }
        }
        connection.session_mut().quit(now());
        assert_eq!(next_event(&mut connection).await, ClientEvent::Ended(End::Quit));
    };
    let (taken, ()) = tokio::join!(server, client);
    assert_eq!(taken, MESSAGES);
}

/// A server that says why and closes while we still write is heard.
#[tokio::test]
async fn the_last_word_of_a_server_that_closes_is_heard() {
    let (ours, mut theirs) = duplex(1000);
    let server = async move {
        theirs.write_all(b"220 x\r\n").await.unwrap();
        heard(&mut theirs, b"EHLO mx2.example.net\r\n").await;
        theirs.write_all(b"250 x\r\n421 4.3.2 enough\r\n").await.unwrap();
    };
    let client = async move {
        let mut connection = connection(ours);
        assert_eq!(next_event(&mut connection).await, ClientEvent::Ready);
        // What we say now nobody reads.
        let _ = connection.session_mut().send(now(), job(8));
        let end = next_event(&mut connection).await;
        assert!(matches!(end, ClientEvent::Ended(End::Refused { .. })), "{end:?}");
    };
    tokio::join!(server, client);
}
