//! How often a slow line must be crossed.

use super::primary::ALL;
use super::*;

async fn turns(keywords: &'static [&'static str], messages: u64) -> usize {
    let (primary, office) = (Primary::new(keywords), Office::with(messages).await);
    let end = office.round(&primary).await;
    assert_eq!(end.end, restante_smtp::End::Quit);
    let (store, domain) = office.close().await;
    assert_eq!((store.waiting(&domain), primary.taken().len()), (0, usize::try_from(messages).unwrap()));
    *primary.turns.lock().unwrap()
}

/// [3030-deviation]: with PIPELINING and CHUNKING the line is crossed for EHLO, for MAIL and RCPT of the first message, for
/// its content, once for everything else, and for QUIT; without, once or more for each message.
#[tokio::test(start_paused = true)]
async fn round_trips_grow_by_one_where_the_messages_double() {
    assert_eq!(turns(ALL, 1).await, 4);
    for messages in [2, 10, 33] {
        assert_eq!(turns(ALL, messages).await, 5, "{messages} messages");
    }
    // The window begins with 32, and doubles with each crossing.
    for (messages, more) in [(65, 1), (129, 2), (257, 3), (513, 4), (1025, 5), (2000, 6)] {
        assert_eq!(turns(ALL, messages).await, 5 + more, "{messages} messages");
    }
}

/// [2920-3.1-client]
#[tokio::test(start_paused = true)]
async fn without_chunking_each_message_costs_one_crossing_and_without_pipelining_four() {
    assert_eq!(turns(&["PIPELINING"], 10).await, 1 + 1 + 10 + 1);
    assert_eq!(turns(&[], 10).await, 1 + 4 * 10 + 1);
}
