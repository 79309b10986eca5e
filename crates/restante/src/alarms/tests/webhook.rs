//! A webhook that takes calls, and others that do not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::*;

/// A request: its head and its body.
type Request = (String, String);

/// A server that hands each request on and answers it as `answer` likes.
fn server(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> (SocketAddr, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, requests) = channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            if let Some(request) = read(&mut stream) {
                if told.send(request).is_err() {
                    return;
                }
                answer(count, &mut stream);
            }
        }
    });
    (address, requests)
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut octets = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&octets).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = header(head, "content-length").parse().unwrap();
        if body.len() >= length {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    });
    line.unwrap_or_default()
}

fn ok(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

fn down(domain: &str) -> News {
    News::PrimaryDown { domain: name(domain), why: "no route".into() }
}

const PATIENCE: Duration = Duration::from_secs(20);

async fn none_waits(world: &World) {
    let begun = Instant::now();
    while !lock(&world.alarms.0.memory).calls.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "a call still waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn next(requests: &Receiver<Request>) -> Request {
    requests.recv_timeout(PATIENCE).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_signed_and_made_once() {
    let (address, requests) = server(|_, stream| ok(stream));
    let mut settings = called(&format!("http://{address}/hook?x=1"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    settings.webhook.as_mut().unwrap().secret_file = Some(file);
    let world = World::new(settings).await;
    let watching = world.alarms.watch();
    world.news(down("example.org")).await;
    let (head, body) = next(&requests);
    assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), "application/json");
    assert!(header(&head, "webhook-signature").starts_with("v1,"), "{head}");
    assert_eq!(header(&head, "webhook-timestamp"), (NOON.0 / 1000).to_string());
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["id"].as_str().unwrap(), header(&head, "webhook-id"));
    assert_eq!(
        (body["event"].as_str(), body["hostname"].as_str()),
        (Some("primary-down"), Some("mx2.example.net"))
    );
    none_waits(&world).await;
    watching.stop().await;
    assert!(requests.recv_timeout(Duration::from_millis(300)).is_err(), "once");
}

/// Each answers the first calls badly and the last one well; the same call comes until then, with the same id and body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_yes_is_tried_again() {
    let bad: [&[u8]; 5] = [
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000000\r\n\r\nmuch",
        b"\0\xff no HTTP\r\n\r\n",
        b"",
    ];
    let (address, requests) = server(move |count, stream| match bad.get(count) {
        Some(answer) => drop(stream.write_all(answer)),
        None => ok(stream),
    });
    let world = World::new(called(&format!("http://{address}/"))).await;
    let watching = world.alarms.watch();
    world.news(down("example.org")).await;
    let first = next(&requests);
    for _ in 0..5 {
        let again = next(&requests);
        assert_eq!(again.1, first.1);
        assert_eq!(header(&again.0, "webhook-id"), header(&first.0, "webhook-id"));
    }
    none_waits(&world).await;
    watching.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_hangs_or_drips_delays_nothing() {
    let short = Duration::from_millis(400);
    for (drips, time) in [(false, LONG), (true, LONG), (false, short), (true, short)] {
        let held = Mutex::new(Vec::new());
        let (address, requests) = server(move |_, stream| {
            let mut stream = stream.try_clone().unwrap();
            held.lock().unwrap().push(stream.try_clone().unwrap());
            if drips {
                std::thread::spawn(move || {
                    for octet in b"HTTP/1.1 200 OK\r\nX-Long: ".iter().chain(std::iter::repeat(&b'x')) {
                        if stream.write_all(&[*octet]).is_err() {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        });
        let world = World::with_call_time(called(&format!("http://{address}/")), time).await;
        let watching = world.alarms.watch();
        world.news(down("example.org")).await;
        next(&requests);
        // While the call hangs, everything else goes on.
        let begun = Instant::now();
        world.put("example.org").await;
        world.news(News::PrimaryUp { domain: name("example.org") }).await;
        world.look().await;
        assert_eq!(world.open(), ["mail-held"]);
        assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
        if time == short {
            // It is ended in time, and made again.
            let (again, _) = next(&requests);
            assert_ne!(header(&again, "webhook-id"), "");
        }
        watching.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_likes_does_not_stop_the_others() {
    let (address, requests) = server(|count, stream| match count {
        0 => drop(stream.write_all(b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 0\r\n\r\n")),
        _ => ok(stream),
    });
    let world = World::new(called(&format!("http://{address}/"))).await;
    world.news(down("example.org")).await;
    world.news(down("push.example")).await;
    let watching = world.alarms.watch();
    let domain = |(_, body): Request| {
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["domain"].as_str().unwrap().to_owned()
    };
    let told: Vec<String> = (0..3).map(|_| domain(next(&requests))).collect();
    assert_eq!(told, ["example.org", "push.example", "example.org"]);
    none_waits(&world).await;
    watching.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_a_restart_and_are_given_up_after_a_day() {
    let mut world = World::new(called("http://127.0.0.1:1/")).await;
    let watching = world.alarms.watch();
    world.news(down("example.org")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    watching.stop().await;
    let (address, requests) = server(|_, stream| ok(stream));
    world.wait(23 * HOUR);
    world.restart(called(&format!("http://{address}/")));
    let watching = world.alarms.watch();
    let (_, body) = next(&requests);
    assert!(body.contains("primary-down"), "{body}");
    none_waits(&world).await;
    watching.stop().await;

    world.restart(called("http://127.0.0.1:1/"));
    world.news(down("push.example")).await;
    world.wait(24 * HOUR);
    let watching = world.alarms.watch();
    none_waits(&world).await;
    watching.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_is_tried_at_once() {
    let mut settings = called("http://127.0.0.1:1/");
    settings.webhook.as_mut().unwrap().secret_file = Some("/nowhere/secret".into());
    let world = World::new(settings).await;
    let watching = world.alarms.watch();
    world.news(down("example.org")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(lock(&world.alarms.0.memory).calls.len(), 1, "without its secret nothing is sent");
    let (address, requests) = server(|_, stream| ok(stream));
    world.alarms.reload(called(&format!("http://{address}/")));
    next(&requests);
    none_waits(&world).await;
    world.alarms.reload(super::settings());
    world.news(down("push.example")).await;
    assert!(lock(&world.alarms.0.memory).calls.is_empty(), "no webhook, no call");
    watching.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_no_known_authority_is_no_webhook() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Whatever answers, it shows no certificate of an authority of this system; nothing readable must come.
    let first = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).unwrap();
        piece[..count].to_vec()
    });
    let world = World::new(called(&format!("https://127.0.0.1:{}/", address.port()))).await;
    let watching = world.alarms.watch();
    world.news(down("example.org")).await;
    let begun = Instant::now();
    while !first.is_finished() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if first.is_finished() {
        let octets = first.join().unwrap();
        assert_eq!(octets.first(), Some(&22), "a TLS handshake, nothing else");
    }
    assert_eq!(lock(&world.alarms.0.memory).calls.len(), 1);
    watching.stop().await;
}
