//! The line on top.

use crate::house::{House, settings};

// [5321-4.4] [3848-1]
#[tokio::test]
async fn one_line_of_ours_stands_on_top() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    let content = "Received: from x by y; Sun, 22 Nov 2026 01:53:49 +0000\r\nSubject: a\r\n\r\nb\r\n";
    assert!(peer.mail(&["a@example.org"], content).await.starts_with("250"));
    let entry = &house.entries().await[0];
    let (received, rest) = house.split(entry).await;
    assert_eq!(rest, content.as_bytes());
    let id = entry.key.id;
    let start = format!(
        "Received: from client.example ([127.0.0.1])\r\n\tby mx2.example with ESMTP\r\n\tid {id}\r\n\tfor \
         <a@example.org>;\r\n\t"
    );
    assert!(received.starts_with(&start), "{received}");
    assert!(received.ends_with(" +0000\r\n"), "{received}");
}

// [5321-7.6]
#[tokio::test]
async fn recipients_are_not_told_of_each_other() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    assert!(peer.mail(&["a@example.org", "blind@example.com"], "A: b\r\n\r\n").await.starts_with("250"));
    for entry in house.entries().await {
        let (received, _) = house.split(&entry).await;
        assert!(!received.contains(" for ") && !received.contains("\tfor "), "{received}");
        assert!(!received.contains("blind"), "{received}");
    }
}

// [5321-4.4] [3848-1]
#[tokio::test]
async fn helo_is_told_from_ehlo() {
    let house = House::new(settings());
    let mut peer = house.connect().await;
    peer.talk(&[("HELO old.example", "250")]).await;
    assert!(peer.mail_without_codes("a@example.org", "A: b\r\n\r\n").await.starts_with("250"));
    let (received, _) = house.split(&house.entries().await[0]).await;
    assert!(received.contains("\tby mx2.example with SMTP\r\n"), "{received}");
}

#[tokio::test]
async fn a_hostile_name_forges_no_line() {
    let names = [
        "a)\u{b}b",
        "x);by=mx2.example",
        "a\rX-Forged:yes",
        "[127.0.0.1",
        "\u{202e}evil",
        "<a@b>",
        "\"a b\"",
    ];
    for name in names {
        let house = House::new(settings());
        let mut peer = house.connect().await;
        let said = peer.ask(format!("EHLO {name}\r\n")).await;
        if !said.starts_with("250") {
            // The grammar has refused it, which is as good.
            continue;
        }
        let reply = peer.mail(&["a@example.org"], "Subject: a\r\n\r\nb\r\n").await;
        assert!(reply.starts_with("250"), "{name:?}: {reply}");
        let (received, rest) = house.split(&house.entries().await[0]).await;
        assert_eq!(rest, b"Subject: a\r\n\r\nb\r\n", "{name:?}");
        assert!(
            received.is_ascii() && !received.replace("\r\n", "").contains(['\r', '\n']),
            "{name:?}: {received}"
        );
        assert!(received.starts_with("Received: from [127.0.0.1] (helo "), "{name:?}: {received}");
        assert_eq!(received.matches(['(', ')', ';']).count(), 3, "{name:?}: {received}");
    }
}
