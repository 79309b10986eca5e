//! What a real Postfix as the primary makes of XCLIENT and XFORWARD, and `restante why` of what it refuses.

use std::path::Path;
use std::time::Duration;

use restante_integration_tests::{
    Daemon, DaemonOptions, Network, Peer, Place, Postfix, command, connect, eventually, free_port, have,
    run_peer,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Holds mail for example.org, whose primary is this Postfix.
fn prepare(primary: &Postfix, rules: &str, tables: &str) -> Daemon {
    let (org, tables) = (rules.to_owned(), tables.to_owned());
    let defaults = format!("primary = \"[127.0.0.1]:{}\"", primary.port());
    let daemon = Daemon::prepare(&DaemonOptions { org, tables, ..DaemonOptions::default() });
    let text = std::fs::read_to_string(daemon.config()).expect("the configuration was written");
    let pinned = format!("primary = \"[127.0.0.1]:{}\"", daemon.ports().org);
    std::fs::write(daemon.config(), text.replace(&pinned, &defaults)).expect("it can be written");
    daemon
}

/// Where everybody is on this machine.
fn daemon(primary: &Postfix, rules: &str) -> Daemon {
    let mut daemon = prepare(primary, rules, "");
    daemon.run();
    daemon
}

/// A client with a name of its own.
fn send(server: &str, helo: &str) {
    let mut swaks = command(Peer::Swaks);
    swaks.args(["--server", server, "--helo", helo]);
    swaks.args(["--from", "a@sender.example", "--to", "b@example.org", "--header", &format!("X-Of: {helo}")]);
    let output = run_peer(&mut swaks, LIMIT);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A daemon and its primary on one host, and clients on others: who is on ours is never introduced.
struct Scene {
    daemon: Daemon,
    primary: Postfix,
    network: Network,
}

const PEERS: [Peer; 3] = [Peer::Namespaces, Peer::Postfix, Peer::Swaks];
const OURS: u8 = 1;

impl Scene {
    fn start(rules: &str, lines: &[&str]) -> Self {
        let network = Network::start(3);
        let ours = network.place(OURS);
        let primary = ours.inside(|| Postfix::start_with(free_port(), lines));
        let outside = format!("[[listen]]\naddress = \"{}\"\n", ours.port(25));
        let mut daemon = prepare(&primary, rules, &outside);
        ours.inside(|| daemon.run());
        Self { daemon, primary, network }
    }

    fn ours(&self) -> &Place {
        self.network.place(OURS)
    }

    /// From these hosts, each with a name of its own; then asks for it all.
    fn hand_over(&self, clients: &[(u8, &str)]) {
        for (host, helo) in clients {
            let server = self.ours().port(25).to_string();
            let beside = format!("127.0.0.1:{}", self.daemon.ports().smtp);
            let server = if *host == OURS { beside } else { server };
            self.network.place(*host).inside(|| send(&server, helo));
        }
        let smtp = self.daemon.ports().smtp;
        self.ours().inside(|| connect(smtp).expect("ETRN example.org", "253"));
        let all = || self.primary.mailbox().len() == clients.len();
        assert!(eventually(LIMIT, all), "{}", self.primary.log());
        assert!(eventually(LIMIT, || self.daemon.waiting("example.org") == 0));
    }
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).expect("a delivered file can be read")).into_owned()
}

/// Postfix's own Received line of each message, by the client's name.
fn received_of(primary: &Postfix, helo: &str) -> String {
    let all: Vec<String> = primary.mailbox().iter().map(|path| text_of(path)).collect();
    let one = all.iter().find(|text| text.contains(&format!("X-Of: {helo}\n"))).expect("it was delivered");
    let line = one.lines().find(|line| line.starts_with("Received: ")).expect("Postfix adds its line");
    line.to_owned()
}

/// [xclient-command] [xclient-again] [xclient-once] [xclient-ours] The primary takes each message for its client's, and
/// for ours what comes from beside us.
#[test]
fn postfix_believes_xclient() {
    if !have("postfix_believes_xclient", &PEERS) {
        return;
    }
    let lines = ["smtpd_authorized_xclient_hosts = 127.0.0.1", "smtpd_client_connection_rate_limit = 0"];
    let scene = Scene::start("forward-client = \"xclient\"\nconnections = 1", &lines);
    let clients = [
        (2, "one.client.example"),
        (OURS, "beside.client.example"),
        (3, "two.client.example"),
        (3, "three.client.example"),
    ];
    scene.hand_over(&clients);
    for (host, helo) in clients {
        let line = received_of(&scene.primary, helo);
        let expected = match host {
            OURS => "Received: from mx2.example.net (".to_owned(),
            _ => format!("Received: from {helo} (unknown [{}]", scene.network.place(host).v4()),
        };
        assert!(line.starts_with(&expected), "{line:?}");
    }
}

/// [xforward-command] [xclient-ours] The primary's log names the client, and none where there was none.
#[test]
fn postfix_logs_xforward() {
    if !have("postfix_logs_xforward", &PEERS) {
        return;
    }
    let lines = ["smtpd_authorized_xforward_hosts = 127.0.0.1"];
    let scene = Scene::start("forward-client = \"xforward\"", &lines);
    let clients = [(2, "one.client.example"), (OURS, "beside.client.example"), (3, "two.client.example")];
    scene.hand_over(&clients);
    let named = || {
        let log = scene.primary.log();
        let lines = log.lines().filter_map(|line| line.split_once("orig_client="));
        let mut named: Vec<String> = lines.map(|(_, client)| client.to_owned()).collect();
        named.sort();
        named
    };
    assert!(eventually(LIMIT, || named() == ["unknown[192.0.2.2]", "unknown[192.0.2.3]"]), "{:?}", named());
}

/// The primary is called from the address that the domain names, and sees nothing else.
#[test]
fn postfix_sees_the_address_that_was_named() {
    if !have("postfix_sees_the_address_that_was_named", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let primary = Postfix::start();
    let daemon = daemon(&primary, "source-address = [\"127.0.0.9\", \"::1\"]");
    send(&format!("127.0.0.1:{}", daemon.ports().smtp), "one.client.example");
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LIMIT, || primary.mailbox().len() == 1), "{}", primary.log());
    let line = received_of(&primary, "one.client.example");
    assert!(line.starts_with("Received: from mx2.example.net (unknown [127.0.0.9]"), "{line}");
}

/// A primary that does not offer it gets the mail as ours.
#[test]
fn who_does_not_offer_it_is_told_nothing() {
    if !have("who_does_not_offer_it_is_told_nothing", &PEERS) {
        return;
    }
    let scene = Scene::start("forward-client = \"xclient\"", &[]);
    scene.hand_over(&[(2, "one.client.example")]);
    let line = received_of(&scene.primary, "one.client.example");
    assert!(line.starts_with("Received: from mx2.example.net "), "{line}");
}

/// Nor does one that offers it where the domain does not say so.
#[test]
fn whose_domain_does_not_want_it_is_told_nothing() {
    if !have("whose_domain_does_not_want_it_is_told_nothing", &PEERS) {
        return;
    }
    let scene = Scene::start("", &["smtpd_authorized_xclient_hosts = 127.0.0.1"]);
    scene.hand_over(&[(2, "one.client.example")]);
    let line = received_of(&scene.primary, "one.client.example");
    assert!(line.starts_with("Received: from mx2.example.net "), "{line}");
}

/// Who offers the one is not told by the other.
#[test]
fn who_offers_xclient_is_not_told_by_xforward() {
    if !have("who_offers_xclient_is_not_told_by_xforward", &PEERS) {
        return;
    }
    let rules = "forward-client = \"xforward\"";
    let scene = Scene::start(rules, &["smtpd_authorized_xclient_hosts = 127.0.0.1"]);
    scene.hand_over(&[(2, "one.client.example")]);
    let line = received_of(&scene.primary, "one.client.example");
    assert!(line.starts_with("Received: from mx2.example.net "), "{line}");
}

/// The administrator sees what was said.
#[test]
fn why_shows_the_refusal() {
    if !have("why_shows_the_refusal", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let lines = [
        "smtpd_recipient_restrictions = check_recipient_access inline:{{b@example.org = 450 4.2.0 not today}}",
    ];
    let primary = Postfix::start_with(restante_integration_tests::free_port(), &lines);
    let daemon = daemon(&primary, "");
    send(&format!("127.0.0.1:{}", daemon.ports().smtp), "one.client.example");
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    let shown = || String::from_utf8_lossy(&daemon.admin(&["why", "example.org"]).stdout).into_owned();
    assert!(eventually(LIMIT, || shown().contains("not today")), "{} {}", shown(), primary.log());
    let shown = shown();
    for part in ["RCPT TO:<b@example.org>", "EHLO mx2.example.net", "refused at RCPT", "127.0.0.1"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
}
