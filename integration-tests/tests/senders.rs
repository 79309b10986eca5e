//! Who vouches for a sender, by a real DNS: nsd behind a validating unbound.

use std::time::{Duration, Instant};

use restante_integration_tests::{
    Behaviour, DNS_PEERS, Daemon, DaemonOptions, Dns, Signing, Sink, Zone, connect, eventually, have,
};

const LONG: Duration = Duration::from_secs(20);

/// The keys of the example in RFC 8463, and domains that say something about 127.0.0.1.
fn zones() -> Vec<Zone> {
    let football = "brisbane._domainkey TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n\
        test._domainkey TXT ( \"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR\"\n \
        \"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC\"\n \
        \"DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3\"\n \
        \"Ip3G+2kryOTIKT+l/K4w3QIDAQAB\" )\n";
    vec![
        Zone::new("pass.example", Signing::Nsec, "@ TXT \"v=spf1 ip4:127.0.0.1 \" \"-all\"\n"),
        Zone::new("fail.example", Signing::Unsigned, "@ TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"),
        Zone::new(
            "chain.example",
            Signing::Unsigned,
            "@ TXT \"v=spf1 include:one.chain.example ~all\"\none TXT \"v=spf1 redirect=two.chain.example\"\n\
             two TXT \"v=spf1 mx:%{d} -all\"\ntwo MX 10 host.chain.example.\nhost A 127.0.0.1\n",
        ),
        Zone::new(
            "soft.example",
            Signing::Unsigned,
            "@ TXT \"hello\"\n@ TXT \"v=spf1 a ~all\"\n@ A 192.0.2.9\n",
        ),
        Zone::new("bogus.example", Signing::Expired, "@ TXT \"v=spf1 +all\"\n"),
        Zone::new("two.example", Signing::Unsigned, "@ TXT \"v=spf1 +all\"\n@ TXT \"v=spf1 -all\"\n"),
        Zone::new("football.example.com", Signing::Nsec3, football),
    ]
}

fn signed() -> Vec<u8> {
    let lines = include_str!("../../crates/senders/src/check/tests/rfc8463.eml");
    lines.replace('\n', "\r\n").into_bytes()
}

// [8601-4.1] [8601-5] [7208-2.6] [6376-6.1.3]
#[test]
fn who_vouches_is_shown_and_told_to_the_primary() {
    if !have("who_vouches_is_shown_and_told_to_the_primary", DNS_PEERS) {
        return;
    }
    let dns = Dns::start(&zones());
    let options = DaemonOptions {
        org: "authentication-results = true\nconnections = 1".into(),
        tables: format!("[dns]\nservers = [\"{}\"]", dns.resolver()),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    let ports = daemon.ports();
    let mut client = connect(ports.smtp);
    client.expect("EHLO host.pass.example", "250");
    let plain = b"Authentication-Results: mx2.example.net; spf=pass smtp.mailfrom=fail.example\r\nSubject: x\r\n\r\ntext\r\n";
    let signed = signed();
    let sent: [(&str, &[u8], &str, &str); 9] = [
        ("a@pass.example", plain, "spf", "spf=pass smtp.mailfrom=pass.example"),
        ("a@fail.example", plain, "no", "spf=fail smtp.mailfrom=fail.example"),
        ("a@chain.example", plain, "spf", "spf=pass smtp.mailfrom=chain.example"),
        ("a@soft.example", plain, "no", "spf=softfail smtp.mailfrom=soft.example"),
        ("a@bogus.example", plain, "no", "spf=temperror smtp.mailfrom=bogus.example"),
        ("a@two.example", plain, "no", "spf=permerror smtp.mailfrom=two.example"),
        ("a@nowhere.example", plain, "no", "spf=none smtp.mailfrom=nowhere.example"),
        ("", plain, "unchecked", "spf=none smtp.helo=host.pass.example"),
        (
            "joe@football.example.com",
            &signed,
            "dkim",
            "spf=none smtp.mailfrom=football.example.com; dkim=pass header.d=football.example.com header.s=brisbane \
             header.b=\"/gCrinpc\"; dkim=pass header.d=football.example.com header.s=test header.b=F45dVWDf",
        ),
    ];
    for (sender, content, _, _) in sent {
        let reply = client.send(sender, &["b@example.org"], content);
        assert!(reply.starts_with("250 2.0.0"), "{sender}: {reply}");
    }
    let listed = daemon.json(&["list", "--domain", "example.org"]);
    assert_eq!(listed.len(), sent.len());
    for (entry, (sender, _, vouched, _)) in listed.iter().zip(&sent) {
        let id = entry["id"].as_str().expect("an id");
        assert_eq!(daemon.json(&["show", id])[0]["vouched"], *vouched, "{sender}");
    }

    let sink = Sink::start(ports.org, Behaviour::default());
    client.expect("ETRN example.org", "25");
    assert!(eventually(LONG, || sink.count() == sent.len()), "{} arrived", sink.count());
    for (arrived, (sender, content, _, results)) in sink.accepted().iter().zip(&sent) {
        let text = String::from_utf8(arrived.content.clone()).expect("ASCII");
        let (head, rest) = text.split_once("\r\nReceived: ").expect("our own line");
        let unfolded = head.replace("\r\n\t", " ");
        assert_eq!(unfolded, format!("Authentication-Results: mx2.example.net; {results}"), "{sender}");
        // What was written in our name is gone, everything else is as it was sent.
        let sent = String::from_utf8(content.to_vec()).expect("ASCII");
        let sent = sent.split_once("smtp.mailfrom=fail.example\r\n").map_or(sent.as_str(), |(_, rest)| rest);
        assert!(rest.ends_with(sent), "{sender}: {rest}");
        assert_eq!(text.matches("Authentication-Results").count(), 1);
    }
    assert_eq!(daemon.log().matches("forged_results_removed").count(), 8, "{}", daemon.log());
}

/// Where nobody tells the results, mail is told nothing; a message signed by somebody else is not vouched for.
#[test]
fn nothing_is_written_where_nobody_wants_it() {
    if !have("nothing_is_written_where_nobody_wants_it", DNS_PEERS) {
        return;
    }
    let dns = Dns::start(&zones());
    let options = DaemonOptions {
        org: "notices = \"all\"".into(),
        tables: format!("[dns]\nservers = [\"{}\"]", dns.resolver()),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO host.pass.example", "250");
    for (sender, to, vouched) in [
        ("a@pass.example", "b@example.org", "unchecked"),
        ("a@pass.example", "b@example.com", "spf"),
        ("a@fail.example", "b@example.com", "no"),
        ("joe@sub.football.example.com", "b@example.com", "dkim"),
    ] {
        let reply = client.send(sender, &[to], &signed());
        let id = reply.rsplit(' ').next().expect("an id").to_owned();
        assert_eq!(daemon.json(&["show", &id])[0]["vouched"], vouched, "{sender} {to}");
    }
    let sink = Sink::start(daemon.ports().com, Behaviour::default());
    client.expect("ETRN example.com", "25");
    assert!(eventually(LONG, || sink.count() == 3));
    for arrived in sink.accepted() {
        assert!(arrived.content.starts_with(b"Received: "));
        assert!(arrived.content.ends_with(&signed()), "byte for byte");
    }
}

/// Without a DNS everything is taken, nobody is vouched for, and soon nobody waits for it.
#[test]
fn without_a_dns_mail_comes_in_as_before() {
    // A socket that takes questions and never answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let server = silent.local_addr().expect("a socket has an address");
    let options =
        DaemonOptions { tables: format!("[dns]\nservers = [\"{server}\"]"), ..DaemonOptions::default() };
    let daemon = Daemon::start(&options);
    let send = |number: usize| {
        let mut client = connect(daemon.ports().smtp);
        client.expect("EHLO client.example", "250");
        let start = Instant::now();
        let reply = client.send(&format!("a@s{number}.example"), &["b@example.org"], b"Subject: x\r\n\r\n");
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
        start.elapsed()
    };
    // At the same time, so that this test does not wait for each.
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|number| scope.spawn(move || send(number))).collect();
        for one in waiting {
            let took = one.join().expect("it was taken");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
    });
    assert!(daemon.log().contains("dns_away"), "{}", daemon.log());
    // Who asks waits for as long as that each time.
    let quickest = (100..110).map(send).min().expect("ten");
    assert!(quickest < Duration::from_secs(2), "{quickest:?}");
    for entry in daemon.json(&["list"]) {
        assert_eq!(entry["vouched"], "no");
    }
}
