//! swaks, smtp-source, smtp-sink, fetchmail and Postfix: what a user would have on the other side.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Peer, Postfix, Sink, command, connect, eventually, have, run_peer,
    sample, without_received,
};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn swaks_sends_and_every_octet_arrives() {
    if !have("swaks_sends_and_every_octet_arrives", &[Peer::Swaks]) {
        return;
    }
    let listen = "tls = \"starttls\"".into();
    let daemon = Daemon::start(&DaemonOptions { listen, top: String::new(), ..DaemonOptions::default() });
    let file = daemon.dir().join("message");
    let content = sample(3, 20_000);
    std::fs::write(&file, &content).expect("the message can be written");
    let server = format!("127.0.0.1:{}", daemon.ports().smtp);
    for flags in [&[][..], &["--pipeline"], &["--tls"], &["--protocol", "SMTP"]] {
        let mut swaks = command(Peer::Swaks);
        swaks.args([
            "--server",
            &server,
            "--from",
            "a@sender.example",
            "--to",
            "b@example.org",
            "--helo",
            "client.example",
        ]);
        swaks.args(flags).arg("--data").arg(format!("@{}", file.display()));
        let output = run_peer(&mut swaks, LIMIT);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "swaks {flags:?}: {said}");
    }
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    connect(daemon.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 4 pending");
    assert!(eventually(LIMIT, || sink.count() == 4));
    let with_tls = sink
        .accepted()
        .iter()
        .filter(|message| String::from_utf8_lossy(&message.content).contains("ESMTPS"))
        .count();
    assert_eq!(with_tls, 1, "the Received line says which one came over TLS");
    for message in sink.accepted() {
        let got = without_received(&message.content);
        // swaks ends the data with an empty line of its own when the file ends with a line end.
        let got = got.strip_suffix(b"\r\n").filter(|shorter| *shorter == content).unwrap_or(&got);
        assert!(got == content, "{:?}", String::from_utf8_lossy(got));
    }
}

#[test]
fn smtp_source_into_the_queue_and_smtp_sink_out_of_it() {
    if !have("smtp_source_into_the_queue_and_smtp_sink_out_of_it", &[Peer::SmtpSource, Peer::SmtpSink]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    let server = format!("inet:127.0.0.1:{}", daemon.ports().smtp);
    for flags in [&["-d"][..], &[]] {
        let mut source = command(Peer::SmtpSource);
        source.args(flags).args(["-s", "20", "-m", "500", "-l", "4096"]);
        source.args(["-f", "a@sender.example", "-t", "b@example.org", "-M", "client.example", &server]);
        let output = run_peer(&mut source, LIMIT);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(daemon.waiting("example.org"), 1000);
    let dump = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(dump.path(), std::fs::Permissions::from_mode(0o777))
        .expect("a directory of our own");
    let mut sink = command(Peer::SmtpSink);
    sink.current_dir(dump.path()).args(["-d", "m."]);
    if nix::unistd::geteuid().is_root() {
        sink.args(["-u", "nobody"]);
    }
    let address = format!("127.0.0.1:{}", daemon.ports().org);
    let mut sink = sink.args([&address, "100"]).stdout(Stdio::null()).spawn().expect("smtp-sink starts");
    let up = eventually(LIMIT, || std::net::TcpStream::connect(&address).is_ok());
    assert!(up, "smtp-sink does not listen");
    connect(daemon.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 1000 pending");
    let emptied = eventually(LIMIT, || daemon.waiting("example.org") == 0);
    let _ = sink.kill();
    let _ = sink.wait();
    assert!(emptied, "{} left", daemon.waiting("example.org"));
    let files: Vec<_> = std::fs::read_dir(dump.path()).expect("it can be read").flatten().collect();
    let whole = files
        .iter()
        .filter(|file| std::fs::read(file.path()).is_ok_and(|content| content.len() > 4096))
        .count();
    assert_eq!(whole, 1000, "each message once, whole");
}

/// Runs fetchmail's ETRN mode for these domains; its exit code and everything it said.
fn fetchmail(daemon: &Daemon, domains: &str) -> (Option<i32>, String) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let rc = home.path().join("rc");
    let port = daemon.ports().smtp;
    let text = format!("poll 127.0.0.1 protocol ETRN service {port} fetchdomains {domains} sslproto ''\n");
    std::fs::write(&rc, text).expect("the file can be written");
    std::fs::set_permissions(&rc, std::fs::Permissions::from_mode(0o600)).expect("a file of our own");
    let mut fetchmail = command(Peer::Fetchmail);
    fetchmail
        .arg("-f")
        .arg(&rc)
        .args(["-v", "--nosyslog"])
        .arg("--pidfile")
        .arg(home.path().join("pid"))
        .env("HOME", home.path())
        .env("FETCHMAILHOME", home.path());
    // As root it would use one pid file for the whole machine, and refuse to run twice.
    fetchmail.arg("--pidfile").arg(home.path().join("pid"));
    let output = run_peer(&mut fetchmail, LIMIT);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn fetchmail_asks_for_both_of_its_domains() {
    if !have("fetchmail_asks_for_both_of_its_domains", &[Peer::Fetchmail]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    // Nothing waits for the first: an honest 251 would stop fetchmail before the second.
    let content = sample(5, 3000);
    client.send("a@sender.example", &["b@example.com"], &content);
    let sink = Sink::start(daemon.ports().com, Behaviour::default());
    let (code, said) = fetchmail(&daemon, "example.org example.com");
    assert!(matches!(code, Some(0 | 1)), "fetchmail ended with {code:?}: {said}");
    assert!(eventually(LIMIT, || sink.count() == 1), "nothing came; fetchmail: {said}");
    assert!(without_received(&sink.accepted()[0].content) == content);
}

#[test]
fn fetchmail_without_the_right_is_refused() {
    if !have("fetchmail_without_the_right_is_refused", &[Peer::Fetchmail]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions {
        org: "etrn-from = [\"192.0.2.1\"]".into(),
        ..DaemonOptions::default()
    });
    let (code, said) = fetchmail(&daemon, "example.org");
    assert_eq!(code, Some(3), "459 is a failure of authorisation to fetchmail: {said}");
    assert!(daemon.log().contains("etrn-from"), "the log says which line would allow it");
}

#[test]
fn postfix_is_the_primary() {
    if !have("postfix_is_the_primary", &[Peer::Postfix]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    let sent: Vec<_> = (0..60).map(|seed| sample(seed, 500 + seed * 301)).collect();
    for content in &sent {
        client.send("a@sender.example", &["b@example.org"], content);
    }
    let postfix = Postfix::start_on(daemon.ports().org);
    client.expect("ETRN example.org", "253 2.0.0 OK, 60 pending");
    assert!(
        eventually(LIMIT, || daemon.waiting("example.org") == 0),
        "{} wait",
        daemon.waiting("example.org")
    );
    assert!(
        eventually(LIMIT, || postfix.mailbox().len() == 60),
        "{} in the mailbox",
        postfix.mailbox().len()
    );
    let files = postfix.mailbox();
    let mut arrived: Vec<_> =
        files.iter().map(|file| without_received(&Postfix::as_received(file))).collect();
    let mut sent = sent;
    arrived.sort();
    sent.sort();
    assert!(arrived == sent, "byte for byte, each once");
}
