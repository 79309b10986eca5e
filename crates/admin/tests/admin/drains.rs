//! Flush: a drain is followed to its end.

use std::time::Duration;

use crate::support::{Bench, NOW, all, domain, refusal};
use restante_api::{ClientError, ErrorCode, FlushEnd, FlushEvent, FlushRequest, Streamed};
use restante_queue::{DrainCause, DrainProgress, HoldKind, HoldOrder, LastDrain, QueueStore};
use tokio::time::{sleep, timeout};

fn request(names: &[&str]) -> FlushRequest {
    FlushRequest { domains: names.iter().map(|name| domain(name)).collect(), reset: false, wait: true }
}

fn drain(bench: &Bench, delivered: Option<u64>) {
    let mut state = bench.store.state();
    let of = state.domains.entry(domain("example.org")).or_default();
    of.draining = delivered.map(|delivered| DrainProgress {
        cause: DrainCause::Flush,
        since: NOW,
        delivered,
        deferred: 0,
        failed: 0,
    });
}

#[tokio::test]
async fn progress_is_shown_until_the_drain_ends() {
    let bench = Bench::new().await;
    for number in 0..3 {
        bench.store.add("example.org", number);
    }
    let mut stream = bench.client.flush(&request(&["example.org"])).await.unwrap();
    let first = stream.next().await.unwrap();
    let started = FlushEvent::Started { domain: domain("example.org"), messages: 3, running: false };
    assert_eq!(first, Streamed::Item(started));
    for delivered in [0, 2] {
        drain(&bench, Some(delivered));
        let Streamed::Item(FlushEvent::Progress { drain, messages: 3, .. }) = stream.next().await.unwrap()
        else {
            panic!("progress was made");
        };
        assert_eq!((drain.cause.as_str(), drain.delivered), ("flush", delivered));
    }
    {
        let mut state = bench.store.state();
        state.entries.clear();
        let of = state.domains.get_mut(&domain("example.org")).unwrap();
        of.draining = None;
        let result = "delivered all".to_owned();
        of.last_drain = Some(LastDrain { at: NOW, delivered: 3, deferred: 0, failed: 0, result });
    }
    let Streamed::Item(FlushEvent::Ended { messages: 0, last_drain: Some(last), .. }) =
        stream.next().await.unwrap()
    else {
        panic!("the drain has ended");
    };
    assert_eq!((last.delivered, last.result.as_str()), (3, "delivered all"));
    assert_eq!(stream.next().await.unwrap(), Streamed::End(FlushEnd { clean: 1, left: 0, refused: 0 }));
}

#[tokio::test]
async fn several_domains_end_each_in_its_way() {
    let bench = Bench::new().await;
    bench
        .store
        .hold_domain(&domain("example.com"), HoldOrder::new(HoldKind::Operator, "moving"))
        .await
        .unwrap();
    let (events, end) = all(bench.client.flush(&request(&["example.com", "push.example"])).await).await;
    let FlushEvent::Refused { reason, .. } = &events[0] else { panic!("a stopped domain is not flushed") };
    assert_eq!(reason, "stopped (operator: moving); `restante release example.com` first");
    assert!(matches!(&events[1], FlushEvent::Started { messages: 0, .. }));
    assert!(matches!(&events[2], FlushEvent::Ended { last_drain: None, .. }), "nothing was waiting");
    assert_eq!(end, FlushEnd { clean: 1, left: 0, refused: 1 });
}

#[tokio::test]
async fn starting_is_enough_where_nobody_waits() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let only_start = FlushRequest { reset: true, wait: false, ..request(&["example.org"]) };
    let (events, _) = all(bench.client.flush(&only_start).await).await;
    assert!(matches!(&events[..], [FlushEvent::Started { messages: 1, .. }]));
    assert_eq!(bench.store.state().retries_reset, [domain("example.org")]);
}

#[tokio::test]
async fn a_slip_in_one_name_starts_nothing() {
    let bench = Bench::new().await;
    let slip = FlushRequest { reset: true, ..request(&["example.org", "exmaple.org"]) };
    assert_eq!(refusal(bench.client.flush(&slip).await).0, ErrorCode::NotFound);
    assert!(bench.store.state().retries_reset.is_empty());
    assert_eq!(refusal(bench.client.flush(&request(&[])).await).0, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_stopping_server_lets_nobody_wait() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    drain(&bench, Some(0));
    let mut stream = bench.client.flush(&request(&["example.org"])).await.unwrap();
    while !matches!(stream.next().await.unwrap(), Streamed::Item(FlushEvent::Progress { .. })) {}
    let socket = bench.admin.socket().to_owned();
    let stopping = tokio::spawn(bench.admin.stop());
    let cut = timeout(Duration::from_secs(20), stream.next()).await.unwrap();
    assert!(matches!(cut, Err(ClientError::Broken(_))), "{cut:?}");
    timeout(Duration::from_secs(20), stopping).await.unwrap().unwrap();
    assert!(!socket.exists());
    sleep(Duration::from_millis(10)).await;
    assert!(matches!(bench.client.health().await, Err(ClientError::NotRunning(_))));
}
