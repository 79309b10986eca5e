//! Refused and expired mail.

use restante_queue::{Conclusion, HoldKind, HoldOrder};

use super::super::policy;
use super::super::post::PostError;
use super::super::status::{Kind, Told};
use super::super::write::Draft;
use super::*;
use crate::limits::NOTICES_WAITING;
use crate::notice::Letter;
use crate::settings::{Mode, On5xx, Share};

const QUEUE: &str = "sender.example.notices.invalid";

// [3461-5.2.6] [3461-6.1] [3461-5.2.8] [xclient-ours]
#[tokio::test]
async fn refused_recipients_of_a_message_are_told_of_in_one_notice() {
    let mut house = House::new(told()).await;
    let key = house.accept(mail(&["a@example.org", "b@example.org", "c@example.org"])).await;
    house.refuse(&key, &[0, 2]).await;
    house.notifier.pass(true).await;

    let (notice, content) = house.only_notice(QUEUE).await;
    assert_eq!(notice.envelope.sender, ReversePath::Null);
    let [only] = notice.envelope.recipients.as_slice() else { panic!("one recipient") };
    assert_eq!((&only.mailbox, only.notify), (&mailbox("anna@sender.example"), Some(Notify::NEVER)));
    assert_eq!((notice.envelope.ret, &notice.envelope.envid), (None, &None));
    assert!(notice.next_attempt.is_some(), "it leaves on its own");
    assert!(notice.client.is_this_machine(), "{:?}", notice.client);
    assert!(content.contains("Final-Recipient: rfc822; a@example.org\r\n"), "{content}");
    assert!(content.contains("Final-Recipient: rfc822; c@example.org\r\n"));
    assert!(!content.contains("b@example.org"), "nobody is told of who still waits");
    assert!(content.contains("Remote-MTA: dns; mail.example.org\r\n"));
    assert!(content.contains("Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"));
    assert!(content.contains("Last-Attempt-Date: "));
    let waiting: Vec<_> =
        house.states(&key).await.into_iter().filter(|state| *state != DeliveryState::Delivered).collect();
    assert_eq!(waiting, [DeliveryState::Queued], "what was reported is gone for good");

    // The last one is refused later: that is another notice.
    house.refuse(&key, &[1]).await;
    house.notifier.pass(true).await;
    assert_eq!(house.entries(QUEUE).await.len(), 2);
    assert!(house.entries("example.org").await.is_empty());
}

// [3461-5.2.6]
#[tokio::test]
async fn a_crash_before_the_end_of_the_matter_writes_no_second_notice() {
    let house = House::new(told()).await;
    let key = house.accept(mail(&["a@example.org", "b@example.org"])).await;
    house.refuse(&key, &[0, 1]).await;
    // The notice is accepted; then the lights go out.
    let entry = house.store.get(&key).await.unwrap();
    let groups = policy::unreported(&entry);
    let told: Vec<Told<'_>> = groups[0]
        .recipients
        .iter()
        .map(|(status, recipient)| Told {
            recipient,
            reply: status.last_reply.clone(),
            expired: false,
            remote: None,
            attempted: None,
            until: None,
        })
        .collect();
    let to = mailbox("anna@sender.example");
    let draft =
        Draft { kind: Kind::Failed, to: &to, told: &told, recipients: &[0, 1], now: now(), dead: false };
    let id = draft.post(&house.clerk.post, &house.settings.load(), &entry).await.unwrap();
    drop(told);
    let mut house = house.again().await;
    house.notifier.pass(true).await;
    let (notice, _) = house.only_notice(QUEUE).await;
    assert_eq!(notice.key.id, id);
    assert!(house.entries("example.org").await.is_empty());

    // And where the notice was delivered before the matter was ended.
    let key = house.accept(mail(&["c@example.org"])).await;
    house.refuse(&key, &[0]).await;
    let entry = house.store.get(&key).await.unwrap();
    let recipient = &entry.envelope.recipients[0];
    let told = [Told { recipient, reply: None, expired: false, remote: None, attempted: None, until: None }];
    let draft = Draft { kind: Kind::Failed, to: &to, told: &told, recipients: &[0], now: now(), dead: false };
    let second = draft.post(&house.clerk.post, &house.settings.load(), &entry).await.unwrap();
    for id in [id, second] {
        house.settle(&EntryKey { domain: domain(QUEUE), id }, vec![(0, Outcome::Delivered)]).await;
    }
    let mut house = house.again().await;
    house.notifier.pass(true).await;
    assert!(house.entries(QUEUE).await.is_empty(), "it was sent already");
    assert!(house.entries("example.org").await.is_empty());
}

// [3461-5.2.6]
#[tokio::test]
async fn a_reset_between_a_notice_and_the_end_of_its_matter_writes_no_second_one() {
    let house = House::new(told()).await;
    let all = ["a@example.org", "b@example.org", "c@example.org"];
    let key = house.accept(mail(&all)).await;
    // Refused in different attempts, which are told of apart; the third is tried again.
    let failed = |index| (index, Outcome::Failed { reply: Reply::new(550, (5, 1, 1), "no such user") });
    let reply = Reply::new(450, (4, 2, 1), "not now");
    let later = |index| (index, Outcome::Deferred { reply: reply.clone(), next_attempt: None });
    house.settle(&key, vec![failed(0), later(1), later(2)]).await;
    house.settle(&key, vec![failed(1), later(2)]).await;
    let to = mailbox("anna@sender.example");
    let entry = house.store.get(&key).await.unwrap();
    for (index, group) in (0..).zip(policy::unreported(&entry)) {
        let [(_, recipient)] = group.recipients[..] else { panic!("one each: {group:?}") };
        let told =
            Told { recipient, reply: None, expired: false, remote: None, attempted: None, until: None };
        let (kind, told) = (Kind::Failed, [told]);
        let draft = Draft { kind, to: &to, told: &told, recipients: &[index], now: now(), dead: false };
        draft.post(&house.clerk.post, &house.settings.load(), &entry).await.unwrap();
    }
    // Then the lights go out, and the first thing that the operator does is `flush --reset`.
    let mut house = house.again().await;
    house.store.reset_retries(&domain("example.org")).await.unwrap();
    house.refuse(&key, &[2]).await;
    house.notifier.pass(true).await;
    let mut named = Vec::new();
    for notice in house.entries(QUEUE).await {
        let content = house.content(&notice.key).await;
        named.push(
            all.iter().filter(|to| content.contains(&format!("rfc822; {to}"))).copied().collect::<Vec<_>>(),
        );
    }
    named.sort_unstable();
    assert_eq!(named, [["a@example.org"], ["b@example.org"], ["c@example.org"]]);
    assert!(house.entries("example.org").await.is_empty());
}

// [3461-5.2.6] [3461-5.2.2-d]
#[tokio::test]
async fn who_wants_to_hear_nothing_hears_nothing() {
    let mut house = House::new(told()).await;
    let delay = Notify { delay: true, ..Notify::NEVER };
    let recipients = vec![
        to("a@example.org", Some(Notify::NEVER)),
        to("b@example.org", Some(delay)),
        to("c@example.org", None),
    ];
    let key = house.accept(Mail { to: recipients, ..mail(&[]) }).await;
    house.refuse(&key, &[0, 1, 2]).await;
    house.notifier.pass(true).await;
    let (_, content) = house.only_notice(QUEUE).await;
    assert_eq!(content.matches("Final-Recipient").count(), 1);
    assert!(content.contains("c@example.org") && !content.contains("a@example.org"));
    let states = house.states(&key).await;
    assert_eq!(states.iter().filter(|state| **state == DeliveryState::Dead).count(), 2, "{states:?}");
}

// [3461-5.2-null] [3464-2-loop]
#[tokio::test]
async fn a_message_from_nobody_is_a_dead_letter_and_so_is_a_notice() {
    let mut house = House::new(told()).await;
    let key = house.accept(Mail { sender: ReversePath::Null, ..mail(&["a@example.org"]) }).await;
    house.refuse(&key, &[0]).await;
    house.notifier.pass(true).await;
    assert_eq!(house.states(&key).await, [DeliveryState::Dead]);

    let key = house.accept(mail(&["b@example.org"])).await;
    house.refuse(&key, &[0]).await;
    house.notifier.pass(true).await;
    let (notice, _) = house.only_notice(QUEUE).await;
    house.refuse(&notice.key, &[0]).await;
    house.notifier.pass(true).await;
    assert_eq!(house.states(&notice.key).await, [DeliveryState::Dead]);
    let all: u64 = house.store.stats_page(None, 10).iter().map(|stats| stats.messages).sum();
    assert_eq!(all, 0, "nobody is told of a notice");
}

#[tokio::test]
async fn only_who_is_vouched_for_is_told_by_default() {
    let mut house = House::new(DomainDelivery { notices: Notices::Verified, ..told() }).await;
    let mut keys = Vec::new();
    for vouched in [Vouched::Unchecked, Vouched::No, Vouched::Spf, Vouched::Dkim] {
        let key = house.accept(Mail { vouched, ..mail(&["a@example.org"]) }).await;
        house.refuse(&key, &[0]).await;
        keys.push(key);
    }
    house.notifier.pass(true).await;
    assert_eq!(house.entries(QUEUE).await.len(), 2);
    for (key, dead) in keys.iter().zip([true, true, false, false]) {
        assert_eq!(house.states(key).await == [DeliveryState::Dead], dead);
    }
    // The owner may think better of a dead letter: it goes to the primary again.
    assert_eq!(house.store.release(&keys[..1]).await.unwrap(), 1);
    assert_eq!(house.states(&keys[0]).await, [DeliveryState::Queued]);

    let mut house = House::new(DomainDelivery { notices: Notices::None, ..told() }).await;
    let key = house.accept(Mail { vouched: Vouched::Spf, ..mail(&["a@example.org"]) }).await;
    house.refuse(&key, &[0]).await;
    house.notifier.pass(true).await;
    assert_eq!(house.states(&key).await, [DeliveryState::Dead]);
}

// [3464-2.3.5]
#[tokio::test]
async fn expired_mail_is_reported_even_where_refused_mail_is_held() {
    let mut house = House::new(DomainDelivery { on_5xx: On5xx::Hold, ..told() }).await;
    let old = house.accept(Mail { arrived: ago(20 * DAY), ..mail(&["b@example.org"]) }).await;
    let refused = house.accept(mail(&["a@example.org"])).await;
    house.refuse(&refused, &[0]).await;
    let reply = Reply::new(450, (4, 4, 1), "connection refused by [192.0.2.1]:25");
    house.settle(&old, vec![(0, Outcome::Deferred { reply, next_attempt: None })]).await;
    let expired = house.store.expire(&domain("example.org"), ago(14 * DAY), 10).await.unwrap();
    assert_eq!(expired.first(), Some(&old));
    house.clerk.parked(old);
    house.notifier.pass(true).await;
    let (_, content) = house.only_notice(QUEUE).await;
    assert!(content.contains("Status: 4.4.1\r\n") && content.contains("b@example.org"), "{content}");
    assert!(!content.contains("Remote-MTA"), "no server had a say");
    assert!(!content.contains("Will-Retry-Until"));
    assert_eq!(house.states(&refused).await, [DeliveryState::Failed], "parked for the operator");
}

#[tokio::test]
async fn nothing_is_told_of_a_domain_that_is_stopped_until_it_goes_again() {
    let mut house = House::new(told()).await;
    let key = house.accept(mail(&["a@example.org"])).await;
    house.refuse(&key, &[0]).await;
    let order = HoldOrder::new(HoldKind::Operator, "maintenance");
    house.store.hold_domain(&domain("example.org"), order).await.unwrap();
    house.notifier.pass(true).await;
    assert!(house.entries(QUEUE).await.is_empty());
    house.store.release_domain(&domain("example.org")).await.unwrap();
    house.notifier.pass(true).await;
    assert_eq!(house.entries(QUEUE).await.len(), 1);

    // The same for a message that is stopped on its own.
    let key = house.accept(mail(&["b@example.org"])).await;
    house.store.hold(std::slice::from_ref(&key), "to be looked at").await.unwrap();
    house.refuse(&key, &[0]).await;
    house.notifier.pass(true).await;
    assert_eq!(house.entries(QUEUE).await.len(), 1);
    house.store.release(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(house.states(&key).await, [DeliveryState::Queued]);
}

#[tokio::test]
async fn a_refusal_waits_for_its_sample() {
    let circuit = Circuit { first: Some(Share { refused: 5, of: 10 }), steady: None };
    let mut house = House::new(DomainDelivery { circuit, ..told() }).await;
    let key = house.accept(mail(&["a@example.org"])).await;
    house.refuse(&key, &[0]).await;
    house.notifier.pass(true).await;
    assert!(house.entries(QUEUE).await.is_empty(), "withheld");
    // Put back by a circuit that opened, it is queued again, and nobody is told.
    house.store.release(std::slice::from_ref(&key)).await.unwrap();
    house.settings.store(Arc::new(settings(&told())));
    house.notifier.pass(true).await;
    assert!(house.entries(QUEUE).await.is_empty());
    assert_eq!(house.states(&key).await, [DeliveryState::Queued]);
    house.refuse(&key, &[0]).await;
    house.notifier.pass(true).await;
    assert_eq!(house.entries(QUEUE).await.len(), 1);
}

#[tokio::test]
async fn a_sender_whose_domain_is_held_here_is_told_by_its_own_queue() {
    for (mode, leaves) in [(Mode::OnDemand, false), (Mode::Push, true)] {
        let mut house = House::new(DomainDelivery { mode, ..told() }).await;
        let sender = ReversePath::Mailbox(mailbox("carl@example.com"));
        let key = house.accept(Mail { sender, ..mail(&["a@example.org"]) }).await;
        house.refuse(&key, &[0]).await;
        house.notifier.pass(true).await;
        let (notice, _) = house.only_notice("example.com").await;
        assert_eq!(notice.next_attempt.is_some(), leaves);
    }
}

#[tokio::test]
async fn where_no_notice_can_go_the_letter_is_dead() {
    let mut house = House::new(told()).await;
    for sender in ["anna@[192.0.2.7]", "anna@evil.notices.invalid", "anna@notices.invalid"] {
        let sender = ReversePath::Mailbox(mailbox(sender));
        let key = house.accept(Mail { sender, ..mail(&["a@example.org"]) }).await;
        house.refuse(&key, &[0]).await;
        house.notifier.pass(true).await;
        assert_eq!(house.states(&key).await, [DeliveryState::Dead]);
    }
    assert!(house.entries("evil.notices.invalid").await.is_empty());
}

#[tokio::test]
async fn a_flood_of_failures_is_no_flood_of_notices() {
    let mut house = House::new(told()).await;
    let flood = NOTICES_WAITING + 5;
    for _ in 0..flood {
        let key = house.accept(mail(&["a@example.org"])).await;
        house.clerk.refused(&key.domain, key.id, "[192.0.2.1]:25");
    }
    let LeaseAnswer::Leased(lease) =
        house.store.lease(&domain("example.org"), DrainCause::Flush).await.unwrap()
    else {
        panic!("nobody else drains")
    };
    let reply = Reply::new(550, (5, 1, 1), "no such user");
    let failed = |work: restante_queue::Work| Settlement {
        id: work.id,
        outcomes: vec![(0, Outcome::Failed { reply: reply.clone() })],
    };
    loop {
        let due = house.store.due(&lease, restante_queue::Scope::All, None, 500).await.unwrap();
        if due.is_empty() {
            break;
        }
        house.store.settle(&lease, due.into_iter().map(failed).collect()).await.unwrap();
    }
    house.store.end_lease(lease, DrainReport::default()).await.unwrap();
    // Nobody said so: they are found.
    house.notifier.pass(true).await;
    assert_eq!(house.store.stats(&domain(QUEUE)).messages, NOTICES_WAITING);
    let left = house.store.stats(&domain("example.org"));
    assert_eq!(left.parked.get(&DeliveryState::Dead), Some(&5));
    // Whoever is to be told that the primary refuses everything is told all the same.
    let (to, text) = ("owner@sender.example".parse().unwrap(), "x".to_owned());
    house.clerk.post.post(&Letter { to, subject: "circuit-open".to_owned(), text }).await.unwrap();
    assert_eq!(house.store.stats(&domain(QUEUE)).messages, NOTICES_WAITING + 1);
}

// [3461-4.3] [3461-6.2]
#[tokio::test]
async fn the_content_comes_back_only_where_its_sender_asked_for_it() {
    for (ret, whole) in [(None, false), (Some(Ret::Headers), false), (Some(Ret::Full), true)] {
        let mut house = House::new(told()).await;
        let key = house.accept(Mail { ret, ..mail(&["a@example.org"]) }).await;
        house.refuse(&key, &[0]).await;
        house.notifier.pass(true).await;
        let (_, content) = house.only_notice(QUEUE).await;
        assert_eq!(content.contains("\r\n\r\nbody\r\n"), whole);
        let kind = if whole { "message/rfc822" } else { "text/rfc822-headers" };
        assert!(content.contains(&format!("Content-Type: {kind}\r\n")));
    }
}

#[tokio::test]
async fn a_letter_is_queued_where_its_reader_gets_mail() {
    let house = House::new(told()).await;
    let letter = |to: &str| Letter {
        to: mailbox(to),
        subject: "the primary is down".to_owned(),
        text: "It does not answer.\n".to_owned(),
    };
    let room = house.clerk.post.clone();
    let id = room.post(&letter("owner@elsewhere.example")).await.unwrap();
    let (entry, content) = house.only_notice("elsewhere.example.notices.invalid").await;
    assert_eq!((entry.key.id, &entry.envelope.sender), (id, &ReversePath::Null));
    assert!(content.contains("Subject: the primary is down\r\n"));
    room.post(&letter("owner@example.org")).await.unwrap();
    house.only_notice("example.org").await;
    assert!(matches!(room.post(&letter("owner@[192.0.2.1]")).await, Err(PostError::NoQueue)));
    assert_eq!(house.store.conclude(&entry.key, &[0], Conclusion::Reported).await.unwrap(), 0);
}
