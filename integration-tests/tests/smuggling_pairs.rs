//! The published smuggling cases, in every pair of line ends, through the daemon into a real Postfix and a real Exim as
//! they come from the package: never two messages out of one.
//!
//! What is sent carries a whole transaction behind what may be taken for the end of the content. Between the two stands
//! every pair of line ends, by DATA and by BDAT. Whatever was acknowledged as one message arrives as one.
//!
//! `RESTANTE_SMUGGLING=full` sends every case to an Exim that takes BDAT too; otherwise each fifth one, because Exim is
//! slow and content that is announced by its length has no end that could be forged.

#[path = "../../crates/smtp/tests/smuggling/ends.rs"]
mod ends;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use restante_integration_tests::faults::say;
use restante_integration_tests::{
    Client, Daemon, DaemonOptions, Exim, EximOptions, Peer, Postfix, connect, eventually, have,
};

use ends::ENDS;

const LONG: Duration = Duration::from_secs(120);
/// The dot, and what dot-stuffing may make of more than one.
const DOTS: [&[u8]; 2] = [b".", b".."];

/// How one case goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Data,
    Bdat,
}

/// One case: its number stands in the subject of what is sent, and in the stowaway's.
fn content(number: usize, before: &[u8], dot: &[u8], after: &[u8]) -> Vec<u8> {
    let outer = format!("Subject: outer {number}\r\nMessage-ID: <{number}@sender.example>\r\n\r\nouter");
    let stowaway = format!(
        "MAIL FROM:<evil@sender.example>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\nSubject: stowaway {number}\r\n\r\nstowaway\r\n"
    );
    [outer.as_bytes(), before, dot, after, stowaway.as_bytes()].concat()
}

/// Sends one case, which must be acknowledged once. Where the pair is the end of the content, what follows are commands,
/// and the second message is one that the client asked for: that is no smuggling, and such pairs are left out by
/// [`cases`].
fn send(client: &mut Client, way: Way, content: &[u8]) {
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
    match way {
        Way::Data => {
            client.expect("DATA", "354");
            client.raw(content);
            client.raw(b".\r\n");
        }
        Way::Bdat => client.raw(&[format!("BDAT {} LAST\r\n", content.len()).as_bytes(), content].concat()),
    }
    let reply = client.reply();
    assert!(reply.starts_with("250 2.0.0 queued"), "{way:?} {:?}: {reply}", String::from_utf8_lossy(content));
    // What stands behind an end would be answered too.
    client.expect("NOOP", "250");
}

/// Every pair with every dot, each way, but for the one that ends DATA.
fn cases() -> Vec<(Way, Vec<u8>)> {
    let mut all = Vec::new();
    for way in [Way::Data, Way::Bdat] {
        for before in ENDS {
            for (dot, after) in DOTS.iter().flat_map(|dot| ENDS.iter().map(move |after| (dot, after))) {
                let ends = way == Way::Data
                    && before.ends_with(b"\r\n")
                    && *dot == b"."
                    && after.starts_with(b"\r\n");
                // Two dots are one octet apart from one: a pair of each line end with itself shows it.
                let needless = *dot == b".." && before != *after;
                if !ends && !needless {
                    all.push((way, content(all.len(), before, dot, after)));
                }
            }
        }
    }
    all
}

/// What was acknowledged, by subject, what arrived, and how much still waits.
struct Judged {
    held: usize,
    sent: BTreeMap<String, usize>,
    arrived: BTreeMap<String, usize>,
}

/// Each of `all` through the daemon.
fn through(daemon: &Daemon, all: &[(Way, Vec<u8>)], arrived: impl Fn() -> Vec<Vec<u8>>) -> Judged {
    for some in all.chunks(100) {
        let mut client = connect(daemon.ports().smtp);
        client.expect("EHLO client.example", "250");
        some.iter().for_each(|(way, content)| send(&mut client, *way, content));
    }
    assert_eq!(daemon.waiting("example.org"), all.len() as u64, "the intake made more or fewer of them");
    assert!(daemon.json(&["list", "--to", "evil@example.org"]).is_empty(), "a stowaway is on board");
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(
        eventually(LONG, || daemon.waiting("example.org") == 0),
        "{} wait",
        daemon.waiting("example.org")
    );
    assert!(daemon.json(&["list"]).is_empty(), "something was refused");
    eventually(LONG, || arrived().len() >= all.len());
    // One more would come right behind.
    std::thread::sleep(Duration::from_secs(2));
    let sent = subjects(all.iter().map(|(_, content)| content.clone()));
    Judged { held: daemon.json(&["list"]).len(), sent, arrived: subjects(arrived().into_iter()) }
}

fn subjects(messages: impl Iterator<Item = Vec<u8>>) -> BTreeMap<String, usize> {
    let mut subjects = BTreeMap::new();
    for message in messages {
        let text = String::from_utf8_lossy(&message).into_owned();
        let subject = text.lines().find(|line| line.starts_with("Subject: ")).unwrap_or_default();
        *subjects.entry(subject.trim_end().to_owned()).or_default() += 1;
    }
    subjects
}

fn judged(peer: &str, Judged { held, sent, arrived }: &Judged) {
    let stowaways: Vec<_> = arrived.keys().filter(|subject| subject.contains("stowaway")).collect();
    let doubled = arrived.values().filter(|count| **count > 1).count();
    let lost = sent.keys().filter(|subject| !arrived.contains_key(*subject)).count();
    say(&format!(
        "{peer}: {} accepted, {} delivered, {held} held, {lost} lost, {doubled} doubled, {} smuggled",
        sent.values().sum::<usize>(),
        arrived.len() - stowaways.len(),
        stowaways.len()
    ));
    assert!(stowaways.is_empty(), "{stowaways:?}");
    assert!(sent.len() > 150, "too few cases");
    assert_eq!((sent, *held), (arrived, 0));
}

fn read(files: &[std::path::PathBuf]) -> Vec<Vec<u8>> {
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

#[test]
fn nothing_is_smuggled_into_a_real_postfix() {
    if !have("nothing_is_smuggled_into_a_real_postfix", &[Peer::Postfix]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    // The most gullible that it can be told to be; older ones do not know this and are.
    let postfix = Postfix::start_with(daemon.ports().org, &["smtpd_forbid_bare_newline = no"]);
    judged("Postfix", &through(&daemon, &cases(), || read(&postfix.mailbox())));
}

#[test]
fn nothing_is_smuggled_into_a_real_postfix_by_data() {
    if !have("nothing_is_smuggled_into_a_real_postfix_by_data", &[Peer::Postfix]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    let lines = ["smtpd_forbid_bare_newline = no", "smtpd_discard_ehlo_keywords = chunking"];
    let postfix = Postfix::start_with(daemon.ports().org, &lines);
    judged("Postfix by DATA", &through(&daemon, &cases(), || read(&postfix.mailbox())));
}

/// As it comes from the package, but for CHUNKING where that is to be left out.
fn into_exim(test: &str, name: &str, main: &str, all: &[(Way, Vec<u8>)]) {
    if !have(test, &[Peer::Exim]) {
        return;
    }
    let daemon = Daemon::start(&DaemonOptions::default());
    let at = SocketAddr::from(([127, 0, 0, 1], daemon.ports().org));
    let options = EximOptions { main: main.to_owned(), ..EximOptions::default() };
    let exim = Exim::start(at, "example.org", &options);
    judged(name, &through(&daemon, all, || read(&exim.mailbox())));
}

#[test]
fn nothing_is_smuggled_into_a_real_exim() {
    let full = std::env::var("RESTANTE_SMUGGLING").is_ok_and(|value| value == "full");
    let all: Vec<_> = cases().into_iter().step_by(if full { 1 } else { 5 }).collect();
    into_exim("nothing_is_smuggled_into_a_real_exim", "Exim", "", &all);
}

#[test]
fn nothing_is_smuggled_into_a_real_exim_by_data() {
    let main = "chunking_advertise_hosts =";
    into_exim("nothing_is_smuggled_into_a_real_exim_by_data", "Exim by DATA", main, &cases());
}
