//! Room for connections.

use std::time::Duration;

use restante_server::{ListenTls, ServerLimits, ServerSettings};
use tokio::time::sleep;

use crate::house::{House, listener, settings};
use crate::peer::Peer;

fn limited(connections: usize, connections_per_client: usize) -> ServerSettings {
    let limits = ServerLimits { connections, connections_per_client, ..settings().limits };
    ServerSettings { limits, ..settings() }
}

async fn until_only(house: &House, connections: usize) {
    while house.server.connections() > connections {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_client_has_an_end() {
    let house = House::new(limited(100, 3));
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(house.hello().await);
    }
    let mut turned_away = Peer::connect(house.address()).await;
    assert_eq!(turned_away.reply().await, "421 4.7.0 mx2.example too many connections from your address\r\n");
    assert_eq!(turned_away.reply().await, "");
    peers.pop();
    until_only(&house, 2).await;
    peers.push(house.hello().await);
}

#[tokio::test]
async fn a_listener_has_an_end_of_its_own() {
    let listeners = vec![listener(ListenTls::None), listener(ListenTls::None)];
    let house = House::new(ServerSettings { listeners, ..limited(2, 50) });
    let (one, other) = (house.server.local_addrs()[0], house.server.local_addrs()[1]);
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::connect(one).await;
        assert!(peer.reply().await.starts_with("220"));
        peers.push(peer);
    }
    let mut turned_away = Peer::connect(one).await;
    assert!(turned_away.reply().await.starts_with("421 4.3.2 mx2.example"));
    let mut elsewhere = Peer::connect(other).await;
    assert!(elsewhere.reply().await.starts_with("220"), "a flood on one listener does not starve the other");
}

// [5321-4.3.1]
#[tokio::test]
async fn whoever_talks_first_is_turned_away() {
    let house = House::new(settings());
    let mut early = 0;
    // The octets may come after the greeting; what matters is that they are never read when they come before.
    for _ in 0..50 {
        let mut peer = Peer::connect(house.address()).await;
        peer.send("HELO spam.example\r\n").await;
        let greeting = peer.reply().await;
        match greeting.get(..3) {
            Some("554") => {
                early += 1;
                assert_eq!(peer.reply().await, "", "nothing is read behind it");
            }
            Some("220") => assert!(peer.reply().await.starts_with("250")),
            _ => panic!("{greeting}"),
        }
    }
    assert!(early > 0, "never once early");
}
