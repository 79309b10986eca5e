//! The agent collects from a real daemon, into real mail servers.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use restante_integration_tests::{
    Agent, Behaviour, DaemonOptions, Dovecot, Peer, Postfix, Provider, Sink, eventually, free_port, have,
    sample, sample_number, without_received,
};

const LIMIT: Duration = Duration::from_secs(60);
const SIZES: [usize; 6] = [200, 3000, 20_000, 150_000, 700_000, 3_000_000];

fn sorted(mut all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    all.sort();
    all
}

fn without(all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    sorted(all.iter().map(|content| without_received(content)).collect())
}

#[test]
fn into_a_maildir_byte_for_byte_and_then_there_is_no_mail() {
    let provider = Provider::usual();
    let sent = provider.fill(SIZES);
    let agent = provider.agent("maildir:MAILDIR", "");
    let agent = with_maildir(agent);
    let (code, said) = agent.collected();
    assert_eq!(
        (code, said["result"].as_str(), said["messages"].as_u64()),
        (Some(0), Some("collected"), Some(6)),
        "{said}"
    );
    assert!(without(agent.maildir("box")) == sorted(sent), "byte for byte, each once");
    assert!(eventually(LIMIT, || provider.daemon.waiting("example.org") == 0));
    let (code, said) = agent.collected();
    assert_eq!((code, said["result"].as_str()), (Some(0), Some("no-mail")), "{said}");
    let status = agent.status();
    assert_eq!(status["result"], "no-mail");
    for key in ["last_run", "messages", "bytes", "next_run", "last_success"] {
        assert!(status.get(key).is_some(), "{key}: {status}");
    }
    assert!(provider.daemon.log().contains("SCRAM-SHA-256-PLUS"), "the strongest mechanism was taken");
}

/// MAILDIR in its configuration becomes a directory of its own.
fn with_maildir(agent: Agent) -> Agent {
    let text = std::fs::read_to_string(agent.config()).expect("it was written");
    let root = agent.path("box").display().to_string();
    std::fs::write(agent.config(), text.replace("MAILDIR", &root)).expect("it can be written");
    agent
}

#[test]
fn into_a_real_postfix() {
    if !have("into_a_real_postfix", &[Peer::Postfix]) {
        return;
    }
    let provider = Provider::usual();
    let sent = provider.fill(SIZES.into_iter().chain((0..60).map(|seed| 400 + seed * 251)));
    let postfix = Postfix::start();
    let agent = provider.agent(&format!("127.0.0.1:{}", postfix.port()), "");
    let (code, said) = agent.collected();
    assert_eq!((code, said["messages"].as_u64()), (Some(0), Some(66)), "{said}");
    assert!(
        eventually(LIMIT, || postfix.mailbox().len() == 66),
        "{} in the mailbox",
        postfix.mailbox().len()
    );
    let arrived = postfix.mailbox().iter().map(|file| Postfix::as_received(file)).collect();
    assert!(without(arrived) == sorted(sent), "byte for byte, each once");
}

#[test]
fn into_a_real_dovecot_by_lmtp() {
    if !have("into_a_real_dovecot_by_lmtp", &[Peer::Dovecot]) {
        return;
    }
    let provider = Provider::usual();
    let dovecot = Dovecot::start();
    let socket = format!("lmtp:{}", dovecot.socket().display());
    let port = format!("lmtp:127.0.0.1:{}", dovecot.port());
    let mut all = Vec::new();
    for local in [socket, port] {
        all.extend(provider.fill(SIZES));
        // One message for two people: two transactions, for each has an answer of its own.
        let mut client = restante_integration_tests::connect(provider.daemon.ports().smtp);
        client.expect("EHLO client.example", "250");
        let content = sample(77, 900);
        let reply = client.send("a@sender.example", &["b@example.org", "c@example.org"], &content);
        assert!(reply.starts_with("250"), "{reply}");
        all.push(content);
        let (code, said) = provider.agent(&local, "").collected();
        assert_eq!((code, said["messages"].as_u64()), (Some(0), Some(8)), "{said} {}", dovecot.log());
    }
    assert!(eventually(LIMIT, || dovecot.as_received("b@example.org").len() == 14));
    assert!(without(dovecot.as_received("b@example.org")) == sorted(all), "byte for byte, each once");
    assert_eq!(without(dovecot.as_received("c@example.org")), [sample(77, 900), sample(77, 900)]);
}

#[test]
fn the_local_refusals_are_the_providers_to_deal_with() {
    let provider = Provider::usual();
    let mut client = restante_integration_tests::connect(provider.daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for recipient in ["good@example.org", "gone@example.org", "full@example.org"] {
        let reply = client.send("a@sender.example", &[recipient], &sample(1, 500));
        assert!(reply.starts_with("250"), "{reply}");
    }
    let sink = Sink::start(
        0,
        Behaviour {
            recipient_replies: vec![("gone@", "550 5.1.1 No such user"), ("full@", "452 4.2.2 Mailbox full")],
            ..Behaviour::default()
        },
    );
    let agent = provider.agent(&format!("127.0.0.1:{}", sink.port()), "");
    let (code, said) = agent.collected();
    assert_eq!(code, Some(75), "{said}");
    assert_eq!(
        (said["messages"].as_u64(), said["refused"].as_u64(), said["deferred"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    let listed = provider.daemon.json(&["list", "--domain", "example.org"]);
    let said = |state: &str| {
        let entry = listed.iter().find(|entry| entry["recipients"][0]["state"] == state);
        entry.map(|entry| entry["recipients"][0]["last_reply"].to_string()).unwrap_or_default()
    };
    let (failed, deferred) = (said("failed"), said("deferred"));
    assert!(failed.contains("550") && failed.contains("No such user"), "{listed:?}");
    assert!(deferred.contains("452") && deferred.contains("Mailbox full"), "{listed:?}");
}

#[test]
fn nobody_is_served_who_is_not_who_he_says() {
    let provider = Provider::usual();
    let _sent = provider.fill([500]);
    let agent = with_maildir(provider.agent("maildir:MAILDIR", ""));
    std::fs::write(agent.path("secret"), "wrong\n").expect("it can be written");
    let (code, said) = agent.collected();
    assert_eq!(code, Some(77), "{said}");
    assert!(said["reason"].as_str().is_some_and(|reason| reason.contains("535")), "{said}");

    let stranger = provider.certificate().with_file_name("other.crt");
    let other = Provider::usual();
    std::fs::copy(other.certificate(), &stranger).expect("it can be copied");
    let agent = with_maildir(provider.agent("maildir:MAILDIR", ""));
    let text = std::fs::read_to_string(agent.config()).expect("it was written");
    let text = text.replace("self-signed.crt", "other.crt");
    std::fs::write(agent.config(), text).expect("it can be written");
    let (code, said) = agent.collected();
    assert_eq!(code, Some(77), "{said}");
    assert!(said["reason"].as_str().is_some_and(|reason| reason.contains("certificate")), "{said}");

    let agent = with_maildir(provider.agent("maildir:MAILDIR", ""));
    let text = std::fs::read_to_string(agent.config()).expect("it was written");
    std::fs::write(
        agent.config(),
        text.replace("domains = [\"example.org\"]", "domains = [\"example.com\"]"),
    )
    .expect("it can be written");
    let (code, said) = agent.collected();
    assert!(matches!(code, Some(75 | 77)), "{said}");
    assert!(said["reason"].as_str().is_some_and(|reason| reason.contains("450")), "{said}");
    assert_eq!(provider.daemon.waiting("example.org"), 1);
}

#[test]
fn nobody_there_is_69_and_no_mail_server_here_is_75() {
    let provider = Provider::usual();
    let _sent = provider.fill([500]);
    let (code, said) = provider.agent(&format!("127.0.0.1:{}", free_port()), "").collected();
    assert_eq!(code, Some(75), "{said}");
    assert_eq!(provider.daemon.waiting("example.org"), 1);
    let nobody = Agent::new(&format!(
        "address = \"127.0.0.1:{}\"\ndomains = [\"example.org\"]\nprotocol = \"etrn\"\ntls = \"none\"\n",
        free_port()
    ));
    let output = nobody.collect();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn etrn_by_the_agent_starts_the_queue() {
    let provider = Provider::usual();
    let sent = provider.fill([500, 600, 700]);
    let sink = Sink::start(provider.daemon.ports().org, Behaviour::default());
    let agent = Agent::new(&format!(
        "address = \"127.0.0.1:{}\"\ndomains = [\"example.org\", \"example.com\"]\nprotocol = \"etrn\"\ntls = \"none\"\n",
        provider.daemon.ports().smtp
    ));
    let (code, said) = agent.collected();
    assert_eq!(
        (code, said["result"].as_str(), said["announced"].as_u64()),
        (Some(0), Some("asked"), Some(3)),
        "{said}"
    );
    assert!(eventually(LIMIT, || sink.count() == 3));
    let got = sink.accepted().into_iter().map(|message| message.content).collect();
    assert!(without(got) == sorted(sent));
    assert_eq!(agent.status()["announced"], 3);
}

#[test]
fn the_daemon_keeps_its_schedule_and_hears_signals() {
    let provider = Provider::usual();
    let agent = with_maildir(provider.agent("maildir:MAILDIR", "every = \"1h\""));
    let mut running = agent.running();
    let pid = Pid::from_raw(i32::try_from(running.id()).expect("a process id is an i32"));
    assert!(eventually(LIMIT, || agent.path("state.json").exists() && agent.status()["result"] == "no-mail"));
    let sent = provider.fill([800]);
    kill(pid, Signal::SIGUSR1).expect("it runs");
    assert!(eventually(LIMIT, || agent.maildir("box").len() == 1), "SIGUSR1 means now");
    assert!(without(agent.maildir("box")) == sent);
    assert!(eventually(LIMIT, || agent.status()["result"] == "collected"
        && !agent.status()["next_run"].is_null()));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let mut status = None;
    let ended = eventually(LIMIT, || {
        status = running.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    if !ended {
        let _ = running.kill();
    }
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    let log = std::fs::read_to_string(agent.path("log")).unwrap_or_default();
    assert!(
        log.contains("event=ready") && log.contains("agent_woken") && log.contains("agent_collected"),
        "{log}"
    );
}

/// Kills one side in the middle of collections, until everything has come; says how many messages came twice.
fn killed(mut kill_one: impl FnMut(&mut Provider, &mut std::process::Child)) -> String {
    let mut provider = Provider::usual();
    let total = 150;
    let sent = provider.fill((0..total).map(|seed| 300 + seed * 401));
    let behaviour = Behaviour { slowness: Duration::from_millis(2), ..Behaviour::default() };
    let sink = Sink::start(0, behaviour);
    let agent = provider.agent(&format!("127.0.0.1:{}", sink.port()), "");
    let mut kills = 0;
    for target in [15, 40, 70, 100] {
        let mut child = agent.collecting();
        assert!(eventually(LIMIT, || sink.count() >= target), "{} arrived of {target}", sink.count());
        kill_one(&mut provider, &mut child);
        kills += 1;
        let _ = child.wait();
    }
    let all_gone = eventually(LIMIT, || {
        let _ = agent.collect();
        provider.daemon.waiting("example.org") == 0
    });
    assert!(all_gone, "{} wait", provider.daemon.waiting("example.org"));
    let mut arrived: BTreeMap<usize, usize> = BTreeMap::new();
    for message in sink.accepted() {
        let content = without_received(&message.content);
        let seed = sample_number(&content).expect("a Subject line");
        assert!(content == sent[seed], "message {seed} changed");
        *arrived.entry(seed).or_default() += 1;
    }
    let doubled: usize = arrived.values().map(|count| count - 1).sum();
    assert_eq!(arrived.len(), total, "none lost");
    // What was taken here and whose answer the provider never saw, or had not yet settled, comes again.
    assert!(doubled <= kills * 64, "{doubled}");
    format!("{kills} kills: {total} sent, {} arrived, {doubled} twice", arrived.len())
}

#[test]
fn kill_9_of_the_agent_in_the_middle_loses_nothing() {
    let said = killed(|_, child| {
        let _ = child.kill();
    });
    println!("{said}");
}

#[test]
fn kill_9_of_the_provider_in_the_middle_loses_nothing() {
    let said = killed(|provider, _| {
        provider.daemon.kill();
        provider.daemon.run();
    });
    println!("{said}");
}

#[test]
fn a_second_collection_waits_for_nobody_and_leaves() {
    let provider = Provider::start(DaemonOptions::default(), "", &[]);
    let _sent = provider.fill((0..40).map(|_| 500));
    let behaviour = Behaviour { slowness: Duration::from_millis(250), ..Behaviour::default() };
    let sink = Sink::start(0, behaviour);
    let agent = provider.agent(&format!("127.0.0.1:{}", sink.port()), "");
    let mut first = agent.collecting();
    assert!(eventually(LIMIT, || sink.count() >= 2));
    let (code, said) = agent.collected();
    assert_eq!(code, Some(75), "{said}");
    assert!(said["reason"].as_str().is_some_and(|reason| reason.contains("under way")), "{said}");
    assert_eq!(first.wait().expect("a child can be waited for").code(), Some(0));
    assert_eq!(sink.count(), 40);
}

/// Starts a daemon whose ordinary listener serves ATRN and TURN too, to who is allowed to.
fn ordinary(account: &[&str]) -> Provider {
    Provider::start(DaemonOptions { listen: "atrn = true".into(), ..DaemonOptions::default() }, "", account)
}

#[test]
fn turn_and_atrn_on_the_ordinary_port() {
    let provider = ordinary(&["--turn"]);
    for protocol in ["turn", "atrn"] {
        let sent = provider.fill([900, 1900]);
        let agent = with_maildir(provider.agent("maildir:MAILDIR", &format!("protocol = \"{protocol}\"")));
        let text = std::fs::read_to_string(agent.config()).expect("it was written");
        let (odmr, smtp) =
            (format!(":{}\"", provider.odmr()), format!(":{}\"", provider.daemon.ports().smtp));
        std::fs::write(agent.config(), text.replace(&odmr, &smtp)).expect("it can be written");
        let (code, said) = agent.collected();
        assert_eq!((code, said["messages"].as_u64()), (Some(0), Some(2)), "{protocol}: {said}");
        assert!(without(agent.maildir("box")) == sorted(sent), "{protocol}");
        // Nothing held: TURN turns all the same, ATRN says 453.
        let (code, said) = agent.collected();
        assert_eq!((code, said["result"].as_str()), (Some(0), Some("no-mail")), "{protocol}: {said}");
    }
}

#[test]
fn a_client_certificate_is_enough() {
    if !have("a_client_certificate_is_enough", &[Peer::Openssl]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("crt"), dir.path().join("key"));
    let mut openssl = restante_integration_tests::command(Peer::Openssl);
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-subj", "/CN=primary", "-days", "2", "-out"]).arg(&certificate).arg("-keyout").arg(&key);
    assert!(openssl.output().is_ok_and(|output| output.status.success()));
    let mut openssl = restante_integration_tests::command(Peer::Openssl);
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&certificate);
    let said = openssl.output().expect("openssl runs").stdout;
    let fingerprint =
        String::from_utf8_lossy(&said).trim().rsplit('=').next().unwrap_or_default().replace(':', "");
    let fingerprint = format!("sha256:{}", fingerprint.to_lowercase());
    let provider = Provider::start(DaemonOptions::default(), "", &["--client-certificate", &fingerprint]);
    let sent = provider.fill([900]);
    let agent = with_maildir(provider.agent("maildir:MAILDIR", ""));
    let text = std::fs::read_to_string(agent.config()).expect("it was written");
    let lines = text.lines().filter(|line| !line.starts_with("secret-file") && !line.starts_with("account"));
    let pair =
        format!("client-certificate = \"{}\"\nclient-key = \"{}\"\n", certificate.display(), key.display());
    let text = lines.collect::<Vec<_>>().join("\n") + "\n" + &pair;
    std::fs::write(agent.config(), text).expect("it can be written");
    let (code, said) = agent.collected();
    assert_eq!((code, said["messages"].as_u64()), (Some(0), Some(1)), "{said}");
    assert!(without(agent.maildir("box")) == sent);
    assert!(provider.daemon.log().contains("EXTERNAL"));
}

#[test]
fn a_large_message_costs_no_memory() {
    let provider = Provider::usual();
    let _sent = provider.fill([45_000_000]);
    let behaviour = Behaviour { slowness: Duration::from_millis(200), ..Behaviour::default() };
    let sink = Sink::start(0, behaviour);
    let agent = provider.agent(&format!("127.0.0.1:{}", sink.port()), "");
    let mut child = agent.collecting();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = eventually(LIMIT, || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0));
        child.try_wait().expect("a child can be waited for").is_some()
    });
    assert!(ended && sink.count() == 1);
    assert!(most > 1000 && most < 40_000, "{most} KiB at most, for a message of 44000");
    println!("{most} KiB at most");
}

/// The files of the first try, as they are but for the ports.
#[test]
fn the_try_out_works_as_it_stands() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let etc = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc");
    std::fs::create_dir(dir.path().join("etc")).expect("a directory of our own");
    let (smtp, odmr) = (free_port(), free_port());
    for name in ["try.toml", "try-accounts.toml", "try-agent.toml", "try-agent.secret"] {
        let text = std::fs::read_to_string(etc.join(name)).expect("it is there");
        let text = text.replace(":2525\"", &format!(":{smtp}\"")).replace(":3660\"", &format!(":{odmr}\""));
        std::fs::write(dir.path().join("etc").join(name), text).expect("it can be written");
    }
    let restante = |args: &[&str]| {
        let mut command = std::process::Command::new(restante_integration_tests::binary());
        command.args(args).current_dir(dir.path());
        command
    };
    let mut serving = restante(&["serve", "--config", "etc/try.toml"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let collect = || {
        restante(&["agent", "collect", "--once", "--config", "etc/try-agent.toml"]).output().expect("it runs")
    };
    let served = eventually(LIMIT, || {
        std::net::TcpStream::connect(("127.0.0.1", smtp)).is_ok() && collect().status.success()
    });
    let mut outputs = Vec::new();
    if served {
        let mut client = restante_integration_tests::connect(smtp);
        client.expect("EHLO me.example", "250");
        client.send("me@sender.example", &["you@example.org"], b"Subject: hello\r\n\r\nhello\r\n");
        outputs = vec![collect(), collect()];
    }
    let _ = serving.kill();
    let _ = serving.wait();
    let said: Vec<_> =
        outputs.iter().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).collect();
    assert!(served && outputs.iter().all(|output| output.status.success()), "{said:?}");
    assert!(said[0].contains("1 message collected") && said[1].contains("no mail"), "{said:?}");
    let new = std::fs::read_dir(dir.path().join("restante-mail/new")).expect("a Maildir");
    let files: Vec<_> =
        new.flatten().map(|file| std::fs::read_to_string(file.path()).expect("a message")).collect();
    assert!(files.len() == 1 && files[0].ends_with("Subject: hello\n\nhello\n"), "{files:?}");
}
