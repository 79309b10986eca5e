//! Messages that are taken, and messages that are not.

use restante_queue::QueueStore;
use restante_types::{Body, DeliveryState, ReversePath};

use crate::house::{House, domain, settings};
use crate::peer::Peer;

const CONTENT: &str = "Subject: hello\r\n\r\nSome text.\r\n";

// [5321-4.2.5]
#[tokio::test]
async fn a_250_means_that_the_message_is_there() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[
        ("MAIL FROM:<sender@client.example> BODY=8BITMIME RET=HDRS ENVID=QQ314159", "250 2.1.0"),
        ("RCPT TO:<a@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@example.org", "250 2.1.5"),
        ("DATA", "354"),
    ])
    .await;
    peer.send(CONTENT).await;
    let queued = peer.ask(".\r\n").await;
    let entries = house.entries().await;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert!(queued.starts_with("250 2.0.0") && queued.contains(&entry.key.id.to_string()), "{queued}");
    assert_eq!(entry.key.domain, domain("example.org"));
    assert_eq!(entry.state, DeliveryState::Queued);
    assert_eq!(entry.next_attempt, None, "on demand");
    let envelope = &entry.envelope;
    assert_eq!(envelope.sender.to_string(), "sender@client.example");
    assert_eq!(envelope.body, Body::EightBitMime);
    assert_eq!(envelope.envid.as_ref().unwrap().as_str(), "QQ314159");
    assert_eq!(envelope.recipients[0].notify.unwrap().to_string(), "SUCCESS,DELAY");
    assert_eq!(envelope.recipients[0].original.as_ref().unwrap().as_str(), "rfc822;a@example.org");
    assert_eq!(
        (entry.client.helo.as_str(), entry.client.address.to_string().as_str()),
        ("client.example", "127.0.0.1")
    );
    let (_, content) = house.split(entry).await;
    assert_eq!(content, CONTENT.as_bytes());
}

#[tokio::test]
async fn a_message_to_three_domains_is_one_content_and_three_entries() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    let recipients = ["a@example.org", "b@example.com", "c@example.org", "d@deep.example.net"];
    let queued = peer.mail(&recipients, CONTENT).await;
    assert!(queued.starts_with("250"), "{queued}");
    let entries = house.entries().await;
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| {
            let recipients: Vec<_> =
                entry.recipients.iter().map(|status| status.mailbox.to_string()).collect();
            (entry.key.domain.to_string(), recipients.join(" "))
        })
        .collect();
    let expected = [
        ("deep.example.net", "d@deep.example.net"),
        ("example.com", "b@example.com"),
        ("example.org", "a@example.org c@example.org"),
    ];
    assert_eq!(seen, expected.map(|(domain, recipients)| (domain.to_owned(), recipients.to_owned())));
    assert!(entries.iter().all(|entry| entry.key.id == entries[0].key.id));
    let pushed = entries.iter().filter(|entry| entry.next_attempt.is_some()).map(|entry| &entry.key.domain);
    assert_eq!(
        pushed.collect::<Vec<_>>(),
        [&domain("example.com")],
        "only the pushed domain is tried on our own"
    );
}

#[tokio::test]
async fn many_messages_on_one_connection_keep_their_order() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    for number in 0..20 {
        let queued = peer.mail(&["a@example.org"], format!("X: {number}\r\n\r\n")).await;
        assert!(queued.starts_with("250"), "{queued}");
    }
    let entries = house.entries().await;
    assert_eq!(entries.len(), 20);
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(house.split(entry).await.1, format!("X: {number}\r\n\r\n").as_bytes());
    }
}

#[tokio::test]
async fn a_large_message_comes_whole_by_data_and_by_chunks() {
    let house = House::new(settings());
    let line = format!("{}\r\n", "0123456789".repeat(7));
    let content = format!("Subject: large\r\n\r\n{}", line.repeat(900_000 / line.len()));
    let mut peer = house.hello().await;
    assert!(peer.mail(&["a@example.org"], &content).await.starts_with("250"));
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<b@example.org>", "250")]).await;
    let (first, last) = content.split_at(400_001);
    let first = format!("BDAT {}\r\n{first}", first.len());
    assert!(peer.ask(first).await.starts_with("250"));
    let last = format!("BDAT {} LAST\r\n{last}", last.len());
    assert!(peer.ask(last).await.starts_with("250"));
    let entries = house.entries().await;
    assert_eq!(entries[1].envelope.sender, ReversePath::Null);
    for entry in &entries {
        assert!(house.split(entry).await.1 == content.as_bytes(), "{}", entry.size);
    }
}

// [1870-6.1]
#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<a@client.example> SIZE=1000001", "552 5.3.4")]).await;
    let content = format!("{}\r\n", "x".repeat(500)).repeat(2100);
    let reply = peer.mail(&["a@example.org"], content).await;
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    assert!(house.entries().await.is_empty());
    assert!(peer.mail(&["a@example.org"], CONTENT).await.starts_with("250"), "the session goes on");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "250"), ("DATA", "354")]).await;
    peer.send("Subject: half\r\n\r\nhalf of it\r\n".repeat(20_000)).await;
    drop(peer);
    let mut chunks = house.hello().await;
    chunks
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "250"), ("BDAT 6\r\nA: b", "250")])
        .await;
    drop(chunks);
    while house.server.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(house.entries().await.is_empty());
    assert_eq!(house.store.stats(&domain("example.org")).messages, 0);
    let left = std::fs::read_dir(house.dir.path().join("data/large")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "temporary files");
}

#[tokio::test]
async fn an_etrn_is_answered_by_the_desk() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    assert!(peer.mail(&["a@example.org"], CONTENT).await.starts_with("250"));
    peer.talk(&[
        ("ETRN example.org", "250 2.0.0"),
        ("ETRN example.com", "459 4.7.1"),
        ("ETRN unknown.example", "459 4.7.1"),
        ("MAIL FROM:<>", "250"),
        ("ETRN example.org", "503"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_lose_nothing() {
    const CLIENTS: usize = 40;
    const MESSAGES: usize = 20;
    let house = House::new(settings());
    let address = house.address();
    let client = |client: usize| async move {
        let mut peer = Peer::connect(address).await;
        peer.reply().await;
        peer.ask("EHLO client.example\r\n").await;
        for message in 0..MESSAGES {
            let content = format!("X: {client}-{message}\r\n\r\n{}", "text\r\n".repeat(100));
            let count = content.len();
            let flight = format!(
                "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\nBDAT {count} LAST\r\n{content}"
            );
            peer.send(flight).await;
            for _ in 0..3 {
                let reply = peer.reply().await;
                assert!(reply.starts_with("250"), "{reply}");
            }
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(client(number))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let entries = house.entries().await;
    let mut seen = std::collections::BTreeSet::new();
    for entry in &entries {
        let content = String::from_utf8(house.split(entry).await.1).unwrap();
        seen.insert(content.lines().next().unwrap().to_owned());
        assert_eq!(content.matches("text\r\n").count(), 100);
    }
    assert_eq!((entries.len(), seen.len()), (CLIENTS * MESSAGES, CLIENTS * MESSAGES));
}
