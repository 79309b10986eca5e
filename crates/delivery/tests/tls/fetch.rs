//! [8461-3.2-type] [8461-3.3-bounds] [8461-3.3-host] [8461-3.3-status] Fetching a policy over real HTTPS.

use std::sync::Arc;
use std::time::Duration;

use restante_delivery::{HttpsFetch, Lookup, PolicyFetch, StsPolicy};
use restante_net::Trust;

use crate::chain::{Authority, Shown, Valid};
use crate::house::domain;
use crate::web::WebServer;
use crate::zone::Zone;

const POLICY: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.org\r\nmax_age: 604800\r\n";

/// The policy host of `example.org`, if its certificate is for that.
async fn fetch(
    shown: &Shown,
    by: &Authority,
    answer: Option<Vec<u8>>,
) -> (Result<String, String>, Vec<String>) {
    let limit = Duration::from_secs(if answer.is_some() { 30 } else { 3 });
    let server = WebServer::start(shown, answer);
    let lookup: Arc<dyn Lookup> = Arc::new(Zone::default());
    let fetch = HttpsFetch::default()
        .with_authorities(Trust::Authorities(by.file()))
        .with_port(server.address.port())
        .with_limit(limit);
    let text = fetch.fetch(&domain("example.org"), &lookup).await;
    (text.map_err(|error| error.to_string()), server.questions())
}

fn answer(head: &str, body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes())
}

async fn said(head: &str, body: &str) -> Result<String, String> {
    let authority = Authority::new("system");
    let host = authority.issue(&["mta-sts.example.org"], Valid::Now);
    fetch(&host, &authority, answer(head, body)).await.0
}

#[tokio::test]
async fn a_policy_is_asked_for_as_it_should_be() {
    let authority = Authority::new("system");
    let host = authority.issue(&["mta-sts.example.org"], Valid::Now);
    let good =
        answer(&format!("200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}", POLICY.len()), POLICY);
    let (text, questions) = fetch(&host, &authority, good).await;
    assert_eq!(text.unwrap(), POLICY);
    let [question] = questions.as_slice() else { panic!("{questions:?}") };
    assert!(question.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{question}");
    assert!(question.contains("host: mta-sts.example.org\r\n"), "{question}");
    assert!(StsPolicy::parse(POLICY).unwrap().allows(&domain("mail.example.org")));
}

#[tokio::test]
async fn other_ways_to_say_it() {
    let chunked = "200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\nTransfer-Encoding: chunked";
    let body = format!("{:x}\r\n{POLICY}\r\n0\r\n\r\n", POLICY.len());
    assert_eq!(said(chunked, &body).await.unwrap(), POLICY);
    let until_closed = "200 OK\r\nContent-Type: text/plain";
    assert_eq!(said(until_closed, POLICY).await.unwrap(), POLICY);
}

#[tokio::test]
async fn what_is_no_policy_is_none() {
    let typed =
        |status: &str| format!("{status}\r\nContent-Type: text/plain\r\nContent-Length: {}", POLICY.len());
    for (head, wanted) in [
        (typed("301 Moved\r\nLocation: https://mta-sts.example.org/other"), "HTTP status 301"),
        (typed("302 Found\r\nLocation: https://mta-sts.example.org/other"), "HTTP status 302"),
        (typed("304 Not Modified"), "HTTP status 304"),
        (typed("404 Not Found"), "HTTP status 404"),
        (typed("203 Other"), "HTTP status 203"),
        (typed("200 OK").replace("text/plain", "text/html"), "it is not of type text/plain"),
        (typed("200 OK").replace("text/plain", "text/plainer"), "it is not of type text/plain"),
        (format!("200 OK\r\nContent-Length: {}", POLICY.len()), "it is not of type text/plain"),
    ] {
        assert_eq!(said(&head, POLICY).await.unwrap_err(), wanted, "{head}");
    }
    let cut = "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2000";
    assert!(said(cut, POLICY).await.unwrap_err().starts_with("HTTP: "));
    let long = "x".repeat(64 * 1024 + 1);
    for length in [format!("\r\nContent-Length: {}", long.len()), String::new()] {
        let head = format!("200 OK\r\nContent-Type: text/plain{length}");
        assert_eq!(said(&head, &long).await.unwrap_err(), "it is longer than 65536 octets");
    }
    let head = format!("200 OK\r\nX: {}\r\nContent-Type: text/plain", "x".repeat(32 * 1024));
    assert!(said(&head, POLICY).await.unwrap_err().starts_with("HTTP: "));
    let mut binary = answer("200 OK\r\nContent-Type: text/plain", "").unwrap();
    binary.extend([0xff, 0xfe]);
    let authority = Authority::new("system");
    let host = authority.issue(&["mta-sts.example.org"], Valid::Now);
    assert_eq!(fetch(&host, &authority, Some(binary)).await.0.unwrap_err(), "it is not of type text/plain");
    let no_http = fetch(&host, &authority, Some(b"220 not HTTP\r\n".to_vec())).await.0.unwrap_err();
    assert!(no_http.starts_with("HTTP: "), "{no_http}");
}

/// [8461-3.3-host]
#[tokio::test]
async fn only_the_policy_host_is_believed() {
    let authority = Authority::new("system");
    let good = || answer("200 OK\r\nContent-Type: text/plain", POLICY);
    let wild = authority.issue(&["*.example.org"], Valid::Now);
    assert_eq!(fetch(&wild, &authority, good()).await.0.unwrap(), POLICY);
    for (shown, wanted) in [
        (authority.issue(&["mta-sts.example.org"], Valid::Past), "the certificate has expired"),
        (
            authority.issue(&["example.org"], Valid::Now),
            "the certificate is not for mta-sts.example.org, but for example.org",
        ),
        (
            Authority::new("theirs").issue(&["mta-sts.example.org"], Valid::Now),
            "the certificate is not by an authority that counts",
        ),
    ] {
        let (text, questions) = fetch(&shown, &authority, good()).await;
        assert_eq!(text.unwrap_err(), wanted);
        assert_eq!(questions.len(), 0);
    }
}

/// [8461-3.3-bounds]
#[tokio::test]
async fn one_that_hangs_is_given_up() {
    let authority = Authority::new("system");
    let host = authority.issue(&["mta-sts.example.org"], Valid::Now);
    let (text, questions) = fetch(&host, &authority, None).await;
    assert_eq!((text.unwrap_err().as_str(), questions.len()), ("timed out", 1));
}
