//! Messages with many recipients, and messages that cannot go.

use DeliveryState::{Deferred, Delivered, Failed, Queued};
use restante_smtp::End;

use super::primary::ALL;
use super::*;

/// [5321-4.5.3.1.8]
#[tokio::test(start_paused = true)]
async fn more_recipients_than_a_transaction_holds_go_in_several() {
    let office = Office::open(vec![row(0, 250, Body::SevenBit), row(1, 1, Body::SevenBit)]).await;
    let primary =
        Primary::new(ALL).saying(|line| (line == "RCPT TO:<user149@example.org>").then_some("550 no"));
    assert_eq!(office.round(&primary).await.end, End::Quit);
    let (store, domain) = office.close().await;
    let mut expected = vec![Delivered; 250];
    expected[149] = Failed;
    assert_eq!(states(&store, &domain, 0), expected);
    let sizes: Vec<usize> = primary.taken().iter().map(|taken| taken.recipients.len()).collect();
    assert_eq!(sizes, [100, 99, 50, 1]);
}

/// [5321-4.5.3.1.10-client]
#[tokio::test(start_paused = true)]
async fn one_recipient_too_many_is_sent_again_at_once() {
    for keywords in [ALL, &[]] {
        let office = Office::open(vec![row(0, 5, Body::SevenBit), row(1, 1, Body::SevenBit)]).await;
        let count = std::sync::Mutex::new(0);
        let primary = Primary::new(keywords).saying(move |line| {
            let mut count = count.lock().unwrap();
            *count = if line.starts_with("RCPT") { *count + 1 } else { 0 };
            (*count > 2).then_some("452 4.5.3 too many recipients")
        });
        assert_eq!(office.round(&primary).await.end, End::Quit);
        let (store, domain) = office.close().await;
        assert_eq!(states(&store, &domain, 0), vec![Delivered; 5]);
        let mut to: Vec<String> = primary.taken().into_iter().flat_map(|taken| taken.recipients).collect();
        to.sort();
        assert_eq!(to.len(), 6, "{to:?}");
        to.dedup();
        assert_eq!(to.len(), 5, "user0 twice: it is in both messages");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recipient_who_is_full_is_not_sent_again_at_once() {
    let office = Office::open(vec![row(0, 2, Body::SevenBit)]).await;
    let primary =
        Primary::new(ALL).saying(|line| line.contains("user1@").then_some("452 4.2.2 mailbox full"));
    assert_eq!(office.round(&primary).await.end, End::Quit);
    let (store, domain) = office.close().await;
    assert_eq!(states(&store, &domain, 0), [Delivered, Deferred]);
    assert_eq!(primary.taken().len(), 1);
}

/// [6152-a-client]
#[tokio::test(start_paused = true)]
async fn what_the_next_hop_can_never_take_is_parked_without_a_word() {
    let office = Office::open(vec![row(0, 2, Body::EightBitMime), row(1, 1, Body::SevenBit)]).await;
    let primary = Primary::new(&["PIPELINING", "CHUNKING"]);
    assert_eq!(office.round(&primary).await.end, End::Quit);
    let (store, domain) = office.close().await;
    assert_eq!(
        (states(&store, &domain, 0), states(&store, &domain, 1)),
        (vec![Failed, Failed], vec![Delivered])
    );
    let reply = store.row(&domain, id(0)).replies[0].clone().unwrap();
    assert!(reply.to_string().starts_with("554 5.6.3"), "{reply}");
    assert!(!primary.commands.lock().unwrap().iter().any(|line| line.contains("sender0@")));

    // [1870-5]
    let office = Office::with(1).await;
    let primary = Primary::new(&["SIZE 10"]);
    assert_eq!(office.round(&primary).await.end, End::Quit);
    let (store, domain) = office.close().await;
    let reply = store.row(&domain, id(0)).replies[0].clone().unwrap();
    assert!(reply.to_string().starts_with("552 5.3.4"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_and_the_rest_goes() {
    let office = Office::with(5).await;
    office.store.inside().damaged.insert(id(2));
    // Its record says more than there is.
    office.store.inside().queue(&office.domain).rows.get_mut(&id(3)).unwrap().size += 1;
    let primary = Primary::new(ALL);
    assert_eq!(office.round(&primary).await.end, End::Quit);
    let (store, domain) = office.close().await;
    let all: Vec<DeliveryState> = (0..5).map(|number| states(&store, &domain, number)[0]).collect();
    assert_eq!(all, [Delivered, Delivered, Queued, Queued, Delivered]);
    assert_eq!(primary.taken().len(), 3);
}
