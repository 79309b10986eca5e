//! What an operator is told: by webhook, in the log, by mail, and to a monitor.

#![expect(clippy::unwrap_used, reason = "a test says loudly what is wrong")]

#[path = "alarms/hook.rs"]
mod hook;
#[path = "alarms/monitor.rs"]
mod monitor;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Peer, Sink, command, connect, eventually, have, sample,
};
use serde_json::Value;

use hook::{Hook, SECRET};
use monitor::Monitor;

const LONG: Duration = Duration::from_secs(90);

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

/// What an event is about: its kind, and its domain unless that is the server.
fn parted(event: &str) -> (&str, Option<&str>) {
    let words: Vec<&str> = event.split(' ').collect();
    (words[0], Some(words[1]).filter(|domain| *domain != "-"))
}

/// example.org's primary is not there, example.com's refuses everybody, loop.example's is ourselves.
fn troubled(secrets: &Path, hook: &Hook, monitor: &Monitor) -> Daemon {
    let mut tables = "circuit = [\"off\", \"1/1\"]\n".to_owned();
    let misrouted = mirror();
    let _ = write!(tables, "[[domain]]\nname = \"loop.example\"\nprimary = \"[127.0.0.1]:{misrouted}\"\n");
    tables.push_str(&hook.table(secrets));
    let mut daemon = Daemon::prepare(&DaemonOptions {
        admin: monitor.lines(),
        defaults: "uncollected-alarm = \"4s\"\nowner = \"owner@elsewhere.example\"\n".into(),
        org: "retention = \"40s\"\n".into(),
        tables,
        ..DaemonOptions::default()
    });
    ends_soon(&daemon.data_dir());
    daemon.run();
    daemon
}

/// Brings all of it about.
fn trouble(daemon: &Daemon, hook: &Hook) {
    let ports = daemon.ports();
    let refusals = vec![("", "550 5.1.1 no such user")];
    let _sink = Sink::start(ports.com, Behaviour { recipient_replies: refusals, ..Behaviour::default() });
    for domain in ["example.org", "example.com", "loop.example"] {
        deliver(ports.smtp, &[&format!("r@{domain}")]);
    }
    hook.tells("mail-held example.org opens", LONG);
    for _ in 0..4 {
        let _ = daemon.admin(&["flush", "example.org"]);
    }
    let mut client = connect(ports.smtp);
    client.expect("EHLO client.example", "250");
    client.expect("ETRN example.com", "25");
    let _ = daemon.admin(&["flush", "loop.example"]);
    // One message is near its end for a few seconds only; so one follows the other.
    let near = eventually(LONG, || {
        deliver(ports.smtp, &["r@example.org"]);
        std::thread::sleep(Duration::from_secs(3));
        hook.told().iter().any(|told| told == "retention-near example.org opens")
    });
    assert!(near, "{:#?}", hook.told());
    for event in ALL {
        hook.tells(event, LONG);
    }
}

/// Every sort that can be brought about from outside within a minute; then the server is killed and starts again.
#[test]
fn each_event_is_told_once_signed_and_not_again_after_a_crash() {
    if !have("each_event_is_told_once", &[Peer::Python, Peer::PrometheusClient]) {
        return;
    }
    let hook = Hook::start();
    let secrets = tempfile::tempdir().unwrap();
    let monitor = Monitor::new(secrets.path());
    let mut daemon = troubled(secrets.path(), &hook, &monitor);
    trouble(&daemon, &hook);
    told_by_metrics(&monitor);
    told_by_mail(&daemon);
    told_by_the_command_line(&daemon);
    told_by_the_log(&daemon);
    signed(&hook);
    once_each(&hook);
    // The primary is there again while the server is not.
    daemon.kill();
    let before = hook.told().len();
    let ports = daemon.ports();
    let sink = Sink::start(ports.org, Behaviour::default());
    daemon.run();
    deliver(ports.smtp, &["r@example.org"]);
    let _ = daemon.admin(&["flush", "example.org"]);
    hook.tells("primary-up example.org closes", LONG);
    let fresh: Vec<String> = hook.told().split_off(before);
    assert!(fresh.iter().all(|told| told.ends_with("closes")), "told again after a crash: {fresh:#?}");
    assert!(!sink.accepted().is_empty());
    let closed = || logged(&daemon, "alarm_closed", &[("alarm", "primary-down"), ("domain", "example.org")]);
    assert!(eventually(LONG, || closed() > 0), "{}", daemon.log());
    assert_eq!(closed(), 1, "{}", daemon.log());
    told_by_the_log(&daemon);
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

/// How often the log tells of this.
fn logged(daemon: &Daemon, event: &str, fields: &[(&str, &str)]) -> usize {
    let log = daemon.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is = |line: &Value| fields.iter().all(|(name, value)| line[*name] == *value);
    lines.filter(|line| line["event"] == event && is(line)).count()
}

/// Each once, also over a restart.
fn told_by_the_log(daemon: &Daemon) {
    for event in ALL {
        let (kind, domain) = parted(event);
        let mut fields = vec![("alarm", kind)];
        fields.extend(domain.map(|domain| ("domain", domain)));
        let opened = || logged(daemon, "alarm_opened", &fields);
        assert!(eventually(LONG, || opened() > 0), "{event}: {}", daemon.log());
        assert_eq!(opened(), 1, "{event}: {}", daemon.log());
    }
    for (event, domain) in
        [("primary_down", "example.org"), ("misrouted", "loop.example"), ("circuit_open", "example.com")]
    {
        assert_eq!(logged(daemon, event, &[("domain", domain)]), 1, "{event}: {}", daemon.log());
    }
    assert!(!daemon.log().contains(SECRET));
}

/// All of them at once, and none that is not there.
fn told_by_metrics(monitor: &Monitor) {
    let samples = monitor.samples();
    let value = |kind: &str, domain: Option<&str>| {
        let name = format!("restante_alarm_open{{domain={},event={kind}}}", domain.unwrap_or_default());
        samples[&name].as_f64().expect(&name)
    };
    for event in ALL {
        let (kind, domain) = parted(event);
        assert_eq!(value(kind, domain), 1.0, "{event}: {samples:#}");
    }
    for (kind, domain) in [("store-failing", None), ("circuit-open", Some("example.org"))] {
        assert_eq!(value(kind, domain), 0.0, "{kind}: {samples:#}");
    }
}

/// The letters that wait, by their ids: what is known already is not asked for again.
fn letters(daemon: &Daemon, known: &mut BTreeMap<String, String>) {
    for entry in daemon.json(&["list", "--domain", "elsewhere.example.notices.invalid"]) {
        assert_eq!(entry["sender"], "", "{entry}");
        let id = entry["id"].as_str().unwrap().to_owned();
        known.entry(id).or_insert_with_key(|id| {
            String::from_utf8(daemon.admin(&["show", id, "--content"]).stdout).unwrap()
        });
    }
}

fn subject(letter: &str) -> &str {
    let mut lines = letter.lines();
    lines.find_map(|line| line.strip_prefix("Subject: [mx2.example.net] ")).expect("it has a subject")
}

/// One letter of each, and each to whom it concerns.
fn told_by_mail(daemon: &Daemon) {
    let wanted = ALL.map(|event| {
        let (kind, domain) = parted(event);
        format!("{kind}: {}", domain.unwrap_or("this server"))
    });
    let mut known = BTreeMap::new();
    let times = |known: &BTreeMap<String, String>, wanted: &str| {
        known.values().filter(|letter| subject(letter) == wanted).count()
    };
    let told = eventually(LONG, || {
        letters(daemon, &mut known);
        wanted.iter().all(|wanted| times(&known, wanted) > 0)
    });
    assert!(told, "{known:#?}");
    for letter in known.values() {
        assert_eq!(times(&known, subject(letter)), 1, "{known:#?}");
        assert!(letter.contains("Auto-Submitted: auto-generated"), "{letter}");
        let to = if letter.contains("this server") { "admin@" } else { "owner@" };
        assert!(letter.contains(&format!("To: {to}elsewhere.example")), "{letter}");
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
}

/// What delivery tells of a primary, and what becomes of it.
#[test]
fn a_primary_that_goes_and_comes_back_is_logged_once_each_way() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let ports = daemon.ports();
    deliver(ports.smtp, &["r@example.org"]);
    let org = |event: &str| logged(&daemon, event, &[("domain", "example.org")]);
    let alarm = |event: &str| logged(&daemon, event, &[("alarm", "primary-down"), ("domain", "example.org")]);
    let flush = || {
        let _ = daemon.admin(&["flush", "example.org"]);
    };
    let down = || {
        flush();
        org("primary_down") > 0 && alarm("alarm_opened") > 0
    };
    assert!(eventually(LONG, down), "{}", daemon.log());
    (0..4).for_each(|_| flush());
    assert_eq!((org("primary_up"), alarm("alarm_closed")), (0, 0), "{}", daemon.log());
    let _sink = Sink::start(ports.org, Behaviour::default());
    let up = || {
        flush();
        org("primary_up") > 0 && alarm("alarm_closed") > 0
    };
    assert!(eventually(LONG, up), "{}", daemon.log());
    deliver(ports.smtp, &["r@example.org"]);
    flush();
    for times in [org("primary_down"), alarm("alarm_opened"), org("primary_up"), alarm("alarm_closed")] {
        assert_eq!(times, 1, "{}", daemon.log());
    }
}

#[test]
fn a_full_disk_is_told_until_there_is_room() {
    let hook = Hook::start();
    let secrets = tempfile::tempdir().unwrap();
    let options = |mark: &str| DaemonOptions {
        tables: format!("{}[limits]\ndisk-low-water = \"{mark}\"\n", hook.table(secrets.path())),
        ..DaemonOptions::default()
    };
    let mut daemon = Daemon::start(&options("900 TB"));
    hook.tells("disk-low - opens", LONG);
    assert_eq!(daemon.admin(&["health"]).status.code(), Some(2));
    assert!(eventually(LONG, || logged(&daemon, "alarm_not_mailed", &[("alarm", "disk-low")]) > 0));
    daemon.stop();
    daemon.configure(&options("1 MB"));
    daemon.run();
    hook.tells("disk-ok - closes", 2 * LONG);
    assert_eq!(hook.told(), ["disk-low - opens", "disk-ok - closes"]);
    assert_eq!(daemon.admin(&["health"]).status.code(), Some(0));
    // No letter could be stored while it lasted: one tells both.
    let mut known = BTreeMap::new();
    let told = eventually(LONG, || {
        letters(&daemon, &mut known);
        !known.is_empty()
    });
    assert!(told, "{}", daemon.log());
    let letters: Vec<&String> = known.values().collect();
    let [letter] = letters[..] else { panic!("{letters:#?}") };
    assert_eq!(subject(letter), "disk-ok: this server");
    assert!(letter.contains("This is over.") && letter.contains("nearly full, from "), "{letter}");
    assert_eq!(logged(&daemon, "alarm_mailed", &[("alarm", "disk-low")]), 1, "{}", daemon.log());
}

#[test]
fn a_monitor_reads_what_happened() {
    if !have("a_monitor_reads_what_happened", &[Peer::PrometheusClient]) {
        return;
    }
    let secrets = tempfile::tempdir().unwrap();
    let monitor = Monitor::new(secrets.path());
    let daemon = Daemon::start(&DaemonOptions {
        admin: monitor.lines(),
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
    assert!(eventually(LONG, || !sink.accepted().is_empty()));
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
    assert!(eventually(LONG, || agrees(&monitor.samples())), "{:#}", monitor.samples());
    let samples = monitor.samples();
    assert!(samples["restante_connections{}"].as_f64().unwrap() >= 1.0);
    assert!(samples["restante_queue_oldest_age_seconds{domain=example.com}"].as_f64().unwrap() > 0.0);
    assert!(samples["restante_queue_bytes{domain=example.com}"].as_f64().unwrap() > 3000.0);
    assert!(!samples.to_string().contains("sub.example.org"));
    assert!(monitor.get("/health").starts_with("HTTP/1.1 200 "));
    assert!(monitor.get_as("/metrics", "guessed-guessed-guessed").starts_with("HTTP/1.1 401 "));
    assert!(monitor.get("/v1/config").starts_with("HTTP/1.1 404 "));
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
        let port = lines.recv_timeout(LONG).unwrap().parse().unwrap();
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
    assert!(eventually(LONG, refused), "{}", daemon.log());
    assert!(hook.lines.try_recv().is_err(), "a stranger was told");
    // What waits is told once the system trusts it.
    daemon.kill();
    daemon.set_environment("SSL_CERT_FILE", &certificate);
    daemon.run();
    let body = hook.lines.recv_timeout(LONG).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((body["event"].as_str(), body["domain"].as_str()), (Some("mail-held"), Some("example.org")));
}
