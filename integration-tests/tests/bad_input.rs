//! Hostile and broken input against the real daemon; the dialogues of the smtp crate cover the rest in memory.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use restante_integration_tests::{
    Behaviour, Client, Daemon, DaemonOptions, Peer, Sink, connect, eventually, have, sample, without_received,
};

const LONG: Duration = Duration::from_secs(20);

fn ready_for_data(daemon: &Daemon) -> Client {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
    client
}

#[test]
fn smuggled_ends_are_content() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let ends = [
        &b"\n.\n"[..],
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\n\r.\r\n",
        b"\r\n\0.\r\n",
    ];
    for end in ends {
        let mut client = ready_for_data(&daemon);
        client.expect("DATA", "354");
        client.raw(b"Subject: outer\r\n\r\nouter");
        client.raw(end);
        client.raw(b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: inner\r\n\r\nx\r\n.\r\n");
        let reply = client.reply();
        assert!(reply.starts_with("250"), "{end:?}: {reply}");
        client.expect("QUIT", "221");
    }
    assert_eq!(daemon.waiting("example.org"), ends.len() as u64);
    assert_eq!(daemon.waiting("example.com"), 0, "nothing was smuggled in");

    // Nor out: each leaves as one message, without a bare CR or LF.
    let sink =
        Sink::start(daemon.ports().org, Behaviour { keywords: vec!["PIPELINING"], ..Behaviour::default() });
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LONG, || sink.count() == ends.len()));
    for message in sink.accepted() {
        let text = String::from_utf8_lossy(&message.content).into_owned();
        let without_pairs = text.replace("\r\n", "");
        assert!(!without_pairs.contains(['\r', '\n']), "{text:?}");
        assert!(text.contains("Subject: outer") && text.contains("Subject: inner"));
    }
}

#[test]
fn strangers_and_floods_are_refused() {
    let options = DaemonOptions {
        tables: "[limits]\nconnections-per-client = 3\nmessage-size = \"64 KiB\"".into(),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@sender.example> SIZE=65537", "552 5.3.4");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    for stranger in
        ["x@elsewhere.example", "x%elsewhere.example@example.org", "x!y@example.org", "\"x@y\"@example.org"]
    {
        client.expect(&format!("RCPT TO:<{stranger}>"), "550 5.7.1");
    }
    client.expect("RCPT TO:<@relay.example,@other.example:b@example.org>", "250");
    client.expect("RCPT TO:<Postmaster>", "250");
    client.expect("DATA", "354");
    client.raw(&sample(1, 70_000));
    client.raw(b".\r\n");
    assert!(client.reply().starts_with("552 5.3.4"));
    assert_eq!(daemon.waiting("example.org"), 0);
    let _second = connect(daemon.ports().smtp);
    let _third = connect(daemon.ports().smtp);
    let refused =
        std::net::TcpStream::connect(("127.0.0.1", daemon.ports().smtp)).expect("it is accepted first");
    let mut text = String::new();
    (&refused).read_to_string(&mut text).expect("it is told why and closed");
    assert!(text.starts_with("421 4.7.0"), "{text}");
    for _ in 0..9 {
        client.expect("NONSENSE", "500");
    }
    client.say("NONSENSE");
    let farewell = client.rest();
    assert!(farewell.is_empty() || farewell.starts_with(b"421 "), "{:?}", String::from_utf8_lossy(&farewell));
    assert!(!client.try_raw(b"NOOP\r\n") || client.reply().is_empty(), "closed after 10 bad commands");
}

#[test]
fn early_talkers_are_not_heard() {
    let daemon =
        Daemon::start(&DaemonOptions { listen: "tls = \"starttls\"".into(), ..DaemonOptions::default() });
    let mut early = std::net::TcpStream::connect(("127.0.0.1", daemon.ports().smtp)).expect("it listens");
    // The greeting may be on its way already; what counts is that bytes behind STARTTLS are never taken for TLS content.
    early.write_all(b"EHLO x\r\nMAIL FROM:<a@sender.example>\r\n").expect("it can be written");
    drop(early);
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.raw(b"STARTTLS\r\nMAIL FROM:<evil@sender.example>\r\nRCPT TO:<b@example.org>\r\n");
    let rest = client.rest();
    let said = String::from_utf8_lossy(&rest);
    assert!(rest.is_empty() || said.starts_with("554 5.5.0"), "{said}");
    assert_eq!(daemon.waiting("example.org"), 0);
}

#[test]
fn a_torn_tail_and_a_damaged_record() {
    let mut daemon = Daemon::start(&DaemonOptions::default());
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for seed in 0..10 {
        client.send("a@sender.example", &["b@example.org"], &sample(seed, 3000));
    }
    daemon.kill();
    let segment = newest_segment(&daemon.data_dir().join("log"));
    let mut file =
        std::fs::OpenOptions::new().read(true).write(true).open(&segment).expect("the segment opens");
    let mut text = Vec::new();
    file.read_to_end(&mut text).expect("the segment can be read");
    // A flipped octet in the middle of one message's content, and garbage where the next record would come.
    let needle = b"Subject: sample 4\r\n";
    let at =
        text.windows(needle.len()).position(|window| window == needle).expect("the message is there") + 200;
    file.seek(SeekFrom::Start(at as u64)).expect("it can be sought");
    file.write_all(&[text[at] ^ 0x20]).expect("it can be written");
    let verify = daemon.admin(&["spool", "verify", "--json"]);
    assert!(!verify.status.success() || String::from_utf8_lossy(&verify.stdout).contains("damaged"));
    daemon.run();
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    connect(daemon.ports().smtp).expect("ETRN example.org", "25");
    assert!(eventually(LONG, || sink.count() == 9), "{} of the 9 whole ones arrived", sink.count());
    let arrived: Vec<_> = sink.accepted().iter().map(|message| without_received(&message.content)).collect();
    for seed in (0..10).filter(|seed| *seed != 4) {
        assert!(arrived.contains(&sample(seed, 3000)), "message {seed}");
    }
    assert!(
        eventually(LONG, || daemon.json(&["list", "--state", "damaged"]).len() == 1),
        "{:?}",
        daemon.json(&["list"])
    );
}

fn newest_segment(log: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(log).expect("the log is there").flatten().map(|file| file.path()).collect();
    files.sort();
    files.pop().expect("a segment")
}

#[test]
fn a_broken_index_is_rebuilt() {
    let mut daemon = Daemon::start(&DaemonOptions::default());
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for seed in 0..10 {
        client.send("a@sender.example", &["b@example.org"], &sample(seed, 1000));
    }
    assert_eq!(daemon.stop(), Some(0));
    let index = daemon.data_dir().join("index");
    let mut broken = 0;
    for entry in walk(&index) {
        std::fs::write(&entry, b"this is not what it was").expect("it can be written");
        broken += 1;
    }
    assert!(broken > 0, "the index has files");
    std::fs::write(index.join("snap.0000000000000001.generating"), b"left over").expect("it can be written");
    daemon.run();
    assert!(eventually(LONG, || daemon.waiting("example.org") == 10), "rebuilt");
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    connect(daemon.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 10 pending");
    assert!(eventually(LONG, || sink.count() == 10));
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(walk(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

/// A file system of its own that can fill up; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let size = format!("size={megabytes}m,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "restante-test"]).arg(dir.path());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_452_until_there_is_room() {
    if !nix::unistd::geteuid().is_root() && !have("a_full_disk_is_452_until_there_is_room", &[Peer::Postfix])
    {
        return;
    }
    let Some(disk) = SmallDisk::mount(160) else {
        return assert!(!have("mounting a tmpfs", &[]), "tmpfs cannot be mounted");
    };
    let options = DaemonOptions {
        data_dir: Some(disk.0.path().join("data")),
        tables: "[limits]\ndisk-low-water = \"8 MB\"".into(),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    let ballast = disk.0.path().join("ballast");
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    assert!(client.send("a@sender.example", &["b@example.org"], &sample(0, 2000)).starts_with("250"));
    fill_up(&ballast);
    let closed = eventually(LONG, || {
        let mail = client.say("MAIL FROM:<a@sender.example>");
        let rcpt = client.say("RCPT TO:<b@example.org>");
        client.say("RSET");
        mail.starts_with("452 4.3.1") || rcpt.starts_with("452 4.3.1")
    });
    assert!(closed, "intake closes: 452");
    // What is held goes out while nothing comes in.
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    client.expect("ETRN example.org", "25");
    assert!(eventually(LONG, || sink.count() == 1));
    std::fs::remove_file(&ballast).expect("the ballast can go");
    let open = eventually(Duration::from_secs(60), || {
        let open = client.say("MAIL FROM:<a@sender.example>").starts_with("250")
            && client.say("RCPT TO:<b@example.org>").starts_with("250");
        client.say("RSET");
        open
    });
    assert!(open, "intake opens again");
    assert!(client.send("a@sender.example", &["b@example.org"], &sample(1, 2000)).starts_with("250"));
    let alarms = daemon.log().matches("disk_low").count();
    assert_eq!(alarms, 1, "one alarm per crossing");
}

#[test]
fn an_index_that_found_no_room_is_opened_again() {
    if !nix::unistd::geteuid().is_root()
        && !have("an_index_that_found_no_room_is_opened_again", &[Peer::Postfix])
    {
        return;
    }
    let Some(disk) = SmallDisk::mount(120) else {
        return assert!(!have("mounting a tmpfs", &[]), "tmpfs cannot be mounted");
    };
    let options = DaemonOptions {
        data_dir: Some(disk.0.path().join("data")),
        tables: "[limits]\ndisk-low-water = \"1 MB\"".into(),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    let body = sample(7, 100);
    let one =
        format!("MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nBDAT {} LAST\r\n", body.len());
    let one = [one.as_bytes(), &body].concat();
    let sent = 3000;
    for _ in 0..sent / 100 {
        client.raw(&one.repeat(100));
        for _ in 0..300 {
            assert!(client.reply().starts_with("250"));
        }
    }
    let ballast = disk.0.path().join("ballast");
    fill_up(&ballast);
    // Every entry changes, and grows: the index has to write, and cannot.
    let reason = "a long reason ".repeat(30);
    let failed = eventually(LONG, || {
        let _ = daemon.admin(&["hold", "--all", "--reason", &reason]);
        let _ = daemon.admin(&["release", "--all"]);
        daemon.log().contains("index_failed")
    });
    assert!(failed, "the index ran out of room");
    std::fs::remove_file(&ballast).expect("the ballast can go");
    // What was marked in the log before the index failed is still held.
    let healthy = || {
        daemon.admin(&["health"]).status.code() == Some(0)
            && daemon.admin(&["release", "--all"]).status.success()
            && daemon.waiting("example.org") == sent
    };
    assert!(eventually(Duration::from_secs(90), healthy), "it helps itself: {:?}", daemon.admin(&["health"]));
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    assert!(client.send("a@sender.example", &["b@example.org"], &body).starts_with("250"));
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    client.expect("ETRN example.org", "253");
    let wanted = usize::try_from(sent + 1).expect("a small number");
    assert!(eventually(Duration::from_secs(60), || sink.count() == wanted), "{} arrived", sink.count());
}

fn fill_up(path: &Path) {
    let mut file = std::fs::File::create(path).expect("the ballast can be made");
    let block = vec![0_u8; 64 * 1024];
    while file.write_all(&block).is_ok() {}
}
