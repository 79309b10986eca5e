//! Mail that went to a server without DSN.

use super::*;

const QUEUE: &str = "sender.example.notices.invalid";
const SUCCESS: Notify = Notify { success: true, ..Notify::NEVER };

// [3461-5.2.2-b] [3461-5.2.2-e]
#[tokio::test]
async fn who_asked_for_success_is_told_once() {
    let house = House::new(told()).await;
    let recipients = vec![to("a@example.org", Some(SUCCESS)), to("b@example.org", None)];
    let key = house.accept(Mail { to: recipients, ret: Some(Ret::Full), ..mail(&[]) }).await;
    let reply = Reply::new(250, (2, 6, 0), "queued as 4711");
    for _ in 0..2 {
        // Twice, as where a crash made us deliver it again.
        house.clerk.relayed(&key, &[0, 1], Some(&reply), "mail.example.org[192.0.2.1]:25").await;
    }
    let (notice, content) = house.only_notice(QUEUE).await;
    assert_eq!(notice.state, DeliveryState::Queued);
    assert!(
        content.contains("Action: relayed\r\nStatus: 2.6.0\r\nRemote-MTA: dns; mail.example.org\r\n"),
        "{content}"
    );
    assert!(content.contains("Diagnostic-Code: smtp; 250 2.6.0 queued as 4711\r\n"));
    assert!(!content.contains("b@example.org"));
    // [3461-4.3] Nothing failed: the header alone comes back, whatever was asked.
    assert!(content.contains("text/rfc822-headers") && !content.contains("\r\nbody\r\n"));
}

#[tokio::test]
async fn who_is_not_vouched_for_is_not_told() {
    let house = House::new(DomainDelivery { notices: Notices::Verified, ..told() }).await;
    let recipients = vec![to("a@example.org", Some(SUCCESS))];
    let key = house.accept(Mail { to: recipients, ..mail(&[]) }).await;
    house.clerk.relayed(&key, &[0], None, "[192.0.2.1]:25").await;
    let (notice, _) = house.only_notice(QUEUE).await;
    assert_eq!(notice.state, DeliveryState::Dead);
    let nobody = house
        .accept(Mail { sender: ReversePath::Null, to: vec![to("a@example.org", Some(SUCCESS))], ..mail(&[]) })
        .await;
    house.clerk.relayed(&nobody, &[0], None, "[192.0.2.1]:25").await;
    assert_eq!(house.entries(QUEUE).await.len(), 1);
}

#[tokio::test]
async fn who_is_told_of_success_is_the_domains_choice() {
    for (notices, vouched, expected) in CHOICES {
        let house = House::new(DomainDelivery { notices, ..told() }).await;
        let recipients = vec![to("a@example.org", Some(SUCCESS))];
        let key = house.accept(Mail { to: recipients, vouched, ..mail(&[]) }).await;
        house.clerk.relayed(&key, &[0], None, "[192.0.2.1]:25").await;
        assert_eq!(house.only_notice(QUEUE).await.0.state, expected, "{notices:?} {vouched:?}");
        assert_eq!(house.store.stats(&domain(QUEUE)).messages > 0, expected == DeliveryState::Queued);
    }
}

#[tokio::test]
async fn forged_senders_make_no_queues_without_end() {
    let mut house = House::new(DomainDelivery { notices: Notices::Verified, ..told() }).await;
    house.clerk.post.kept = Kept::at_most(3);
    let settings = house.settings.load_full();
    let mut domains = settings.domains.clone();
    domains.insert(domain("example.com"), true, told());
    house.settings.store(Arc::new(DeliverySettings { domains, ..(*settings).clone() }));
    let senders =
        ["a@one.example", "a@two.example", "a@made-up.example.com", "a@three.example", "a@four.example"];
    for sender in senders {
        let sender = ReversePath::Mailbox(sender.parse().unwrap());
        let key =
            house.accept(Mail { sender, to: vec![to("a@example.org", Some(SUCCESS))], ..mail(&[]) }).await;
        house.clerk.relayed(&key, &[0], None, "[192.0.2.1]:25").await;
    }
    let mut kept = Vec::new();
    for sender in senders {
        let host = sender.split_once('@').unwrap().1;
        let queue = if host.ends_with("example.com") { host.to_owned() } else { format!("{host}.{NOTICES}") };
        kept.push(house.entries(&queue).await.len());
    }
    assert_eq!(kept, [1, 1, 0, 1, 0]);
    // They are counted anew, and what was let go makes room.
    let store = &*house.store;
    assert!(!Kept::at_most(3).make_room(store, now()) && Kept::at_most(4).make_room(store, now()));
}
