//! What a primary is told about who handed messages in, and what it must never be told.

use restante_smtp::End;
use restante_types::ClientFacts;

use super::*;

const OFFERED: &[&str] = &["PIPELINING", "XCLIENT NAME ADDR PROTO HELO", "XFORWARD NAME ADDR PROTO HELO"];
/// Who handed the messages in, one after the other: two clients, and this machine in between.
const FROM: [&str; 6] = ["192.0.2.7", "127.0.0.1", "192.0.2.8", "::1", "192.0.2.8", "127.0.0.2"];

fn handed_in() -> Vec<Row> {
    let from = |(number, address): (u64, &str)| {
        let client = ClientFacts { address: address.parse().unwrap(), ..(*client()).clone() };
        Row { client: Arc::new(client), ..row(number, 1, Body::SevenBit) }
    };
    (0..).zip(FROM).map(from).collect()
}

/// Connection after connection until the queue is empty; how many it took.
async fn drain(primary: &Primary, forward: ForwardClient) -> usize {
    let office = Office::open(handed_in()).await;
    let mut connections = 0;
    while primary.taken().len() < FROM.len() {
        assert!(connections < FROM.len(), "{:?}", primary.commands.lock().unwrap());
        assert_eq!(office.round_telling(primary, forward).await.end, End::Quit);
        connections += 1;
    }
    let (store, domain) = office.close().await;
    assert_eq!(store.waiting(&domain), 0);
    connections
}

/// Whom each message was taken for.
fn introduced(primary: &Primary) -> Vec<Option<String>> {
    let taken = primary.taken();
    let of = |number| {
        let content = content(id(number));
        let one = taken.iter().find(|one| one.content == content).unwrap();
        one.introduced.clone()
    };
    (0..).take(FROM.len()).map(of).collect()
}

/// [xclient-ours] To the primary our loopback address would be its own, which may relay: no notice of ours, whoever's
/// words it bears, goes as that, and none goes as the client whose message went before it.
#[tokio::test(start_paused = true)]
async fn mail_of_our_own_is_never_introduced() {
    let expected = [Some("192.0.2.7"), None, Some("192.0.2.8"), None, Some("192.0.2.8"), None];
    // Whether it offers XCLIENT again to who it takes us for: Postfix asks whether that client may.
    for again in [true, false] {
        let primary = Primary::new(OFFERED).saying(move |line| {
            let introduced = line == "EHLO client.example";
            (introduced && !again).then_some("250 primary.example")
        });
        let connections = drain(&primary, ForwardClient::Xclient).await;
        assert_eq!(introduced(&primary), expected.map(|address| address.map(str::to_owned)), "{again}");
        let commands = primary.commands.lock().unwrap().clone();
        assert!(
            !commands.iter().any(|line| line.contains("=127.") || line.contains("IPV6:::1")),
            "{commands:?}"
        );
        assert_eq!(connections, 4, "one ends before each message of ours");
    }
}

/// [xclient-ours] Nor is its log told.
#[tokio::test(start_paused = true)]
async fn of_mail_of_our_own_no_log_is_told() {
    let primary = Primary::new(OFFERED);
    assert_eq!(drain(&primary, ForwardClient::Xforward).await, 1);
    assert_eq!(introduced(&primary), [const { None }; FROM.len()]);
    let commands = primary.commands.lock().unwrap().clone();
    let told = |line: &&String| line.starts_with("XFORWARD") && line.contains("ADDR=");
    let told: Vec<&str> = commands.iter().filter(told).map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(told, ["ADDR=192.0.2.7", "ADDR=192.0.2.8", "ADDR=192.0.2.8"]);
    let before: Vec<bool> = commands
        .windows(2)
        .filter(|pair| pair[1].starts_with("MAIL"))
        .map(|pair| pair[0].starts_with("XFORWARD"))
        .collect();
    assert_eq!(before, [true, false, true, false, true, false], "each message by itself");
}
