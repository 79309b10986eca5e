//! Mail that waits.

use restante_queue::{HoldKind, HoldOrder};

use super::*;

const QUEUE: &str = "sender.example.notices.invalid";

fn after_a_day() -> DomainDelivery {
    DomainDelivery { delay_notice: Some(DAY), retention: 14 * DAY, ..told() }
}

// [3464-2.3.9] [3461-5.2.5]
#[tokio::test]
async fn each_message_is_told_of_once_when_it_has_waited_long_enough() {
    let house = House::new(after_a_day()).await;
    let arrived = ago(2 * DAY);
    house.accept(Mail { arrived, ..mail(&["a@example.org", "b@example.org"]) }).await;
    house
        .accept(Mail {
            sender: ReversePath::Mailbox(mailbox("new@young.example")),
            ..mail(&["a@example.org"])
        })
        .await;
    house.delayed.round().await;
    let (notice, content) = house.only_notice(QUEUE).await;
    assert_eq!(notice.envelope.sender, ReversePath::Null);
    assert!(content.contains("Action: delayed\r\n") && content.matches("Final-Recipient").count() == 2);
    let until = super::super::header::date(arrived.plus(14 * DAY));
    assert!(content.contains(&format!("Will-Retry-Until: {until}\r\n")), "{content}");
    assert!(content.contains("Status: 4.0.0\r\n") && !content.contains("Diagnostic-Code"));
    assert!(house.entries("young.example.notices.invalid").await.is_empty());
    assert_eq!(house.entries("example.org").await.len(), 2, "it still waits");

    let sent = vec![(0, Outcome::Delivered)];
    house.settle(&notice.key, sent).await;
    house.delayed.round().await;
    assert!(house.entries(QUEUE).await.is_empty(), "once");
    let house = house.again().await;
    house.delayed.round().await;
    assert!(house.entries(QUEUE).await.is_empty(), "once, also over a restart");
}

// [3461-5.2.5]
#[tokio::test]
async fn who_did_not_ask_for_notices_of_delay_gets_none() {
    let house = House::new(after_a_day()).await;
    let arrived = ago(2 * DAY);
    let failure = Notify { failure: true, ..Notify::NEVER };
    let delay = Notify { delay: true, ..Notify::NEVER };
    let recipients = vec![to("a@example.org", Some(failure)), to("b@example.org", Some(delay))];
    house.accept(Mail { arrived, to: recipients, ..mail(&[]) }).await;
    house.accept(Mail { arrived, sender: ReversePath::Null, ..mail(&["c@example.org"]) }).await;
    for content in
        ["Precedence: bulk\r\n\r\n", "Auto-Submitted: auto-generated\r\n\r\n", "List-Id: <x.y>\r\n\r\n"]
    {
        house.accept(Mail { arrived, content, ..mail(&["c@example.org"]) }).await;
    }
    house.delayed.round().await;
    let (_, content) = house.only_notice(QUEUE).await;
    assert!(content.contains("b@example.org") && !content.contains("a@example.org"), "{content}");
}

#[tokio::test]
async fn a_clock_that_stands_still_puts_the_end_off() {
    let house = House::new(after_a_day()).await;
    let arrived = ago(2 * DAY);
    house.accept(Mail { arrived, ..mail(&["a@example.org"]) }).await;
    let until = now().plus(3 * DAY);
    let order = HoldOrder {
        until: Some(until),
        pause_retention: true,
        ..HoldOrder::new(HoldKind::Operator, "the primary is being moved")
    };
    house.store.hold_domain(&domain("example.org"), order).await.unwrap();
    house.delayed.round().await;
    let (_, content) = house.only_notice(QUEUE).await;
    let pauses = house.store.stats(&domain("example.org")).pauses;
    let expires = pauses.expires(arrived, 14 * DAY, now());
    assert!(expires > arrived.plus(16 * DAY), "three days more, less a moment");
    let date = super::super::header::date(expires);
    assert!(content.contains(&format!("Will-Retry-Until: {date}\r\n")), "{content}");
}

#[tokio::test]
async fn what_may_not_be_sent_is_kept_for_the_owner_until_it_is_sent_after_all() {
    for (sender, queue, leaves) in
        [("anna@sender.example", QUEUE, true), ("carl@example.com", "example.com", false)]
    {
        for notices in [Notices::Verified, Notices::None] {
            let house = House::new(DomainDelivery { notices, ..after_a_day() }).await;
            let sender = ReversePath::Mailbox(mailbox(sender));
            let arrived = ago(2 * DAY);
            let waits = house.accept(Mail { arrived, sender, ..mail(&["a@example.org"]) }).await;
            house.delayed.round().await;
            let notice = house.kept("example.org").await;
            assert!(house.entries(queue).await.is_empty(), "nothing leaves");
            let (house, key) = (house.again().await, notice.key);
            let content = house.content(&key).await;
            assert!(content.contains("Action: delayed\r\n"), "{content}");
            let room = house.clerk.post.clone();
            assert_eq!(room.send_kept(&waits).await.unwrap(), None, "this one is mail");
            assert_eq!(room.send_kept(&key).await.unwrap(), Some(true));
            assert_eq!(house.entries("example.org").await.len(), 1, "the mail alone waits there");
            let (sent, copy) = house.only_notice(queue).await;
            assert_eq!((sent.state, sent.next_attempt.is_some()), (DeliveryState::Queued, leaves));
            assert_eq!((copy, &sent.envelope), (content, &notice.envelope));
            assert_eq!(room.send_kept(&key).await.unwrap(), None, "once");
            assert_eq!(room.send_kept(&sent.key).await.unwrap(), None, "it waits");
        }
    }
}

#[tokio::test]
async fn a_crash_before_a_kept_notice_is_ended_sends_it_once() {
    let house = House::new(DomainDelivery { notices: Notices::Verified, ..after_a_day() }).await;
    house.accept(Mail { arrived: ago(2 * DAY), ..mail(&["a@example.org"]) }).await;
    house.delayed.round().await;
    let key = house.kept("example.org").await.key;
    // Its copy is stored, and delivered; then the lights go out.
    let copy = message(&*house.store, now(), &["anna@sender.example"], b"x").await;
    let mut copy = NewMessage { id: key.id.derived(b"sent"), ..copy };
    copy.destinations[0].domain = domain(QUEUE);
    let id = house.store.accept(copy).await.unwrap().id();
    house.settle(&EntryKey { domain: domain(QUEUE), id }, vec![(0, Outcome::Delivered)]).await;
    let house = house.again().await;
    assert_eq!(house.clerk.post.send_kept(&key).await.unwrap(), Some(true));
    assert!(house.entries(QUEUE).await.is_empty(), "it was sent already");
    assert_eq!(house.entries("example.org").await.len(), 1, "the mail alone waits there");
}

#[tokio::test]
async fn a_kept_notice_that_can_go_nowhere_stays() {
    let house = House::new(DomainDelivery { notices: Notices::Verified, ..after_a_day() }).await;
    // Held, its mail waits in its own queue; not held, the name leaves no room for a queue of notices.
    let long = format!("{}.example.com", [60, 60, 60, 50].map(|length| "a".repeat(length)).join("."));
    let settings = house.settings.load_full();
    let mut domains = settings.domains.clone();
    domains.insert(domain("example.com"), true, told());
    house.settings.store(Arc::new(DeliverySettings { domains, ..(*settings).clone() }));
    let sender = ReversePath::Mailbox(mailbox(&format!("a@{long}")));
    house.accept(Mail { arrived: ago(2 * DAY), sender, ..mail(&["a@example.org"]) }).await;
    house.delayed.round().await;
    let key = house.kept("example.org").await.key;
    house.settings.store(settings);
    assert_eq!(house.clerk.post.send_kept(&key).await.unwrap(), Some(false));
    assert_eq!(house.states(&key).await, [DeliveryState::Dead]);
}

#[tokio::test]
async fn who_is_told_of_delay_is_the_domains_choice() {
    for (notices, vouched, expected) in CHOICES {
        let house = House::new(DomainDelivery { notices, ..after_a_day() }).await;
        house.accept(Mail { arrived: ago(2 * DAY), vouched, ..mail(&["a@example.org"]) }).await;
        house.delayed.round().await;
        house.queued_or_kept(QUEUE, expected).await;
        assert_eq!(house.store.stats(&domain("example.org")).messages, 1, "it waits in any case");
    }
}

#[tokio::test]
async fn nothing_is_looked_at_twice_however_much_waits() {
    let house = House::new(after_a_day()).await;
    let mut last = None;
    for _ in 0..150 {
        let sender = ReversePath::Mailbox(mailbox("x@[192.0.2.1]"));
        last = Some(house.accept(Mail { arrived: ago(2 * DAY), sender, ..mail(&["a@example.org"]) }).await);
    }
    house.accept(mail(&["young@example.org"])).await;
    house.delayed.round().await;
    assert_eq!(house.store.delay_mark(&domain("example.org")), last.map(|key| key.id));
}

#[tokio::test]
async fn a_domain_without_the_key_tells_nobody() {
    let house = House::new(told()).await;
    house.accept(Mail { arrived: ago(2 * DAY), ..mail(&["a@example.org"]) }).await;
    house.delayed.round().await;
    assert!(house.entries(QUEUE).await.is_empty());
    assert_eq!(house.store.delay_mark(&domain("example.org")), None);
}
