//! The schedule, kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use restante_agent::{Kind, Protocol, Schedule, ServerSettings, Settings};
use restante_net::{Listener, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::support::{Bench, LIMIT, server};

/// A server that answers every ETRN in one go, and counts its callers.
async fn counting() -> (u16, Arc<AtomicUsize>) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (port, calls) = (listener.local().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let mut stream = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                stream.write_all(b"220 mx2.example.net\r\n").await.unwrap();
                let mut octets = [0; 512];
                while stream.read(&mut octets).await.is_ok_and(|count| count > 0) {
                    if stream.write_all(b"250 fine\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, calls)
}

fn settings(bench: &Bench, servers: Vec<ServerSettings>) -> Settings {
    Settings {
        hostname: bench.context.hostname.clone(),
        state_file: bench.path().join("state.json"),
        servers,
    }
}

async fn until(what: impl Fn() -> bool) {
    let reached = async {
        while !what() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, reached).await.unwrap();
}

#[tokio::test]
async fn each_server_is_called_by_its_schedule_and_at_once_when_told_so() {
    let bench = Bench::new();
    let ((often, calls), (seldom, woken)) = (counting().await, counting().await);
    let mut quick = server(often, None);
    quick.protocol = Protocol::Etrn;
    quick.schedule = Schedule::Every(Duration::from_millis(50));
    let mut slow = server(seldom, None);
    slow.protocol = Protocol::Etrn;
    slow.schedule = "0 0 1 1 *".parse().unwrap();
    let settings = settings(&bench, vec![quick, slow.clone()]);
    let wake = watch::Sender::new(0);
    let (context, waking) = (bench.context.clone(), wake.subscribe());
    let running = tokio::spawn(async move {
        restante_agent::run(&settings, &context, &waking, &TimeZone::UTC).await;
    });
    until(|| calls.load(Ordering::SeqCst) >= 3).await;
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    wake.send_modify(|count| *count += 1);
    until(|| woken.load(Ordering::SeqCst) == 1).await;
    until(|| bench.context.state.read().unwrap()[&slow.name].result == Some(Kind::Asked)).await;
    let next = bench.context.state.read().unwrap()[&slow.name].next_run.unwrap();
    assert!(next > Timestamp::now() && next.to_string().ends_with("-01-01T00:00:00Z"), "{next}");
    bench.stop.send_replace(Stop::Finish);
    timeout(LIMIT, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_left_alone_for_a_while() {
    let bench = Bench::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut gone = server(closed.port(), None);
    gone.protocol = Protocol::Etrn;
    gone.schedule = Schedule::Every(Duration::from_millis(10));
    let name = gone.name.clone();
    let settings = settings(&bench, vec![gone]);
    let context = bench.context.clone();
    let running = tokio::spawn(async move {
        let wake = watch::Sender::new(0);
        restante_agent::run(&settings, &context, &wake.subscribe(), &TimeZone::UTC).await;
    });
    let known = || bench.context.state.read().unwrap().remove(&name).unwrap_or_default();
    until(|| known().failures == 1 && known().next_run > known().last_run).await;
    sleep(Duration::from_millis(300)).await;
    let record = known();
    assert_eq!(record.failures, 1, "it is not called every 10 ms");
    let wait = record.next_run.unwrap().duration_since(record.last_run.unwrap());
    assert!(
        wait >= jiff::SignedDuration::from_secs(29) && wait <= jiff::SignedDuration::from_secs(61),
        "{wait}"
    );
    bench.stop.send_replace(Stop::Finish);
    timeout(LIMIT, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_while_the_provider_keeps_silent_is_heeded() {
    let bench = Bench::new();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut silent = server(listener.local().unwrap().port(), None);
    silent.protocol = Protocol::Etrn;
    let stopping = async {
        let _held = listener.accept().await.unwrap();
        sleep(Duration::from_millis(50)).await;
        bench.stop.send_replace(Stop::Finish);
        sleep(Duration::from_millis(200)).await;
    };
    let ((_, result), ()) = tokio::join!(bench.collect(&silent), stopping);
    assert!(matches!(result, Err(restante_agent::Failure::Stopped)), "{result:?}");
}
