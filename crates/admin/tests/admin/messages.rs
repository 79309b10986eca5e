//! One message: what `show` tells, and its content.

use crate::support::{Bench, domain, id, refusal};
use restante_api::{ClientError, ErrorCode};
use restante_queue::StoreError;
use restante_types::DeliveryState;

async fn content(bench: &Bench, number: u64) -> Result<Vec<u8>, ClientError> {
    let mut stream = bench.client.content(id(number), None).await?;
    let mut octets = Vec::new();
    while let Some(piece) = stream.next().await? {
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

#[tokio::test]
async fn a_message_is_shown_in_all_its_queues() {
    let bench = Bench::new().await;
    bench.store.add("example.com", 1);
    let deleted = bench.store.add("example.org", 1);
    bench.store.state().entries.get_mut(&deleted).unwrap().state = DeliveryState::Deleted;
    bench.store.add("example.org", 2);
    bench.store.content(1, b"Received: from x\r\n\tby y\r\nSubject: \xff\r\n\r\nBody: no header\r\n").await;
    let message = bench.client.message(id(1)).await.unwrap();
    let queues: Vec<&str> = message.entries.iter().map(|entry| entry.domain.as_str()).collect();
    assert_eq!(queues, ["example.com", "example.org"]);
    assert_eq!(message.headers.as_deref(), Some("Received: from x\r\n\tby y\r\nSubject: \u{fffd}\r\n"));
    assert!(!message.headers_cut);
}

#[tokio::test]
async fn headers_without_an_end_are_cut() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    bench.store.content(1, &b"X: y\r\n".repeat(50_000)).await;
    let message = bench.client.message(id(1)).await.unwrap();
    assert!(message.headers_cut && message.headers.unwrap().len() == 64 * 1024);
    // Without content at all there is still an envelope to show.
    bench.store.add("example.org", 2);
    assert_eq!(bench.client.message(id(2)).await.unwrap().headers, None);
}

#[tokio::test]
async fn content_comes_byte_for_byte() {
    let bench = Bench::new().await;
    let octets: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    bench.store.add("example.org", 1);
    bench.store.content(1, &octets).await;
    assert!(content(&bench, 1).await.unwrap() == octets);
    bench.store.add("example.org", 2);
    bench.store.content(2, b"").await;
    assert_eq!(content(&bench, 2).await.unwrap(), b"");
    let through = bench.client.content(id(1), Some(&domain("example.org"))).await.unwrap();
    assert_eq!(through.length(), Some(3_000_000));
    let through = bench.client.content(id(1), Some(&domain("example.com"))).await;
    assert_eq!(refusal(through).0, ErrorCode::NotFound);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let bench = Bench::new().await;
    assert_eq!(refusal(bench.client.message(id(9)).await).0, ErrorCode::NotFound);
    let (code, message) = refusal(content(&bench, 9).await);
    assert_eq!(code, ErrorCode::NotFound);
    assert!(message.starts_with("no such message: "), "{message}");
    bench.store.state().failing = Some(StoreError::Damaged("bad crc".to_owned()));
    assert_eq!(
        refusal(bench.client.content(id(9), Some(&domain("example.org"))).await).0,
        ErrorCode::Damaged
    );
}
