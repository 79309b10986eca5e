//! What an administrator asks when mail does not leave, over the command line, of a real daemon.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Exim, EximOptions, Peer, Sink, binary, command, connect, eventually,
    free_port, have, run_peer, sample,
};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(20);

fn fill(daemon: &Daemon, domain: &str, count: usize) {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for seed in 0..count {
        let reply = client.send("a@sender.example", &[&format!("b{seed}@{domain}")], &sample(seed, 600));
        assert!(reply.starts_with("250"), "{reply}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn ok(daemon: &Daemon, args: &[&str]) -> String {
    let output = daemon.admin(args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

#[test]
fn the_route_of_a_pinned_primary_and_of_one_that_nobody_knows() {
    let tables = "[[domain]]\nname = \"looked.example\"\n".to_owned();
    let org = "source-address = [\"127.0.0.9\"]\ntls-policy = \"require\"\n".to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, org, ..DaemonOptions::default() });
    let address = format!("127.0.0.1:{}", daemon.ports().org);
    let route = &daemon.json(&["route", "example.org"])[0];
    assert_eq!(route["hops"][0]["address"], address.as_str(), "{route}");
    assert_eq!(route["hops"][0]["source"], "127.0.0.9", "{route}");
    assert_eq!(route["tls_policy"], "require");
    assert!(route["hops"][0]["tls"].as_str().is_some_and(|tls| tls.contains("encrypted")), "{route}");
    assert_eq!(route["resolvers"][0], "127.0.0.1:9", "those of [dns]");
    let shown = ok(&daemon, &["route", "example.org"]);
    assert!(shown.contains(&address) && shown.contains("tls-policy    require"), "{shown}");
    // The DNS of these daemons is a port where nobody is.
    let nowhere = daemon.admin(&["route", "looked.example"]);
    assert_eq!(nowhere.status.code(), Some(75), "{}", said(&nowhere));
    assert!(said(&nowhere).contains("No way now: "), "{}", said(&nowhere));
    let unknown = daemon.admin(&["route", "elsewhere.example"]);
    assert_eq!(unknown.status.code(), Some(65));
    assert!(said(&unknown).contains("configured: example.com, example.org"), "{}", said(&unknown));
}

#[test]
fn why_nothing_left_is_told_with_what_was_said() {
    let daemon = Daemon::start(&DaemonOptions::default());
    assert!(ok(&daemon, &["why", "example.org"]).contains("No attempt for example.org has failed"));
    assert!(daemon.json(&["why", "example.org"]).is_empty());
    fill(&daemon, "example.org", 1);
    // A primary that turns everybody away at the door.
    let listener = TcpListener::bind(("127.0.0.1", daemon.ports().org)).expect("the port is free");
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20) {
            let Ok(mut stream) = stream else { break };
            let _ = stream.write_all(b"554 5.3.2 closed \x1b[31mfor repair\r\n");
            let _ = stream.read(&mut [0; 512]);
        }
    });
    let _left = daemon.admin(&["flush", "example.org"]);
    assert!(eventually(LONG, || !daemon.json(&["why", "example.org"]).is_empty()));
    let why = &daemon.json(&["why", "example.org"])[0];
    let (verdict, hop) =
        (why["verdict"].as_str().unwrap_or_default(), why["hop"].as_str().unwrap_or_default());
    assert!(hop.contains(&format!("[127.0.0.1]:{}", daemon.ports().org)), "{why}");
    assert!(!verdict.is_empty(), "{why}");
    let dialogue = why["dialogue"].as_array().expect("a dialogue");
    let greeted =
        |line: &Value| line["by"] == "server" && line["text"].as_str().is_some_and(|t| t.starts_with("554"));
    assert!(dialogue.iter().any(greeted), "{why}");
    let shown = ok(&daemon, &["why", "example.org"]);
    assert!(shown.contains("S: 554 5.3.2 closed ") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_client_is_explained_as_it_is_answered() {
    let tables = "[[domain]]\nname = \"small.example\"\nquota = \"10 B\"\n".to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    fill(&daemon, "small.example", 1);
    let before = daemon.json(&["list"]).len();
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    for (recipient, code, rule) in [
        ("a@example.org", 0, "held"),
        ("a@elsewhere.example", 65, "not-held"),
        ("a@small.example", 75, "quota"),
        ("\u{fc}@example.org", 65, "smtputf8"),
    ] {
        let args = ["explain", "rcpt", recipient, "--client", "192.0.2.7", "--from", "a@sender.example"];
        let output = daemon.admin(&args);
        assert_eq!(output.status.code(), Some(code), "{recipient}: {}", said(&output));
        assert!(said(&output).contains(&format!("rule {rule}: ")), "{}", said(&output));
        if recipient.is_ascii() {
            let heard = client.say(&format!("RCPT TO:<{recipient}>"));
            let told = said(&output);
            assert_eq!(told.lines().next(), Some(heard.trim_end()), "{recipient}");
        }
    }
    let json = &daemon.json(&["explain", "rcpt", "postmaster", "--client", "::1"])[0];
    assert_eq!(
        (&json["accepted"], &json["domain"]),
        (&Value::Bool(true), &Value::from("example.org")),
        "{json}"
    );
    assert_eq!(
        daemon.admin(&["explain", "rcpt", "no address", "--client", "192.0.2.7"]).status.code(),
        Some(64)
    );
    assert_eq!(daemon.json(&["list"]).len(), before, "nothing is stored");
}

#[test]
fn a_hold_ends_on_its_own_and_stops_the_clock() {
    let daemon = Daemon::start(&DaemonOptions::default());
    fill(&daemon, "example.org", 1);
    let expires = |daemon: &Daemon| daemon.json(&["list"])[0]["expires"].as_str().map(str::to_owned);
    let before = expires(&daemon);
    let told =
        ok(&daemon, &["hold", "example.org", "--until", "2h", "--pause-retention", "--reason", "repair"]);
    assert!(told.starts_with("Held 1 domain until ") && told.contains("retention paused"), "{told}");
    let hold = &daemon.json(&["status", "example.org"])[0]["hold"];
    assert_eq!(
        (&hold["kind"], &hold["retention_paused"]),
        (&Value::from("operator"), &Value::Bool(true)),
        "{hold}"
    );
    assert!(hold["until"].is_string(), "{hold}");
    let shown = ok(&daemon, &["status", "example.org"]);
    assert!(shown.contains("until         ") && shown.contains("retention     paused"), "{shown}");
    // Two hours of standing still, known beforehand, are two hours more.
    assert!(expires(&daemon) > before, "{:?} {before:?}", expires(&daemon));
    ok(&daemon, &["release", "example.org"]);
    assert_eq!(daemon.admin(&["hold", "example.org", "--until", "2001-01-01"]).status.code(), Some(64));
    let filter = ["hold", "--domain", "example.org", "--until", "2h"];
    assert_eq!(daemon.admin(&filter).status.code(), Some(64));
}

#[test]
fn a_reset_forgets_the_history_of_attempts() {
    let org = "mode = \"push\"\nretry = [\"1h\"]\n".to_owned();
    let daemon = Daemon::start(&DaemonOptions { org, ..DaemonOptions::default() });
    fill(&daemon, "example.org", 2);
    let attempts = |daemon: &Daemon| {
        let entries = daemon.json(&["list", "--domain", "example.org"]);
        entries.iter().filter_map(|entry| entry["recipients"][0]["attempts"].as_u64()).sum::<u64>()
    };
    assert!(eventually(LONG, || attempts(&daemon) > 0), "nobody is there to take it");
    assert!(daemon.json(&["status", "example.org"])[0]["next_attempt"].is_string());
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    ok(&daemon, &["flush", "--reset", "example.org"]);
    assert!(eventually(LONG, || sink.count() == 2), "{} arrived", sink.count());
    assert_eq!(daemon.json(&["list"]).len(), 0);
}

#[test]
fn a_reset_alone_leaves_no_attempts_behind() {
    let daemon = Daemon::start(&DaemonOptions::default());
    fill(&daemon, "example.org", 1);
    let attempts = |daemon: &Daemon| daemon.json(&["list"])[0]["recipients"][0]["attempts"].as_u64();
    let _left = daemon.admin(&["flush", "example.org"]);
    assert!(eventually(LONG, || attempts(&daemon) >= Some(1)));
    let _left = daemon.admin(&["flush", "example.org"]);
    assert!(eventually(LONG, || attempts(&daemon) >= Some(2)));
    let _left = daemon.admin(&["flush", "--reset", "example.org"]);
    assert!(eventually(LONG, || attempts(&daemon) == Some(1)), "{:?}", attempts(&daemon));
}

#[test]
fn show_says_whether_the_sender_is_vouched_for() {
    let daemon = Daemon::start(&DaemonOptions::default());
    fill(&daemon, "example.org", 1);
    let entry = &daemon.json(&["list"])[0];
    let id = entry["id"].as_str().expect("an id");
    assert!(entry["vouched"].is_string(), "{entry}");
    assert!(ok(&daemon, &["show", id]).contains("vouched       "));
}

fn http(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the admin socket");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn what_a_path_names_wrong_is_refused_as_json() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let socket = daemon.dir().join("run/admin.sock");
    for path in ["/v1/messages/nonsense", "/v1/messages/%ff", "/v1/domains/a..b/route", "/v1/domains/%ff/why"]
    {
        let answer = http(&socket, path);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(answer.to_lowercase().contains("content-type: application/json"), "{path}: {answer}");
        assert!(answer.contains("\"code\":\"bad-request\""), "{path}: {answer}");
    }
}

#[test]
fn idle_connections_do_not_keep_the_operator_out() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let socket = daemon.dir().join("run/admin.sock");
    let idle: Vec<UnixStream> =
        (0..64).map(|_| UnixStream::connect(&socket).expect("the admin socket")).collect();
    let started = std::time::Instant::now();
    ok(&daemon, &["status"]);
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    drop(idle);
}

#[test]
fn a_damaged_list_of_known_domains_is_kept_and_told() {
    let mut daemon = Daemon::start(&DaemonOptions::default());
    daemon.kill();
    let file = daemon.data_dir().join("known-domains.json");
    std::fs::write(&file, "{ this is no list").expect("it can be written");
    daemon.run();
    let health = said(&daemon.admin(&["health"]));
    assert!(health.contains("known-domains.json.damaged"), "{health}");
    let aside = daemon.data_dir().join("known-domains.json.damaged");
    assert_eq!(std::fs::read_to_string(aside).expect("it is kept"), "{ this is no list");
}

/// A configuration whose primary shall trust us in every way there is.
fn trusting(dir: &Path) -> std::path::PathBuf {
    let file = dir.join("restante.toml");
    let text = "hostname = \"mx2.example.net\"\nown-addresses = [\"2001:db8::9\"]\n[[domain]]\nname = \"example.org\"\n\
                primary = \"[192.0.2.1]\"\nsource-address = [\"192.0.2.9\"]\nforward-client = \"xclient\"\n\
                authentication-results = true\n";
    std::fs::write(&file, text).expect("it can be written");
    file
}

fn snippet(config: &Path, server: &str, more: &[&str]) -> String {
    let output = Command::new(binary())
        .args(["trust-snippet", "example.org", "--for", server, "--config"])
        .arg(config)
        .args(more)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn postfix_understands_what_it_is_told() {
    if !have("postfix_understands_what_it_is_told", &[Peer::Postfix]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = snippet(&trusting(dir.path()), "postfix", &[]);
    let base = "compatibility_level = 3.6\nqueue_directory = /var/spool/postfix\n";
    std::fs::write(dir.path().join("main.cf"), format!("{base}{text}")).expect("main.cf");
    std::fs::write(dir.path().join("master.cf"), "smtp inet n - n - - smtpd\n").expect("master.cf");
    let ask = |args: &[&str]| {
        let asked = Command::new("/usr/sbin/postconf").arg("-c").arg(dir.path()).args(args).output();
        asked.expect("postconf starts")
    };
    let known = ask(&["-n"]);
    assert!(known.status.success() && known.stderr.is_empty(), "{}", said(&known));
    let known = said(&known);
    for parameter in [
        "postscreen_access_list = permit_mynetworks, cidr:{{192.0.2.9/32 permit}, {2001:db8::9/128 permit}}",
        "smtpd_authorized_xclient_hosts = 192.0.2.9, [2001:db8::9]",
    ] {
        assert!(known.contains(parameter), "{parameter}: {known}");
    }
    // The table itself is asked, as the server would ask it.
    for (address, answer) in [("192.0.2.9", "permit"), ("2001:db8::9", "permit"), ("192.0.2.10", "")] {
        let table = "cidr:{{192.0.2.9/32 permit}, {2001:db8::9/128 permit}}";
        assert!(text.contains(&format!("check_client_access {table}")), "{text}");
        let found = Command::new("/usr/sbin/postmap")
            .arg("-c")
            .arg(dir.path())
            .args(["-q", address, table])
            .output()
            .expect("postmap");
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), answer, "{address}: {}", said(&found));
    }
}

/// Rspamd's tool with this file beside what the text says for Greylist and Ratelimit, in a place of its own.
fn rspamadm(dir: &Path, relay: &str, others: &[(&str, &str)], args: &[&str]) -> Output {
    let mut rspamadm = command(Peer::Rspamd);
    let program = Path::new(rspamadm.get_program()).to_owned();
    let root = program.ancestors().nth(3).expect("it lies in usr/bin").to_owned();
    let (share, local) = (root.join("usr/share/rspamd"), dir.join("local.d"));
    std::fs::create_dir_all(&local).expect("a directory");
    // It would ask the world for its servers.
    let mut files = vec![("fuzzy_check.conf", "enabled = false;"), ("external_relay.conf", relay)];
    files.extend(others);
    for (name, text) in files {
        std::fs::write(local.join(name), text).expect("a file");
    }
    let languages = format!("lang_detection {{ languages = \"{}/languages\"; }}", share.display());
    std::fs::write(dir.join("rspamd.conf.local"), languages).expect("a file");
    let places = [
        ("CONFDIR", root.join("etc/rspamd")),
        ("LOCAL_CONFDIR", dir.to_owned()),
        ("SHAREDIR", share.clone()),
        ("RULESDIR", share.join("rules")),
        ("LUALIBDIR", share.join("lualib")),
        ("PLUGINSDIR", share.join("plugins")),
        ("DBDIR", dir.to_owned()),
        ("RUNDIR", dir.to_owned()),
        ("LOGDIR", dir.to_owned()),
    ];
    rspamadm.env("LD_LIBRARY_PATH", root.join("usr/lib/rspamd"));
    rspamadm.args(places.map(|(name, path)| format!("--var={name}={}", path.display())));
    rspamadm.args(args);
    // What it says about itself needs none.
    if args != ["-V"] {
        rspamadm.arg("-c").arg(root.join("etc/rspamd/rspamd.conf"));
    }
    run_peer(&mut rspamadm, Duration::from_secs(120))
}

#[test]
fn rspamd_understands_what_it_is_told() {
    if !have("rspamd_understands_what_it_is_told", &[Peer::Rspamd]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = snippet(&trusting(dir.path()), "rspamd", &[]);
    let parts: Vec<(&str, &str)> = text
        .split("# --- /etc/rspamd/local.d/")
        .skip(1)
        .map(|part| part.split_once('\n').expect("a name and a text"))
        .collect();
    let [("external_relay.conf", relay), others @ ..] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!(others.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["greylist.conf", "ratelimit.conf"]);
    // What the text says to do where the program is older than the usual strategy.
    let older: String =
        relay.lines().filter(|line| !line.contains("ip_map")).map(|line| format!("{line}\n")).collect();
    let older = older.replace("#strategy", "strategy").replace("#hostname_map", "hostname_map");
    let test = |relay: &str| rspamadm(dir.path(), relay, others, &["configtest", "-s"]);
    let (usual, old) = (test(relay), test(&older));
    assert!(old.status.success(), "{}", said(&old));
    if !usual.status.success() {
        let version = said(&rspamadm(dir.path(), relay, others, &["-V"]));
        let number = version
            .split_whitespace()
            .find_map(|word| word.strip_prefix("3.")?.split('.').next()?.parse::<u32>().ok());
        assert!(number.is_some_and(|number| number < 6), "{version}: {}", said(&usual));
        assert!(said(&usual).contains("config schema error"), "as the text says: {}", said(&usual));
    }
    // It judges: a word that no version knows is found out.
    assert!(!test(&older.replace("\"hostname_map\"", "\"a_map\"")).status.success());
    let shown = said(&rspamadm(
        dir.path(),
        &older,
        others,
        &["configdump", "external_relay", "greylist", "ratelimit"],
    ));
    assert_eq!(shown.matches("\"192.0.2.9\"").count(), 2, "{shown}");
    assert!(
        shown.contains("\"mx2.example.net\"") && shown.contains("strategy = \"hostname_map\""),
        "{shown}"
    );
}

/// The forged field is not the first one.
const FORGED: &[u8] = b"Authentication-Results: other.example; none\r\n\
    Authentication-Results: (of) mx2.example.net; spf=pass\r\nSubject: x\r\n\r\nx\r\n";

/// An Exim that was told what the text says, and refuses everybody behind it at RCPT if it is `strict`.
fn told_exim(address: &str, strict: bool) -> Exim {
    let dir = tempfile::tempdir().expect("a directory");
    let text = snippet(&trusting(dir.path()), "exim", &["--address", address]);
    let (main, acls) = text.split_once("# --- first in the ACL").expect("two parts");
    let (rcpt, data) = acls.split_once("# --- in the ACL of acl_smtp_data").expect("three parts");
    let below = |part: &str| part.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    let behind = if strict { "\n  defer message = greylisted\n" } else { "" };
    let rcpt = below(rcpt) + behind;
    let options = EximOptions { main: main.to_owned(), rcpt, data: below(data) };
    Exim::start(([127, 0, 0, 1], free_port()).into(), "example.org", &options)
}

/// What one message from loopback became.
fn received(exim: &Exim) -> String {
    let mut client = connect(exim.port());
    client.expect("EHLO mx2.example.net", "250");
    let reply = client.send("a@sender.example", &["b@example.org"], FORGED);
    assert!(reply.starts_with("250"), "{reply}; {}", exim.log());
    assert!(eventually(LONG, || exim.mailbox().len() == 1), "{}", exim.log());
    std::fs::read_to_string(&exim.mailbox()[0]).expect("a delivered file")
}

#[test]
fn exim_does_what_it_is_told() {
    if !have("exim_does_what_it_is_told", &[Peer::Exim]) {
        return;
    }
    let trusting = told_exim("127.0.0.1", true);
    assert!(received(&trusting).contains("Authentication-Results: (of) mx2.example.net"));
    let mut client = connect(trusting.port());
    client.expect("EHLO mx2.example.net", "250");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("RCPT TO:<b@elsewhere.example>", "451");
    // From anybody else such a field is a forgery.
    let strange = told_exim("127.0.0.9", false);
    assert!(!received(&strange).contains("Authentication-Results:"));
    let strict = told_exim("127.0.0.9", true);
    let mut client = connect(strict.port());
    client.expect("EHLO mx2.example.net", "250");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("RCPT TO:<b@example.org>", "451");
}
