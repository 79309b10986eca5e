//! Whom the running program asks for names: servers named in the configuration, those of a domain, and others after a
//! reload.

use std::time::Duration;

use nix::sys::signal::Signal;
use restante_integration_tests::{
    Behaviour, DNS_PEERS, Daemon, DaemonOptions, Dns, Signing, Sink, Zone, connect, eventually, free_port,
    have, sample,
};

const LONG: Duration = Duration::from_secs(20);

fn options(general: &Dns, own: &Dns, port: u16) -> DaemonOptions {
    let (general_server, own_server) = (general.resolver(), own.resolver());
    let anchor = general.anchor();
    DaemonOptions {
        tables: format!(
            "[dns]\nservers = [\"{general_server}\"]\ntrust-anchor = {anchor:?}\n\
             [[domain]]\nname = \"general.example\"\nprimary = \"mail.inside:{port}\"\n\
             [[domain]]\nname = \"own.example\"\nprimary = \"mail.inside:{port}\"\nresolver = [\"{own_server}\"]"
        ),
        ..DaemonOptions::default()
    }
}

#[test]
fn a_reload_asks_other_servers_at_once() {
    if !have("a_reload_asks_other_servers_at_once", DNS_PEERS) {
        return;
    }
    // The first does not know the primary, and says so for a minute.
    let first = Dns::start(&[Zone::new("inside", Signing::Nsec, "other A 127.0.0.1\n")]);
    let second = Dns::start(&[Zone::new("inside", Signing::Nsec, "mail A 127.0.0.1\n")]);
    let port = free_port();
    let sink = Sink::start(port, Behaviour::default());
    let daemon = Daemon::start(&options(&first, &second, port));
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.send("a@sender.example", &["x@general.example"], &sample(1, 300));
    client.send("a@sender.example", &["x@own.example"], &sample(2, 300));

    // A domain's own servers are asked for it alone.
    assert!(daemon.admin(&["flush", "own.example"]).status.success());
    assert!(eventually(LONG, || sink.count() == 1), "{}", daemon.log());
    assert!(!daemon.admin(&["flush", "general.example"]).status.success());
    assert!(
        eventually(LONG, || daemon.log().contains("mail.inside: the name does not exist")),
        "{}",
        daemon.log()
    );
    assert_eq!(daemon.waiting("general.example"), 1);

    daemon.configure(&options(&second, &second, port));
    daemon.signal(Signal::SIGHUP);
    assert!(eventually(LONG, || daemon.log().contains("\"event\":\"reloaded\"")), "{}", daemon.log());
    assert!(daemon.admin(&["flush", "general.example"]).status.success());
    assert!(eventually(LONG, || sink.count() == 2), "{}", daemon.log());
    assert!(eventually(LONG, || daemon.waiting("general.example") == 0));
}
