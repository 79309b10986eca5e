//! The line is cut behind every octet that the provider sends: what was acknowledged is with the local side, whole, and
//! nothing else was ever acknowledged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{Behaviour, Bench, Provider, Sink, Talk, server};

const FIRST: &[u8] = b"Subject: 1\r\n\r\n..one\r\n";
const SECOND: &[u8] = b"Subject: 2\r\n\r\ntwo\r\n";

/// The whole dialogue, whatever the replies are; notes which messages were acknowledged.
async fn dialogue(mut talk: Talk, sent: Arc<AtomicUsize>, acknowledged: Arc<Mutex<Vec<&'static [u8]>>>) {
    let left = talk.left;
    let lines: [&[u8]; 9] = [
        b"220 mx2.example.net\r\n",
        b"250-mx2.example.net\r\n250 ATRN\r\n",
        b"250 OK now reversing the connection\r\n",
        b"EHLO mx2.example.net\r\n",
        b"MAIL FROM:<a@x.example>\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"DATA\r\n",
        b"Subject: 1\r\n\r\n...one\r\n.\r\n",
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 19 LAST\r\nSubject: 2\r\n\r\ntwo\r\n",
    ];
    for (index, line) in lines.iter().enumerate() {
        talk.raw(line).await;
        let replies = if index == 8 { 3 } else { 1 };
        let mut last = String::new();
        for _ in 0..replies {
            last = talk.reply().await;
        }
        let content = match index {
            7 => Some(FIRST),
            8 => Some(SECOND),
            _ => None,
        };
        if let Some(content) = content.filter(|_| last.starts_with("250")) {
            acknowledged.lock().unwrap().push(content);
        }
        if last.is_empty() {
            break;
        }
    }
    talk.raw(b"QUIT\r\n").await;
    talk.reply().await;
    sent.fetch_max(left - talk.left, Ordering::SeqCst);
}

#[tokio::test]
async fn nothing_is_lost_or_invented_wherever_the_line_is_cut() {
    let sent = Arc::new(AtomicUsize::new(0));
    let mut cut = usize::MAX - 1;
    let mut runs = 0;
    loop {
        let sink = Sink::start(Behaviour::default()).await;
        let acknowledged = Arc::default();
        let (noted, told) = (Arc::clone(&sent), Arc::clone(&acknowledged));
        let provider = Provider::once(move |mut talk| {
            talk.left = cut;
            dialogue(talk, noted, told)
        })
        .await;
        let bench = Bench::new();
        let (tally, result) = bench.collect(&server(provider.port(), sink.local())).await;
        provider.ended().await;
        let (acknowledged, taken) = (acknowledged.lock().unwrap().clone(), sink.contents());
        assert!(taken.iter().zip([FIRST, SECOND]).all(|(taken, sent)| taken == sent), "cut {cut}: {taken:?}");
        assert!(acknowledged.len() <= taken.len(), "cut {cut}: acknowledged without the local side's word");
        // The provider may miss an answer that went out right before the cut, never the other way round.
        assert!(taken.len() as u64 == tally.messages, "cut {cut}: {tally:?}");
        runs += 1;
        if cut > 10_000 {
            assert_eq!((acknowledged.len(), result.is_ok()), (2, true), "{result:?}");
            cut = 0;
            continue;
        }
        // The last two octets of QUIT are its line end: without both it was not said.
        let whole = cut >= sent.load(Ordering::SeqCst);
        assert_eq!(result.is_ok(), whole, "cut {cut}: {result:?}");
        if whole {
            break;
        }
        cut += 1;
    }
    assert!(runs > 250, "{runs}");
}
