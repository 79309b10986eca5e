//! The administrator sees and steers everything from the command line.

use std::time::Duration;

use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Sink, connect, eventually, sample, without_received,
};

const LONG: Duration = Duration::from_secs(20);

fn filled(count: usize) -> Daemon {
    let daemon = Daemon::start(&DaemonOptions::default());
    fill(&daemon, "example.org", 0..count);
    daemon
}

fn fill(daemon: &Daemon, domain: &str, range: std::ops::Range<usize>) {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for seed in range {
        let reply = client.send("a@sender.example", &[&format!("b{seed}@{domain}")], &sample(seed, 600));
        assert!(reply.starts_with("250"), "{reply}");
    }
}

fn ok(daemon: &Daemon, args: &[&str]) -> String {
    let output = daemon.admin(args);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn status_list_and_show() {
    let daemon = filled(3);
    let table = ok(&daemon, &["status"]);
    assert!(
        table.contains("example.org") && table.contains("example.com"),
        "empty domains are shown too: {table}"
    );
    let status = &daemon.json(&["status", "example.org"])[0];
    for key in
        ["domain", "mode", "messages", "bytes", "oldest", "newest", "held", "next_attempt", "last_drain"]
    {
        assert!(status.get(key).is_some(), "status has no {key}: {status}");
    }
    assert_eq!(status["messages"], 3);
    assert_eq!(status["mode"], "on-demand");
    let entries = daemon.json(&["list", "--to", "b1@"]);
    assert_eq!(entries.len(), 1);
    let id = entries[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(daemon.json(&["show", &id])[0]["id"], entries[0]["id"]);
    let shown = daemon.admin(&["show", &id, "--content"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Subject: sample 1"));
    assert!(daemon.json(&["list", "--larger", "1 MB"]).is_empty());
    assert_eq!(daemon.json(&["list", "--younger", "1h", "--from", "a@sender"]).len(), 3);
    let unknown = daemon.admin(&["show", "01890a5d-ac96-774b-bcce-b302099a8057"]);
    assert!(!unknown.status.success());
    assert_eq!(daemon.admin(&["list", "--state", "nonsense"]).status.code(), Some(64));
}

#[test]
fn hold_release_delete_restore_and_flush() {
    let daemon = filled(5);
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    ok(&daemon, &["hold", "example.org", "--reason", "the primary is moving"]);
    let mut client = connect(daemon.ports().smtp);
    client.expect("ETRN example.org", "458 4.3.0");
    assert!(ok(&daemon, &["status"]).contains("moving"));
    ok(&daemon, &["release", "example.org"]);

    let id = daemon.json(&["list"])[2]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        daemon.admin(&["delete", "--reason", "nothing chosen"]).status.code(),
        Some(64),
        "no filter, no deletion"
    );
    ok(&daemon, &["delete", "--id", &id, "--reason", "spam", "--dry-run"]);
    assert_eq!(daemon.waiting("example.org"), 5);
    ok(&daemon, &["delete", "--id", &id, "--reason", "spam", "--yes"]);
    assert_eq!(daemon.waiting("example.org"), 4);
    assert_eq!(daemon.json(&["list", "--state", "deleted"]).len(), 1);
    ok(&daemon, &["restore", &id]);
    assert_eq!(daemon.waiting("example.org"), 5);
    ok(&daemon, &["delete", "--id", &id, "--reason", "spam", "--yes"]);

    let other = daemon.json(&["list"])[0]["id"].as_str().expect("an id").to_owned();
    ok(&daemon, &["hold", "--id", &other, "--reason", "look at it first"]);
    ok(&daemon, &["flush", "example.org"]);
    assert!(eventually(LONG, || sink.count() == 3), "{} arrived", sink.count());
    ok(&daemon, &["release", "--id", &other]);
    ok(&daemon, &["flush", "example.org"]);
    assert!(eventually(LONG, || sink.count() == 4), "{} arrived", sink.count());
    let status = &daemon.json(&["status", "example.org"])[0];
    assert_eq!(status["messages"], 0);
    assert!(status["last_drain"]["delivered"].as_u64() >= Some(1), "{status}");
}

#[test]
fn holds_and_states_survive_a_restart_and_a_lost_index() {
    let mut daemon = filled(6);
    fill(&daemon, "example.com", 0..2);
    let ids: Vec<_> = daemon
        .json(&["list", "--domain", "example.org"])
        .iter()
        .map(|e| e["id"].as_str().expect("an id").to_owned())
        .collect();
    ok(&daemon, &["hold", "example.com", "--reason", "later"]);
    ok(&daemon, &["hold", "--id", &ids[0], "--reason", "suspicious"]);
    ok(&daemon, &["delete", "--id", &ids[1], "--reason", "spam", "--yes"]);
    let before = daemon.json(&["list", "--domain", "example.org"]);
    let index = daemon.data_dir().join("index");
    assert!(index.exists(), "the index is where the documents say");
    let waiting = daemon.waiting("example.org");
    daemon.kill();
    std::fs::remove_dir_all(&index).expect("the index can be removed");
    daemon.run();
    assert!(
        eventually(LONG, || daemon.waiting("example.org") == waiting),
        "the queue is rebuilt from the log"
    );
    let after = daemon.json(&["list", "--domain", "example.org"]);
    let key = |list: &[serde_json::Value]| {
        list.iter().map(|e| (e["id"].to_string(), e["state"].to_string())).collect::<Vec<_>>()
    };
    assert_eq!(key(&before), key(&after));
    assert!(daemon.json(&["status", "example.com"])[0]["held"] != serde_json::Value::Null);
    ok(&daemon, &["restore", &ids[1]]);
    ok(&daemon, &["release", "--id", &ids[0]]);
    assert_eq!(daemon.stop(), Some(0));
    daemon.run();
    assert_eq!(daemon.waiting("example.org"), 6);
}

#[test]
fn export_and_spool_export_give_the_same_octets() {
    let mut daemon = filled(4);
    let out = daemon.dir().join("out");
    ok(
        &daemon,
        &[
            "export",
            "--domain",
            "example.org",
            "--format",
            "eml",
            "--output",
            out.to_str().expect("a path in UTF-8"),
        ],
    );
    let mut exported: Vec<_> = std::fs::read_dir(&out)
        .expect("the directory is there")
        .flatten()
        .map(|file| std::fs::read(file.path()).expect("a file"))
        .collect();
    exported.sort();
    let mut expected: Vec<_> = (0..4).map(|seed| sample(seed, 600)).collect();
    expected.sort();
    assert_eq!(exported.iter().map(|content| without_received(content)).collect::<Vec<_>>(), expected);

    assert_eq!(daemon.stop(), Some(0));
    let offline = daemon.dir().join("offline");
    ok(&daemon, &["spool", "verify"]);
    ok(&daemon, &["spool", "export", offline.to_str().expect("a path in UTF-8")]);
    let files: Vec<_> = std::fs::read_dir(&offline)
        .expect("the directory is there")
        .flatten()
        .map(|file| file.path())
        .collect();
    let mut mails: Vec<_> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "eml"))
        .map(|path| std::fs::read(path).expect("a file"))
        .collect();
    mails.sort();
    assert!(mails == exported, "from the log alone, without the index");
    assert_eq!(files.len(), 8, "an envelope beside each");
}

#[test]
fn a_backup_starts_with_every_domain_on_hold() {
    let daemon = filled(5);
    let copy = daemon.dir().join("copy");
    ok(&daemon, &["backup", copy.to_str().expect("a path in UTF-8")]);
    let restored = Daemon::start(&DaemonOptions { data_dir: Some(copy), ..DaemonOptions::default() });
    assert!(eventually(LONG, || restored.waiting("example.org") == 5));
    connect(restored.ports().smtp).expect("ETRN example.org", "458 4.3.0");
    ok(&restored, &["release", "example.org"]);
    let sink = Sink::start(restored.ports().org, Behaviour::default());
    connect(restored.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 5 pending");
    assert!(eventually(LONG, || sink.count() == 5));
}

#[test]
fn health_and_a_daemon_that_is_not_there() {
    let mut daemon = filled(1);
    assert_eq!(daemon.admin(&["health"]).status.code(), Some(0));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(daemon.admin(&["health"]).status.code(), Some(2));
    let output = daemon.admin(&["status"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("restante serve"), "it says how to start");
}

#[test]
fn expired_mail_is_parked_not_lost() {
    let daemon =
        Daemon::start(&DaemonOptions { org: "retention = \"1s\"".into(), ..DaemonOptions::default() });
    fill(&daemon, "example.org", 0..2);
    // A moment after it expired it is decided that the sender, whom nobody vouches for, gets no notice.
    let parked = eventually(Duration::from_secs(90), || {
        let listed = |state| daemon.json(&["list", "--state", state]).len();
        listed("expired") + listed("dead") == 2
    });
    assert!(parked, "{:?}", daemon.json(&["list"]));
    assert_eq!(daemon.waiting("example.org"), 0);
    assert!(daemon.log().contains("expired"));
}
