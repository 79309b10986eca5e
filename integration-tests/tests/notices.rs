//! Notices as senders get them: written by a real daemon, taken by the sender's server, read back by two parsers that
//! know nothing of restante and must agree on every field: Python's and mail-parser.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{MessageParser, MimeHeaders};
use restante_integration_tests::{
    Accepted, Behaviour, Client, Daemon, DaemonOptions, Peer, Postfix, Sink, connect, eventually, have,
};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(60);
/// Every sender is told, and nothing waits for a sample.
const ALL: &str = "notices = \"all\"\ncircuit = []\ncanary = false";

fn hello(port: u16) -> Client {
    let mut client = connect(port);
    client.expect("EHLO client.example", "250");
    client
}

fn daemon(defaults: &str) -> Daemon {
    Daemon::start(&DaemonOptions { defaults: defaults.to_owned(), ..DaemonOptions::default() })
}

/// A primary that refuses `bad` and everything that begins with `x`.
fn primary() -> Behaviour {
    let refused = [("<bad@", "550 5.1.1 no such user"), ("<x", "553-5.1.3 not\r\n553 5.1.3 like this")];
    Behaviour { recipient_replies: refused.to_vec(), ..Behaviour::default() }
}

fn etrn(daemon: &Daemon, domain: &str) {
    hello(daemon.ports().smtp).expect(&format!("ETRN {domain}"), "25");
}

fn send(daemon: &Daemon, mail: &str, recipients: &[&str], content: &[u8]) {
    let mut client = hello(daemon.ports().smtp);
    client.expect(&format!("MAIL FROM:{mail}"), "250");
    for recipient in recipients {
        client.expect(&format!("RCPT TO:{recipient}"), "250");
    }
    client.expect("DATA", "354");
    client.raw(content);
    client.expect(".", "250");
}

/// Its port is free again.
fn gone(sink: Sink) {
    let port = sink.port();
    drop(sink);
    assert!(eventually(LONG, || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()));
}

/// The notices that wait for the server of example.com, handed over to a sink.
fn collected(daemon: &Daemon, count: usize) -> Vec<Accepted> {
    let sink = Sink::start(daemon.ports().com, Behaviour::default());
    let waiting = || daemon.waiting("example.com") >= count as u64;
    assert!(eventually(LONG, waiting), "{} of {count} notices", daemon.waiting("example.com"));
    etrn(daemon, "example.com");
    assert!(eventually(LONG, || sink.count() >= count), "{} of {count} arrived", sink.count());
    // Not one more is on its way.
    assert!(eventually(LONG, || daemon.waiting("example.com") == 0), "{:?}", daemon.json(&["list"]));
    sink.accepted()
}

/// What Python makes of a notice.
fn by_python(content: &[u8]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/checks/notice.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    child.stdin.take().expect("a pipe").write_all(content).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(content));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

fn fields(group: &str) -> Vec<Vec<String>> {
    let lines = group.replace("\n ", " ").replace("\n\t", " ");
    let field = |line: &str| {
        let (name, value) = line.split_once(':').expect("a field has a colon");
        vec![name.to_ascii_lowercase(), value.trim().to_owned()]
    };
    lines.lines().map(field).collect()
}

/// What mail-parser makes of it.
fn by_mail_parser(content: &[u8]) -> Value {
    let message = MessageParser::default().parse(content).expect("it parses");
    let parts: Vec<_> = message.root_part().sub_parts().expect("it has parts").to_vec();
    let part = |index: usize| &message.parts[parts[index] as usize];
    let kind = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().expect("a part has a type");
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
    };
    let status = String::from_utf8(part(1).contents().to_vec()).expect("it is UTF-8").replace("\r\n", "\n");
    let last = part(2);
    let returned = match last.content_transfer_encoding() {
        Some("quoted-printable" | "base64") => last.contents().to_vec(),
        _ => content[last.raw_body_offset() as usize..last.raw_end_offset() as usize].to_vec(),
    };
    let returned = String::from_utf8(returned).expect("it is UTF-8").replace("\r\n", "\n");
    let from = message.from().expect("it has From").first().expect("an address");
    let to: Vec<_> = message.to().expect("it has To").iter().filter_map(|one| one.address()).collect();
    json!({
        "from": from.address(),
        "from_name": from.name(),
        "to": to,
        "subject": message.subject(),
        "date": message.date().expect("it has Date").to_timestamp(),
        "message_id": message.message_id(),
        "in_reply_to": message.in_reply_to().as_text().unwrap_or_default(),
        "auto_submitted": message.header("Auto-Submitted").and_then(|value| value.as_text()).map(str::trim),
        "type": kind(message.root_part()),
        "report_type": message.root_part().content_type().and_then(|kind| kind.attribute("report-type")),
        "part_types": parts.iter().map(|index| kind(&message.parts[*index as usize])).collect::<Vec<_>>(),
        "text": message.body_text(0).expect("it has a text").replace("\r\n", "\n").trim_end_matches('\n'),
        "status": status.split("\n\n").filter(|group| !group.trim().is_empty()).map(fields).collect::<Vec<_>>(),
        "returned": STANDARD.encode(returned.trim_end_matches('\n')),
        "defects": [],
    })
}

/// What both make of it.
fn read(content: &[u8]) -> Value {
    let (python, rust) = (by_python(content), by_mail_parser(content));
    assert_eq!(python, rust, "of {}", String::from_utf8_lossy(content));
    python
}

/// A field of a group: 0 is the message, then come the recipients.
fn said<'a>(notice: &'a Value, group: usize, name: &str) -> Option<&'a str> {
    let fields = notice["status"][group].as_array()?;
    fields.iter().find(|field| field[0] == name)?[1].as_str()
}

const MESSAGE: &[u8] = b"From: Anna <anna@example.com>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= to all\r\n\
    Message-ID: <42@example.com>\r\n\r\nThe body.\r\n";

// [3461-6.1] [3461-6.2] [3461-6.3-a] [3461-6.3-d] [3464-2-a] [6522-3] [3834-5.2]
#[test]
fn two_parsers_read_the_same_notice_of_failure() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let daemon = daemon(ALL);
    let sink = Sink::start(daemon.ports().org, primary());
    let recipients = [
        "<bad@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bad+2BGuy@example.org",
        "<x1@example.org>",
        "<good@example.org>",
        "<x2@example.org> NOTIFY=NEVER",
    ];
    send(&daemon, "<anna@example.com> RET=FULL ENVID=Q+3D7", &recipients, MESSAGE);
    etrn(&daemon, "example.org");
    let notices = collected(&daemon, 1);
    assert_eq!(sink.count(), 1, "the good one got it");

    // [3461-6.1]
    assert!(notices[0].mail.contains("<>") && !notices[0].mail.contains("RET="), "{}", notices[0].mail);
    assert!(notices[0].recipients[0].contains("<anna@example.com>"));
    assert!(notices[0].recipients[0].to_uppercase().contains("NOTIFY=NEVER"), "{:?}", notices[0].recipients);
    let notice = read(&notices[0].content);
    assert_eq!(notice["to"], json!(["anna@example.com"]));
    assert_eq!(notice["from"], "MAILER-DAEMON@mx2.example.net");
    assert_eq!(notice["in_reply_to"], "42@example.com");
    assert_eq!(
        (&notice["auto_submitted"], &notice["report_type"]),
        (&json!("auto-replied"), &json!("delivery-status"))
    );
    assert_eq!(notice["part_types"], json!(["text/plain", "message/delivery-status", "message/rfc822"]));
    let text = notice["text"].as_str().expect("a text");
    assert!(text.contains("Grüße to all") && text.contains("550 5.1.1 no such user"), "{text}");
    assert_eq!(notice["status"].as_array().map(Vec::len), Some(3), "only who is to be told of: {notice}");
    assert_eq!(said(&notice, 0, "original-envelope-id"), Some("Q=7"));
    assert_eq!(said(&notice, 0, "reporting-mta"), Some("dns; mx2.example.net"));
    assert_eq!(said(&notice, 0, "received-from-mta"), Some("dns; client.example ([127.0.0.1])"));
    assert_eq!(said(&notice, 1, "original-recipient"), Some("rfc822; Bad+Guy@example.org"));
    assert_eq!(said(&notice, 1, "final-recipient"), Some("rfc822; bad@example.org"));
    assert_eq!((said(&notice, 1, "action"), said(&notice, 1, "status")), (Some("failed"), Some("5.1.1")));
    assert_eq!(said(&notice, 1, "remote-mta"), Some("dns; [127.0.0.1]"));
    assert_eq!(said(&notice, 1, "diagnostic-code"), Some("smtp; 550 5.1.1 no such user"));
    assert_eq!(said(&notice, 2, "original-recipient"), None);
    assert_eq!(said(&notice, 2, "diagnostic-code"), Some("smtp; 553-5.1.3 not 553 5.1.3 like this"));
    assert!(
        said(&notice, 1, "last-attempt-date").is_some() && said(&notice, 1, "will-retry-until").is_none()
    );
    let returned = STANDARD.decode(notice["returned"].as_str().expect("it comes back")).expect("base64");
    let returned = String::from_utf8(returned).expect("text");
    assert!(returned.starts_with("Received: ") && returned.ends_with("\n\nThe body."), "{returned}");
}

// [6533-3-final] [6533-4.1] [6533-4.5]
#[test]
fn two_parsers_read_the_same_international_notice() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let daemon = daemon(&format!("{ALL}\nsmtputf8 = true"));
    let _sink = Sink::start(daemon.ports().org, primary());
    let content = "Subject: Grüße\r\nMessage-ID: <1@example.com>\r\n\r\nKörper\r\n".as_bytes();
    let to = ["<xé@example.org> ORCPT=utf-8;x\\x{E9}@example.org"];
    send(&daemon, "<änna@example.com> SMTPUTF8 BODY=8BITMIME RET=FULL", &to, content);
    send(&daemon, "<anna@example.com> SMTPUTF8 BODY=8BITMIME", &to, content);
    etrn(&daemon, "example.org");
    let mut notices = collected(&daemon, 2);
    notices.sort_by_key(|notice| !notice.mail.contains("SMTPUTF8"));
    let own = read(&notices[0].content);
    assert_eq!(own["to"], json!(["änna@example.com"]));
    assert_eq!(own["part_types"], json!(["text/plain", "message/global-delivery-status", "message/global"]));
    assert_eq!(said(&own, 1, "final-recipient"), Some("utf-8; xé@example.org"));
    assert_eq!(said(&own, 1, "original-recipient"), Some("utf-8; xé@example.org"));
    let plain = read(&notices[1].content);
    assert!(notices[1].content.is_ascii() && !notices[1].mail.contains("8BITMIME"));
    assert_eq!(
        plain["part_types"],
        json!(["text/plain", "message/delivery-status", "message/global-headers"])
    );
    assert_eq!(said(&plain, 1, "final-recipient"), Some("utf-8; x\\x{E9}@example.org"));
}

// [3461-5.2.2-b]
#[test]
fn success_is_told_where_the_primary_will_not() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let daemon = daemon(ALL);
    let sink =
        Sink::start(daemon.ports().org, Behaviour { keywords: vec!["PIPELINING"], ..Behaviour::default() });
    let to = ["<a@example.org> NOTIFY=SUCCESS,FAILURE", "<b@example.org>", "<c@example.org> NOTIFY=FAILURE"];
    send(&daemon, "<anna@example.com> RET=FULL", &to, MESSAGE);
    etrn(&daemon, "example.org");
    let notice = read(&collected(&daemon, 1)[0].content);
    assert_eq!(sink.count(), 1);
    assert_eq!(notice["status"].as_array().map(Vec::len), Some(2), "{notice}");
    assert_eq!(
        (said(&notice, 1, "action"), said(&notice, 1, "final-recipient")),
        (Some("relayed"), Some("rfc822; a@example.org"))
    );
    assert_eq!(notice["part_types"][2], "text/rfc822-headers");
    gone(sink);

    // [3461-5.2.1] A primary with DSN is asked to tell, and then we do not.
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    send(&daemon, "<anna@example.com>", &to, MESSAGE);
    etrn(&daemon, "example.org");
    assert!(eventually(LONG, || sink.count() == 1));
    assert!(sink.accepted()[0].recipients[0].contains("NOTIFY=SUCCESS,FAILURE"));
    assert_eq!(daemon.waiting("example.com"), 0);
}

// [3464-2.3.9] [3461-5.2.5]
#[test]
fn delay_is_told_once_with_the_end_of_trying() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let mut daemon = daemon(&format!("{ALL}\nretention = \"10d\"\ndelay-notice = \"1s\""));
    send(&daemon, "<anna@example.com>", &["<a@example.org>"], MESSAGE);
    let arrived = daemon.json(&["list", "--domain", "example.org"])[0]["expires"].clone();
    std::thread::sleep(Duration::from_millis(1500));
    for _ in 0..2 {
        assert_eq!(daemon.stop(), Some(0));
        daemon.run();
        assert!(eventually(LONG, || daemon.waiting("example.com") == 1));
    }
    let notices = collected(&daemon, 1);
    let notice = read(&notices[0].content);
    assert_eq!(said(&notice, 1, "action"), Some("delayed"));
    let until = said(&notice, 1, "will-retry-until").expect("it says until when");
    assert!(!arrived.as_str().expect("a time").is_empty() && until.ends_with("+0000"), "{until}");
    assert_eq!(said(&notice, 1, "status"), Some("4.0.0"));
    assert_eq!(daemon.waiting("example.org"), 1, "it still waits");
}

// [3461-6.1]
#[test]
fn postfix_takes_a_notice_and_keeps_it_as_it_is() {
    if !have("notices", &[Peer::Python, Peer::Postfix]) {
        return;
    }
    let daemon = daemon(ALL);
    // The other way round: the sender is at home behind Postfix.
    let _sink = Sink::start(daemon.ports().com, primary());
    let postfix = Postfix::start_on(daemon.ports().org);
    let content = "Subject: 8 bits\r\nMessage-ID: <8@example.org>\r\n\r\nKörper\r\n".as_bytes();
    send(&daemon, "<anna@example.org> BODY=8BITMIME RET=FULL", &["<bad@example.com>"], content);
    etrn(&daemon, "example.com");
    assert!(eventually(LONG, || daemon.waiting("example.org") == 1), "the notice waits for its server");
    etrn(&daemon, "example.org");
    assert!(eventually(LONG, || postfix.mailbox().len() == 1), "{}", postfix.log());
    let file = std::fs::read(&postfix.mailbox()[0]).expect("a message");
    assert!(String::from_utf8_lossy(&file).starts_with("Return-Path: <>\n"), "it comes from nobody");
    let notice = read(&Postfix::as_received(&postfix.mailbox()[0]));
    assert_eq!(notice["to"], json!(["anna@example.org"]));
    assert_eq!(notice["part_types"][2], "message/rfc822");
    let returned = STANDARD.decode(notice["returned"].as_str().expect("it comes back")).expect("base64");
    assert!(String::from_utf8(returned).expect("UTF-8").ends_with("\n\nKörper"));
}

#[test]
fn who_is_not_vouched_for_is_a_dead_letter_that_can_be_read_and_sent() {
    let daemon = daemon("circuit = []\ncanary = false");
    let sink = Sink::start(daemon.ports().org, primary());
    send(&daemon, "<anna@example.com>", &["<bad@example.org>"], MESSAGE);
    etrn(&daemon, "example.org");
    let dead = || daemon.json(&["list", "--state", "dead"]);
    assert!(eventually(LONG, || dead().len() == 1), "{:?}", daemon.json(&["list"]));
    let letter = &dead()[0];
    assert_eq!((&letter["domain"], &letter["state"]), (&json!("example.org"), &json!("dead")));
    assert_eq!(daemon.waiting("example.com"), 0, "nobody was told");
    let copies = daemon.dir().join("dead");
    let arguments = ["export", "--state", "dead", "--format", "eml", "--output"];
    let output = daemon.admin(&[&arguments[..], &[copies.to_str().expect("a path")]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copy = std::fs::read_dir(&copies).expect("copies").next().expect("one").expect("a file");
    assert!(std::fs::read(copy.path()).expect("it can be read").ends_with(b"\r\n\r\nThe body.\r\n"));
    gone(sink);

    let _better = Sink::start(daemon.ports().org, Behaviour::default());
    let output = daemon.admin(&["release", "--state", "dead"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    etrn(&daemon, "example.org");
    assert!(eventually(LONG, || daemon.json(&["list"]).is_empty()), "{:?}", daemon.json(&["list"]));
}

/// What the owner of a domain sees of its dead letters; nothing while the index is made anew.
fn dead(daemon: &Daemon, domain: &str) -> Vec<Value> {
    let output = daemon.admin(&["list", "--domain", domain, "--state", "dead", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|_| output.status.success());
    lines.map(|line| serde_json::from_str(line).expect("a line is one JSON object")).collect()
}

/// One notice about mail for example.org was withheld. Its owner has it, also where the index is lost, and can copy it
/// out, and send it to whom it is for.
fn is_the_owners(mut daemon: Daemon, action: &str) {
    assert!(eventually(LONG, || dead(&daemon, "example.org").len() == 1), "{:?}", daemon.json(&["list"]));
    assert_eq!(daemon.stop(), Some(0));
    std::fs::remove_dir_all(daemon.data_dir().join("index")).expect("it has an index");
    daemon.run();
    assert!(eventually(LONG, || dead(&daemon, "example.org").len() == 1), "{:?}", daemon.json(&["list"]));
    let letter = &dead(&daemon, "example.org")[0];
    assert_eq!((&letter["domain"], &letter["sender"]), (&json!("example.org"), &json!("")));
    assert_eq!(letter["recipients"][0]["address"], "anna@example.com");
    assert!(dead(&daemon, "example.com").is_empty() && daemon.waiting("example.com") == 0, "nobody was told");

    let filter = ["--domain", "example.org", "--state", "dead"];
    let ok = |arguments: &[&str]| {
        let output = daemon.admin(&[arguments, &filter].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let copies = daemon.dir().join("copies");
    ok(&["export", "--format", "eml", "--output", copies.to_str().expect("a path")]);
    let copy = std::fs::read_dir(&copies).expect("copies").next().expect("one").expect("a file").path();
    let copy = std::fs::read(copy).expect("it can be read");
    let notice = read(&copy);
    assert_eq!((said(&notice, 1, "action"), &notice["to"]), (Some(action), &json!(["anna@example.com"])));

    let told = ok(&["release"]);
    assert!(told.contains("Released 1 message"), "{told}");
    assert!(dead(&daemon, "example.org").is_empty(), "it was sent");
    let sent = collected(&daemon, 1);
    assert!(sent[0].mail.contains("<>") && sent[0].recipients[0].contains("<anna@example.com>"));
    assert_eq!(String::from_utf8_lossy(&sent[0].content), String::from_utf8_lossy(&copy));
    assert!(ok(&["release"]).contains("Released 0 messages"));
}

#[test]
fn a_withheld_notice_of_delay_is_the_owners() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let mut daemon = daemon("delay-notice = \"1s\"");
    send(&daemon, "<anna@example.com>", &["<a@example.org>"], MESSAGE);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(daemon.stop(), Some(0));
    daemon.run();
    is_the_owners(daemon, "delayed");
}

#[test]
fn a_withheld_notice_of_success_is_the_owners() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let daemon = daemon("");
    let sink =
        Sink::start(daemon.ports().org, Behaviour { keywords: vec!["PIPELINING"], ..Behaviour::default() });
    send(&daemon, "<anna@example.com>", &["<a@example.org> NOTIFY=SUCCESS"], MESSAGE);
    etrn(&daemon, "example.org");
    assert!(eventually(LONG, || sink.count() == 1));
    is_the_owners(daemon, "relayed");
    assert_eq!(sink.count(), 1, "the primary gets no notice");
}

#[test]
fn each_notice_says_what_its_own_template_says() {
    if !have("notices", &[Peer::Python]) {
        return;
    }
    let defaults = format!("{ALL}\ndelay-notice = \"1s\"");
    let mut daemon = Daemon::prepare(&DaemonOptions::default());
    let mut tables = "[notices]\n".to_owned();
    for kind in ["failed", "delayed", "relayed"] {
        let file = daemon.dir().join(format!("{kind}.txt"));
        std::fs::write(&file, format!("Ours: {kind}, says {{hostname}}.\n")).expect("it is written");
        tables.push_str(&format!("{kind} = \"{}\"\n", file.display()));
    }
    daemon.configure(&DaemonOptions { defaults, tables, ..DaemonOptions::default() });
    daemon.run();
    send(
        &daemon,
        "<anna@example.com>",
        &["<bad@example.org>", "<a@example.org> NOTIFY=SUCCESS,DELAY"],
        MESSAGE,
    );
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(daemon.stop(), Some(0));
    daemon.run();
    assert!(eventually(LONG, || daemon.waiting("example.com") == 1), "a notice of delay");
    let behaviour = Behaviour { keywords: vec!["PIPELINING"], ..primary() };
    let _sink = Sink::start(daemon.ports().org, behaviour);
    etrn(&daemon, "example.org");
    let mut told: Vec<(String, String)> = Vec::new();
    for notice in collected(&daemon, 3) {
        let notice = read(&notice.content);
        let action = said(&notice, 1, "action").expect("an action").to_owned();
        told.push((action, notice["text"].as_str().expect("a text").to_owned()));
    }
    told.sort();
    let ours = |kind: &str| (kind.to_owned(), format!("Ours: {kind}, says mx2.example.net."));
    assert_eq!(told, ["delayed", "failed", "relayed"].map(ours));
}

// [3461-5.2.6]
#[test]
fn killed_at_any_time_each_recipient_is_reported_once() {
    const MESSAGES: usize = 40;
    let mut daemon = daemon(ALL);
    let sink = Sink::start(daemon.ports().org, primary());
    for number in 0..MESSAGES {
        let to = [format!("<x{number}@example.org>"), format!("<xx{number}@example.org>")];
        send(&daemon, "<anna@example.com>", &[&to[0], &to[1]], MESSAGE);
    }
    for pause in [5, 20, 40, 70, 110, 160] {
        etrn(&daemon, "example.org");
        std::thread::sleep(Duration::from_millis(pause));
        daemon.kill();
        daemon.run();
    }
    let done = || {
        let _ = hello(daemon.ports().smtp).say("ETRN example.org");
        // While the tail of the log is read, nobody can say.
        let output = daemon.admin(&["list", "--domain", "example.org", "--json"]);
        output.status.success() && output.stdout.is_empty()
    };
    assert!(eventually(LONG, done), "{:?}", daemon.json(&["list", "--domain", "example.org"]));
    drop(sink);
    let mut reported: BTreeMap<String, usize> = BTreeMap::new();
    for notice in collected(&daemon, MESSAGES) {
        let content = String::from_utf8(notice.content).expect("text");
        for line in content.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; ")) {
            *reported.entry(line.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(reported.len(), 2 * MESSAGES, "each is reported");
    assert!(reported.values().all(|count| *count == 1), "and once: {reported:?}");
}
