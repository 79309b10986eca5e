//! What an operator is told: by webhook, in the log, by mail, and to a monitor.

#![expect(clippy::unwrap_used, reason = "a test says loudly what is wrong")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Peer, Sink, command, connect, eventually, free_port, have, read_call,
    sample,
};
use serde_json::Value;

const SECRET: &str = "a secret of the webhook's own";

/// A call that the webhook got.
#[derive(Debug, Clone)]
struct Call {
    head: String,
    text: String,
    body: Value,
}

impl Call {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        line.unwrap_or_default()
    }

    /// `primary-down example.org opens`
    fn shown(&self) -> String {
        let domain = self.body["domain"].as_str().unwrap_or("-");
        let open = if self.body["open"] == true { "opens" } else { "closes" };
        format!("{} {domain} {open}", self.body["event"].as_str().unwrap())
    }
}

/// A webhook that says 500 to the first call and takes all others.
#[derive(Clone)]
struct Hook {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hook = Self { port: listener.local_addr().unwrap().port(), calls: Arc::default() };
        let calls = hook.calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(call) = read(&mut stream) else { continue };
                let mut calls = calls.lock().unwrap();
                let status = if calls.is_empty() { "500 Not Now" } else { "204 No Content" };
                calls.push(call);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        hook
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// What was told, each once: a call that came twice has one id.
    fn told(&self) -> Vec<String> {
        let mut ids = BTreeSet::new();
        let calls = self.calls();
        calls
            .iter()
            .filter(|call| ids.insert(call.header("webhook-id").to_owned()))
            .map(Call::shown)
            .collect()
    }

    fn tells(&self, wanted: &str, limit: Duration) {
        let told = eventually(limit, || self.told().iter().any(|told| told == wanted));
        assert!(told, "{wanted} is not told: {:#?}", self.told());
    }
}

fn read(stream: &mut TcpStream) -> Option<Call> {
    let (head, text) = read_call(stream)?;
    Some(Call { body: serde_json::from_str(&text).ok()?, head, text })
}

fn private(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn check(script: &str, arguments: &[&str], input: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks").join(script);
    let mut child = command(Peer::Python)
        .arg(file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server that greets with our own name.
fn mirror() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"220 mx2.example.net ESMTP\r\n");
            let mut piece = [0; 512];
            while stream.read(&mut piece).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(b"250 mx2.example.net\r\n");
            }
        }
    });
    port
}

fn events(dir: &Path, hook: &Hook) -> String {
    let secret = private(&dir.join("webhook.secret"), SECRET);
    let port = hook.port;
    format!(
        "[events]\nwebhook = \"http://127.0.0.1:{port}/hook\"\nsecret-file = \"{secret}\"\n\
         mail-to = \"admin@elsewhere.example\"\n"
    )
}

fn deliver(port: u16, to: &[&str]) {
    let mut client = connect(port);
    client.expect("EHLO client.example", "250");
    client.send("s@sender.example", to, &sample(1, 3000));
}

/// A certificate of our own that ends in ten days, where the server looks for the one of its making.
fn ends_soon(data: &Path) {
    let mut wanted = rcgen::CertificateParams::new(["mx2.example.net".to_owned()]).unwrap();
    wanted.not_after = (SystemTime::now() + Duration::from_secs(10 * 86_400)).into();
    let key = rcgen::KeyPair::generate().unwrap();
    let tls = data.join("tls");
    std::fs::create_dir_all(&tls).unwrap();
    private(&tls.join("self-signed.key"), &key.serialize_pem());
    private(&tls.join("self-signed.crt"), &wanted.self_signed(&key).unwrap().pem());
}

const ALL: [&str; 10] = [
    "certificate-expiring - opens",
    "mail-held example.org opens",
    "mail-held example.com opens",
    "mail-held loop.example opens",
    "primary-down example.org opens",
    "uncollected example.org opens",
    "misrouted loop.example opens",
    "circuit-open example.com opens",
    "agent-silent example.com opens",
    "retention-near example.org opens",
];

/// example.org's primary is not there, example.com's refuses everybody, loop.example's is ourselves.
fn troubled(secrets: &Path, hook: &Hook) -> Daemon {
    let mut tables = "circuit = [\"off\", \"1/1\"]\n".to_owned();
    let misrouted = mirror();
    let _ = write!(tables, "[[domain]]\nname = \"loop.example\"\nprimary = \"[127.0.0.1]:{misrouted}\"\n");
    tables.push_str(&events(secrets, hook));
    let mut daemon = Daemon::prepare(&DaemonOptions {
        defaults: "uncollected-alarm = \"4s\"\n".into(),
        org: "retention = \"40s\"\nowner = \"owner@elsewhere.example\"\n".into(),
        tables,
        ..DaemonOptions::default()
    });
    ends_soon(&daemon.data_dir());
    daemon.run();
    daemon
}

/// Every sort that can be brought about from outside within a minute; then the server is killed and starts again.
#[test]
fn each_event_is_told_once_signed_and_not_again_after_a_crash() {
    if !have("each_event_is_told_once", &[Peer::Python]) {
        return;
    }
    let hook = Hook::start();
    let secrets = tempfile::tempdir().unwrap();
    let mut daemon = troubled(secrets.path(), &hook);
    let ports = daemon.ports();
    let refusals = vec![("", "550 5.1.1 no such user")];
    let sink = Sink::start(ports.com, Behaviour { recipient_replies: refusals, ..Behaviour::default() });
    for domain in ["example.org", "example.com", "loop.example"] {
        deliver(ports.smtp, &[&format!("r@{domain}")]);
    }
    hook.tells("mail-held example.org opens", Duration::from_secs(20));
    for _ in 0..4 {
        let _ = daemon.admin(&["flush", "example.org"]);
    }
    let mut client = connect(ports.smtp);
    client.expect("EHLO client.example", "250");
    client.expect("ETRN example.com", "25");
    let _ = daemon.admin(&["flush", "loop.example"]);
    for event in ALL {
        hook.tells(event, Duration::from_secs(60));
    }
    drop(sink);
    told_by_mail(&daemon);
    told_by_the_command_line(&daemon);
    signed(&hook);
    once_each(&hook);
    // The primary is there again while the server is not.
    daemon.kill();
    let before = hook.told().len();
    let sink = Sink::start(ports.org, Behaviour::default());
    daemon.run();
    deliver(ports.smtp, &["r@example.org"]);
    let _ = daemon.admin(&["flush", "example.org"]);
    hook.tells("primary-up example.org closes", Duration::from_secs(30));
    let fresh: Vec<String> = hook.told().split_off(before);
    assert!(fresh.iter().all(|told| told.ends_with("closes")), "told again after a crash: {fresh:#?}");
    assert!(!sink.accepted().is_empty());
}

fn once_each(hook: &Hook) {
    let told = hook.told();
    for event in ALL {
        let times = told.iter().filter(|told| *told == event).count();
        assert_eq!(times, 1, "{event}: {told:#?}");
    }
    let calls = hook.calls();
    assert_eq!(calls[0].text, calls.iter().skip(1).find(|call| call.text == calls[0].text).unwrap().text);
}

fn signed(hook: &Hook) {
    for call in hook.calls() {
        let (id, timestamp) = (call.header("webhook-id"), call.header("webhook-timestamp"));
        check("signature.py", &[SECRET, id, timestamp, call.header("webhook-signature")], &call.text);
        assert_eq!(call.body["id"], id);
        assert_eq!(call.body["hostname"], "mx2.example.net");
    }
}

fn told_by_mail(daemon: &Daemon) {
    let subjects = || -> Vec<String> {
        let listed = daemon.json(&["list", "--domain", "elsewhere.example.notices.invalid"]);
        let texts = listed.iter().map(|entry| {
            assert_eq!(entry["sender"], "", "{entry}");
            let shown = daemon.admin(&["show", entry["id"].as_str().unwrap(), "--content"]);
            String::from_utf8(shown.stdout).unwrap()
        });
        texts.collect()
    };
    let wanted =
        ["certificate-expiring: this server", "primary-down: example.org", "uncollected: example.org"];
    let has = |texts: &[String], words: &str| texts.iter().any(|text| text.contains(words));
    let told = eventually(Duration::from_secs(20), || {
        let texts = subjects();
        wanted.iter().all(|words| has(&texts, words))
    });
    let texts = subjects();
    assert!(told, "{texts:#?}");
    for text in &texts {
        assert!(text.contains("Auto-Submitted: auto-generated"), "{text}");
        let to = if text.contains("this server") { "admin@" } else { "owner@" };
        assert!(text.contains(&format!("To: {to}elsewhere.example")), "{text}");
    }
}

fn told_by_the_command_line(daemon: &Daemon) {
    let health = daemon.admin(&["health"]);
    assert_eq!(health.status.code(), Some(1));
    let text = String::from_utf8(health.stdout).unwrap();
    assert!(text.contains("primary-down example.org: ") && !text.contains("mail-held"), "{text}");
    let status = daemon.json(&["status", "example.org"]);
    let alarms = status[0]["alarms"].as_array().unwrap();
    assert!(alarms.iter().any(|alarm| alarm["event"] == "mail-held"), "{alarms:?}");
    let log = daemon.log();
    let opened = log.lines().filter(|line| line.contains("alarm_opened") && line.contains("primary-down"));
    assert_eq!(opened.count(), 1, "{log}");
    assert!(!log.contains(SECRET));
}

#[test]
fn a_full_disk_is_told_until_there_is_room() {
    let hook = Hook::start();
    let secrets = tempfile::tempdir().unwrap();
    let options = |mark: &str| DaemonOptions {
        tables: format!("{}[limits]\ndisk-low-water = \"{mark}\"\n", events(secrets.path(), &hook)),
        ..DaemonOptions::default()
    };
    let mut daemon = Daemon::start(&options("900 TB"));
    hook.tells("disk-low - opens", Duration::from_secs(20));
    assert_eq!(daemon.admin(&["health"]).status.code(), Some(2));
    daemon.stop();
    daemon.configure(&options("1 MB"));
    daemon.run();
    hook.tells("disk-ok - closes", Duration::from_secs(90));
    assert_eq!(hook.told(), ["disk-low - opens", "disk-ok - closes"]);
    assert_eq!(daemon.admin(&["health"]).status.code(), Some(0));
}

fn get(port: u16, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What stands behind the head, taken out of its chunks.
fn body(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return rest.to_owned();
    }
    let mut body = String::new();
    while let Some((length, behind)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        body.push_str(&behind[..length]);
        rest = behind[length..].trim_start_matches("\r\n");
    }
    body
}

#[test]
fn a_monitor_reads_what_happened() {
    if !have("a_monitor_reads_what_happened", &[Peer::PrometheusClient]) {
        return;
    }
    let secrets = tempfile::tempdir().unwrap();
    let token = private(&secrets.path().join("token"), "0123456789abcdef\n");
    let port = free_port();
    let daemon = Daemon::start(&DaemonOptions {
        admin: format!("http = \"127.0.0.1:{port}\"\ntoken-file = \"{token}\""),
        org: "subdomains = true\n".into(),
        ..DaemonOptions::default()
    });
    let ports = daemon.ports();
    let refusals = vec![("nobody", "550 5.1.1 no such user")];
    let sink = Sink::start(ports.org, Behaviour { recipient_replies: refusals, ..Behaviour::default() });
    deliver(ports.smtp, &["a@example.org", "nobody@example.org", "b@example.com"]);
    deliver(ports.smtp, &["c@sub.example.org"]);
    let mut client = connect(ports.smtp);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<s@sender.example>", "250");
    client.expect("RCPT TO:<x@not-here.example>", "550");
    client.expect("RSET", "250");
    client.expect("ETRN example.org", "25");
    client.expect("ETRN not-here.example", "459");
    assert!(eventually(Duration::from_secs(20), || !sink.accepted().is_empty()));
    let scrape = || -> Value {
        let answer = get(port, "/metrics", "0123456789abcdef");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        serde_json::from_str(&check("metrics.py", &[], &body(&answer))).unwrap()
    };
    let expected = [
        ("restante_accepted_messages_total{domain=example.org}", 2.0),
        ("restante_accepted_messages_total{domain=example.com}", 1.0),
        ("restante_delivered_recipients_total{domain=example.org}", 1.0),
        ("restante_failed_recipients_total{domain=example.org}", 1.0),
        ("restante_deferred_recipients_total{domain=example.com}", 0.0),
        ("restante_drains_total{cause=etrn,domain=example.org}", 1.0),
        ("restante_refused_total{at=rcpt}", 1.0),
        ("restante_turn_answers_total{code=459,verb=etrn}", 1.0),
        ("restante_queue_messages{domain=example.org}", 1.0),
        ("restante_queue_messages{domain=example.com}", 1.0),
        ("restante_queue_held{domain=example.com}", 0.0),
        ("restante_alarm_open{domain=example.com,event=primary-down}", 0.0),
        ("restante_intake_open{}", 1.0),
    ];
    let agrees = |samples: &Value| expected.iter().all(|(name, value)| samples[*name] == *value);
    assert!(eventually(Duration::from_secs(20), || agrees(&scrape())), "{:#}", scrape());
    let samples = scrape();
    assert!(samples["restante_connections{}"].as_f64().unwrap() >= 1.0);
    assert!(samples["restante_queue_oldest_age_seconds{domain=example.com}"].as_f64().unwrap() > 0.0);
    assert!(samples["restante_queue_bytes{domain=example.com}"].as_f64().unwrap() > 3000.0);
    assert!(!samples.to_string().contains("sub.example.org"));
    assert!(get(port, "/health", "0123456789abcdef").starts_with("HTTP/1.1 200 "));
    assert!(get(port, "/metrics", "guessed-guessed-guessed").starts_with("HTTP/1.1 401 "));
    assert!(get(port, "/v1/config", "0123456789abcdef").starts_with("HTTP/1.1 404 "));
}

/// A webhook over HTTPS, by Python: prints its port, then each body that it got.
struct Secured {
    child: std::process::Child,
    port: u16,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Secured {
    fn start(certificate: &str, key: &str) -> Self {
        use std::io::BufRead;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks/https_hook.py");
        let mut child =
            command(Peer::Python).arg(file).args([certificate, key]).stdout(Stdio::piped()).spawn().unwrap();
        let (told, lines) = std::sync::mpsc::channel();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let port = lines.recv_timeout(Duration::from_secs(20)).unwrap().parse().unwrap();
        Self { child, port, lines }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_webhook_over_https_is_one_that_this_system_trusts() {
    if !have("a_webhook_over_https", &[Peer::Python]) {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = private(&files.path().join("hook.crt"), &pair.cert.pem());
    let key = private(&files.path().join("hook.key"), &pair.signing_key.serialize_pem());
    let hook = Secured::start(&certificate, &key);
    let tables = format!("[events]\nwebhook = \"https://localhost:{}/\"\n", hook.port);
    let mut daemon = Daemon::prepare(&DaemonOptions { tables, ..DaemonOptions::default() });
    daemon.run();
    deliver(daemon.ports().smtp, &["r@example.org"]);
    let refused =
        || daemon.log().lines().any(|line| line.contains("webhook_failed") && line.contains("certificate"));
    assert!(eventually(Duration::from_secs(20), refused), "{}", daemon.log());
    assert!(hook.lines.try_recv().is_err(), "a stranger was told");
    // What waits is told once the system trusts it.
    daemon.kill();
    daemon.set_environment("SSL_CERT_FILE", &certificate);
    daemon.run();
    let body = hook.lines.recv_timeout(Duration::from_secs(30)).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((body["event"].as_str(), body["domain"].as_str()), (Some("mail-held"), Some("example.org")));
}
