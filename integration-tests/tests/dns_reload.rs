//! Whom the running program asks for names: servers named in the configuration, those of a domain, and others after a
//! reload.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use restante_integration_tests::{
    Behaviour, DNS_PEERS, Daemon, DaemonOptions, Dns, Network, Peer, Place, Signing, Sink, Zone, connect,
    eventually, free_port, have, sample,
};

const LONG: Duration = Duration::from_secs(60);

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

/// Starts it where this file stands for /etc/resolv.conf. Nobody else sees that: the mount is the starting thread's and
/// its children's, and goes with them.
fn run_with(daemon: &mut Daemon, at: &Place, resolv_conf: &Path) {
    let mount = |arguments: &[&str]| {
        let mount = Command::new("mount").env("PATH", "/usr/bin:/bin").args(arguments).output();
        let mount = mount.expect("mount starts");
        assert!(mount.status.success(), "{}", String::from_utf8_lossy(&mount.stderr));
    };
    let file = resolv_conf.to_str().expect("a path of ours is text");
    at.inside(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may");
        mount(&["--make-rprivate", "/"]);
        mount(&["--bind", file, "/etc/resolv.conf"]);
        daemon.run();
    });
}

/// With no servers named it is the system's file that counts, as it is at each reload and at the start.
#[test]
fn where_no_server_is_named_the_systems_are_asked() {
    let peers = [DNS_PEERS, &[Peer::Namespaces]].concat();
    if !have("where_no_server_is_named_the_systems_are_asked", &peers) {
        return;
    }
    let network = Network::start(2);
    let (ours, names) = (network.place(1), network.place(2));
    let zones = [Zone::new("inside", Signing::Nsec, "mail A 127.0.0.1\n")];
    let dns = names.inside(|| Dns::start_at(names.port(5353), names.port(53), &zones));
    let (port, files) = (free_port(), tempfile::tempdir().expect("a temporary directory"));
    let sink = ours.inside(|| Sink::start(port, Behaviour::default()));
    let mut daemon = Daemon::prepare(&DaemonOptions {
        tables: format!(
            "[dns]\nservers = []\ntrust-anchor = {:?}\n\
             [[domain]]\nname = \"general.example\"\nprimary = \"mail.inside:{port}\"\n",
            dns.anchor()
        ),
        ..DaemonOptions::default()
    });
    let resolv_conf = files.path().join("resolv.conf");
    let say = |text: &str| std::fs::write(&resolv_conf, text).expect("the file can be written");
    // There is a machine, ours, but nobody on its port 53.
    say("nameserver 192.0.2.1\noptions timeout:1 attempts:1\n");
    run_with(&mut daemon, ours, &resolv_conf);
    let hold = |number: usize| {
        ours.inside(|| {
            let mut client = connect(daemon.ports().smtp);
            client.expect("EHLO client.example", "250");
            client.send("a@sender.example", &["x@general.example"], &sample(number, 300));
        });
    };
    hold(1);
    assert!(!daemon.admin(&["flush", "general.example"]).status.success());
    assert_eq!((daemon.waiting("general.example"), sink.count()), (1, 0));

    say("# as somebody left it\nsearch elsewhere.example\nnameserver 192.0.2.2\n");
    daemon.signal(Signal::SIGHUP);
    assert!(eventually(LONG, || daemon.log().contains("\"event\":\"reloaded\"")), "{}", daemon.log());
    assert!(daemon.admin(&["flush", "general.example"]).status.success(), "{}", daemon.log());
    assert!(eventually(LONG, || sink.count() == 1), "{}", daemon.log());

    hold(2);
    assert_eq!(daemon.stop(), Some(0));
    run_with(&mut daemon, ours, &resolv_conf);
    assert!(daemon.admin(&["flush", "general.example"]).status.success(), "{}", daemon.log());
    assert!(eventually(LONG, || sink.count() == 2), "{}", daemon.log());
    // It is ended by a connection from where it listens.
    ours.inside(|| drop(sink));
}
