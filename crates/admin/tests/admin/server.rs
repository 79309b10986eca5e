//! The interface as a whole: its socket, its refusals, its health.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Bench, domain};
use restante_api::{ClientError, ErrorCode, IndexReport, Level};
use restante_queue::{HoldKind, HoldOrder, IndexHealth, IntakeHealth, QueueStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

async fn raw(bench: &Bench, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(bench.admin.socket()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_tells_the_condition() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let health = bench.client.health().await.unwrap();
    assert_eq!((health.status, health.messages, health.version.as_str()), (Level::Ok, 1, "1.2.3"));
    bench
        .store
        .hold_domain(&domain("gone.example"), HoldOrder::new(HoldKind::Orphaned, "not configured"))
        .await
        .unwrap();
    bench.store.state().health.index = IndexHealth::Rebuilding { done: 1, total: 4 };
    let health = bench.client.health().await.unwrap();
    assert_eq!(
        (health.status, health.index),
        (Level::Warning, IndexReport::Rebuilding { done: 1, total: 4 })
    );
    assert_eq!(health.orphaned, [domain("gone.example")]);
    assert!(health.problems[0].contains("25 % done"), "{:?}", health.problems);
    bench.store.state().health.intake = IntakeHealth::Failing("no space\u{7}".to_owned());
    assert_eq!(bench.client.health().await.unwrap().status, Level::Critical);
}

#[tokio::test]
async fn the_configuration_is_told() {
    let bench = Bench::new().await;
    assert_eq!(bench.client.configuration().await.unwrap(), "hostname = \"mx2.example.net\"\n");
}

#[tokio::test]
async fn refusals_are_objects() {
    let bench = Bench::new().await;
    let close = "Host: x\r\nConnection: close\r\n";
    let nowhere = raw(&bench, format!("GET /v2/x HTTP/1.1\r\n{close}\r\n").as_bytes()).await;
    assert!(
        nowhere.starts_with("HTTP/1.1 404 ") && nowhere.contains(r#"{"code":"not-found","message":"#),
        "{nowhere}"
    );
    let method = raw(&bench, format!("DELETE /v1/domains HTTP/1.1\r\n{close}\r\n").as_bytes()).await;
    assert!(method.starts_with("HTTP/1.1 404 ") && method.contains(r#""code":"not-found""#), "{method}");
    let body = "{\"filter\":{\"state\":\"gone\"}}";
    let head = format!("POST /v1/hold HTTP/1.1\r\n{close}Content-Type: application/json\r\nContent-Length: ");
    let nonsense = raw(&bench, format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await;
    assert!(nonsense.starts_with("HTTP/1.1 400 ") && nonsense.contains("no such state"), "{nonsense}");
    let much = format!("{head}1000000\r\n\r\n{}", "x".repeat(1_000_000));
    let mut stream = UnixStream::connect(bench.admin.socket()).await.unwrap();
    // The server may close before it has read all of it.
    let _ = stream.write_all(much.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn a_client_knows_what_keeps_it_out() {
    let bench = Bench::new().await;
    let nobody = restante_api::Client::new(&bench.dir.path().join("nobody.sock")).unwrap();
    assert!(matches!(nobody.health().await, Err(ClientError::NotRunning(_))));
    drop(std::os::unix::net::UnixListener::bind(bench.dir.path().join("dead.sock")).unwrap());
    let dead = restante_api::Client::new(&bench.dir.path().join("dead.sock")).unwrap();
    assert!(matches!(dead.health().await, Err(ClientError::NotRunning(_))));
    let mode = std::fs::metadata(bench.admin.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn many_connections_wait_for_their_turn() {
    let bench = Bench::new().await;
    // More than there are slots for: the later ones are answered once the earlier ones have left.
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(UnixStream::connect(bench.admin.socket()).await.unwrap());
    }
    let client = bench.client.clone();
    let waiting = tokio::spawn(async move { client.health().await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop(idle);
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refusal_keeps_its_code_on_the_way() {
    let bench = Bench::new().await;
    let error = bench.client.domain(&domain("nowhere.example")).await.unwrap_err();
    let ClientError::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.code, refusal.code.status()), (ErrorCode::NotFound, 404));
}
