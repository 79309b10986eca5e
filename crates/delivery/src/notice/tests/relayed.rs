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
