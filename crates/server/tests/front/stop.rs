//! Shutting down.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::house::{House, settings};

// [5321-3.8]
#[tokio::test]
async fn a_message_in_the_middle_of_data_is_finished() {
    let house = House::new(settings());
    let mut idle = house.hello().await;
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "250"), ("DATA", "354")]).await;
    peer.send("Subject: a\r\n\r\nfirst half\r\n").await;
    let address = house.address();
    let finish = async {
        assert!(idle.reply().await.starts_with("421 4.3.2 mx2.example"));
        sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(address).await.is_err(), "nobody new is let in");
        let queued = peer.ask("second half\r\n.\r\n").await;
        assert!(queued.starts_with("250 2.0.0"), "{queued}");
        assert!(peer.reply().await.starts_with("421 4.3.2"));
        assert_eq!(peer.reply().await, "");
    };
    let (cut, ()) = tokio::join!(house.server.shutdown(Duration::from_secs(60)), finish);
    assert_eq!(cut, 0);
    let entries = house.entries().await;
    assert_eq!(house.split(&entries[0]).await.1, b"Subject: a\r\n\r\nfirst half\r\nsecond half\r\n");
}

#[tokio::test]
async fn whoever_does_not_finish_is_cut() {
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<a@example.org>", "250"), ("DATA", "354")]).await;
    assert_eq!(house.server.shutdown(Duration::from_millis(100)).await, 1);
    assert_eq!(house.server.connections(), 0);
    assert_eq!(peer.reply().await, "");
    assert!(house.entries().await.is_empty());
}
