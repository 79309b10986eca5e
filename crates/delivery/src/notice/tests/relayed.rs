//! Mail that went to a server without DSN.

use super::*;
use crate::limits::DEAD_NOTICES;

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
    house.queued_or_kept(QUEUE, DeliveryState::Dead).await;
    let notice = house.kept("example.org").await.key;
    assert!(house.content(&notice).await.contains("Action: relayed\r\n"));
    let nobody = house
        .accept(Mail { sender: ReversePath::Null, to: vec![to("a@example.org", Some(SUCCESS))], ..mail(&[]) })
        .await;
    house.clerk.relayed(&nobody, &[0], None, "[192.0.2.1]:25").await;
    assert_eq!(house.kept("example.org").await.key, notice, "it alone");
}

#[tokio::test]
async fn who_is_told_of_success_is_the_domains_choice() {
    for (notices, vouched, expected) in CHOICES {
        let house = House::new(DomainDelivery { notices, ..told() }).await;
        let recipients = vec![to("a@example.org", Some(SUCCESS))];
        let key = house.accept(Mail { to: recipients, vouched, ..mail(&[]) }).await;
        house.clerk.relayed(&key, &[0], None, "[192.0.2.1]:25").await;
        house.queued_or_kept(QUEUE, expected).await;
    }
}

#[tokio::test]
async fn forged_senders_make_no_queues_and_no_dead_letters_without_end() {
    let house = House::new(DomainDelivery { notices: Notices::Verified, ..told() }).await;
    let settings = house.settings.load_full();
    let mut domains = settings.domains.clone();
    domains.insert(domain("example.com"), true, DomainDelivery { notices: Notices::Verified, ..told() });
    house.settings.store(Arc::new(DeliverySettings { domains, ..(*settings).clone() }));
    let dead = |queue: &str| house.store.stats(&domain(queue)).parked.get(&DeliveryState::Dead).copied();
    for number in 0..DEAD_NOTICES + 5 {
        let sender = ReversePath::Mailbox(mailbox(&format!("a@d{number}.example")));
        // Both names below it: one owner has both.
        let to = vec![to(&format!("a@n{}.example.com", number % 2), Some(SUCCESS))];
        let key = house.accept(Mail { sender, to, ..mail(&[]) }).await;
        house.clerk.relayed(&key, &[0], None, "[192.0.2.1]:25").await;
    }
    assert_eq!(dead("example.com"), Some(DEAD_NOTICES));
    assert_eq!((dead("n0.example.com"), dead("n1.example.com")), (None, None));
    let queues = house.store.stats_page(None, 10);
    let names: Vec<&str> = queues.iter().map(|stats| stats.domain.as_str()).collect();
    assert_eq!(names, ["example.com", "n0.example.com", "n1.example.com"]);
    // Another owner has room.
    let key = house.accept(Mail { to: vec![to("a@example.org", Some(SUCCESS))], ..mail(&[]) }).await;
    house.clerk.relayed(&key, &[0], None, "[192.0.2.1]:25").await;
    assert_eq!(dead("example.org"), Some(1));
}
