//! What people write, and what they are told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use restante_agent::{Local, Login, Protocol, Schedule, Secured, Settings};
use restante_net::Trust;

use super::keys::{Server, Top};
use super::load;
use crate::config::{Grade, Machine};

fn etc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../etc").join(name)
}

fn machine() -> Machine {
    Machine { hostname: Some("primary.example.org".into()), is_local: |_| false }
}

/// The settings, or all findings as text.
fn read(text: &str) -> Result<(Settings, String), String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    let (settings, report) = load(&file, &machine());
    let told = report.to_string().replace(directory.path().to_str().unwrap(), "");
    settings.map(|settings| (settings, told.clone())).ok_or(told)
}

const LEAST: &str = "[[server]]\naddress = \"mx2.example.net:366\"\ndomains = [\"example.org\"]\naccount = \"a\"\nsecret-file = \"/s\"\n";

#[test]
fn the_least_has_the_defaults() {
    let (settings, told) = read(LEAST).unwrap();
    assert_eq!(told, "");
    assert_eq!(settings.hostname.as_str(), "primary.example.org");
    assert_eq!(settings.state_file, Path::new("/var/lib/restante-agent/state.json"));
    let server = &settings.servers[0];
    assert_eq!(
        (server.name.as_str(), server.protocol, server.tls),
        ("mx2.example.net:366", Protocol::Atrn, Secured::StartTls)
    );
    assert_eq!((&server.trust, server.tls_name.to_str().as_ref()), (&Trust::System, "mx2.example.net"));
    assert_eq!(server.schedule, Schedule::Every(Duration::from_secs(900)));
    assert_eq!(
        (server.jitter, &server.local),
        (Duration::from_secs(30), &Some("127.0.0.1:25".parse::<Local>().unwrap()))
    );
    let login = Login { account: Some("a".into()), secret_file: Some("/s".into()), certificate: None };
    assert_eq!((&server.login, &server.expect), (&login, &None));
}

#[test]
fn what_is_written_is_taken() {
    let text = "hostname = \"me.example\"\nstate-file = \"s.json\"\n[[server]]\nname = \"one\"\naddress = \"[2001:db8::1]:366\"\n\
        domains = [\"example.org\", \"BÜCHER.example\"]\nprotocol = \"turn\"\ntls = \"implicit\"\ntls-name = \"mx2.example.net\"\n\
        fingerprint = \"sha256:1111111111111111111111111111111111111111111111111111111111111111\"\n\
        client-certificate = \"c\"\nclient-key = \"k\"\nschedule = \"30 7 * * MON-FRI\"\njitter = \"0s\"\nlocal = \"lmtp:/run/lmtp\"\n\
        [[server]]\naddress = \"192.0.2.1:25\"\ndomains = [\"example.org\"]\nprotocol = \"etrn\"\ntls = \"none\"\nevery = \"1h\"\n\
        local = \"maildir:/m\"\nexpect-within = \"10m\"\n";
    let (settings, told) = read(text).unwrap();
    assert_eq!(told, "");
    let [one, two] = settings.servers.as_slice() else { panic!("{settings:?}") };
    assert_eq!((one.name.as_str(), &one.trust), ("one", &Trust::Fingerprint([0x11; 32])));
    assert_eq!(one.domains[1].as_str(), "xn--bcher-kva.example");
    assert_eq!(one.login.certificate, Some(("c".into(), "k".into())));
    assert_eq!(one.schedule.to_string(), "30 7 * * 1-5");
    assert_eq!((&two.local, two.tls), (&None, Secured::Never));
    let expect = two.expect.as_ref().unwrap();
    assert_eq!((expect.within, expect.at.as_path()), (Duration::from_secs(600), Path::new("/m")));
}

#[test]
fn slips_are_told_with_their_place_and_what_was_meant() {
    for (text, told) in [
        ("", "no server to collect from"),
        ("[[server]]\n", "[[server]] without an address"),
        ("[[server]]\naddress = \"mx2.example.net\"\n", "\"mx2.example.net\" is no host and port"),
        ("[[server]]\naddress = \"mx2.example.net:366\"\n", "[[server]] without domains"),
        ("[[servers]]\n", "did you mean \"server\"?"),
        ("state-fil = \"x\"\n", "did you mean \"state-file\"?"),
        (&format!("{LEAST}protocol = \"atern\"\n"), "did you mean \"atrn\"?"),
        (&format!("{LEAST}schedule = \"soon\"\n"), "schedule: not a cron expression"),
        (&format!("{LEAST}schedule = \"0 0 30 2 *\"\n"), "schedule: not a cron expression"),
        (
            &format!("{LEAST}schedule = \"* * * * *\"\nevery = \"1m\"\n"),
            "schedule and every are both written",
        ),
        (&format!("{LEAST}every = \"0\"\n"), "every is less than a second"),
        (&format!("{LEAST}local = \"/var/mail\"\n"), "\"/var/mail\" is no mail server or mailbox"),
        (&format!("{LEAST}client-key = \"k\"\n"), "client-certificate and client-key go together"),
        (&format!("{LEAST}ca = \"c\"\ntls-policy = \"encrypt\"\n"), "nothing is verified"),
        (&format!("{LEAST}ca = \"c\"\ntls = \"none\"\n"), "there is no certificate"),
        (&format!("{LEAST}{LEAST}"), "two servers with the name \"mx2.example.net:366\""),
        (&LEAST.replace("secret-file = \"/s\"\n", ""), "an account without anything to prove it with"),
        (&LEAST.replace("account = \"a\"\n", ""), "a password without an account"),
        (
            "[[server]]\naddress = \"a.example:25\"\ndomains = [\"example.org\"]\nprotocol = \"etrn\"\nexpect-within = \"1m\"\n",
            "nothing is named where mail could be seen to come",
        ),
        ("[[server\n", "this is no TOML"),
    ] {
        let findings = read(text).unwrap_err();
        assert!(findings.contains(told) && findings.contains("agent.toml"), "{text}: {findings}");
    }
    let (settings, report) = load(Path::new("/does/not/exist.toml"), &machine());
    assert!(settings.is_none() && report.to_string().contains("cannot be read"));
}

#[test]
fn what_may_be_meant_is_a_warning() {
    for (text, told) in [
        (format!("{LEAST}tls-policy = \"encrypt\"\n"), "can pass for the server"),
        (format!("{LEAST}tls = \"none\"\n"), "cross the line in clear"),
        (format!("{LEAST}expect-within = \"1m\"\n"), "expect-within is for ETRN"),
        (LEAST.replace("account = \"a\"\nsecret-file = \"/s\"\n", ""), "atrn without an account"),
    ] {
        let (_, findings) = read(&text).unwrap();
        assert!(findings.contains(told), "{text}: {findings}");
    }
}

#[test]
fn without_a_name_of_its_own_it_greets_with_its_domain() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, LEAST).unwrap();
    let (settings, _) = load(&file, &Machine { hostname: Some("box".into()), is_local: |_| false });
    assert_eq!(settings.unwrap().hostname.as_str(), "example.org");
}

/// `#key = value` and `#[[table]]` are settings that are switched off; `# text` is text.
fn switched_on(text: &str) -> String {
    let is_setting = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let lines =
        text.lines().map(|line| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line));
    lines.collect::<Vec<&str>>().join("\n")
}

#[test]
fn the_sample_names_every_key_and_is_the_defaults() {
    let sample = std::fs::read_to_string(etc("agent.toml")).unwrap();
    let on = switched_on(&sample);
    for key in Top::KEYS.iter().chain(Server::KEYS) {
        let named = |line: &str| {
            line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("# or: {key} = "))
        };
        assert!(on.lines().any(named), "{key} is missing");
    }
    let (settings, told) = read(&on).unwrap();
    assert!(
        told.is_empty() || told.lines().all(|line| line.contains("warning") || line.starts_with("    ")),
        "{told}"
    );
    let written = Server::default();
    let server = &settings.servers[0];
    assert_eq!(
        (server.protocol, server.tls, server.jitter),
        (written.protocol, written.tls, written.jitter.0)
    );
    assert_eq!(server.local, Some("127.0.0.1:25".parse().unwrap()));
    assert_eq!(settings.state_file, Top::default().state_file);
    // As it stands it has everything but a server.
    assert!(read(&sample).unwrap_err().contains("no server to collect from"));
}

#[test]
fn the_try_out_fits_the_server_of_the_try_out() {
    let (settings, report) = load(&etc("try-agent.toml"), &Machine { hostname: None, is_local: |_| false });
    let settings = settings.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report.count(Grade::Warning), 0, "{report}");
    let (server, report) = crate::config::load(&etc("try.toml"), &machine());
    let config = server.unwrap_or_else(|| panic!("{report}"));
    let [server] = settings.servers.as_slice() else { panic!("{settings:?}") };
    let odmr =
        config.listen.iter().any(|listen| listen.value.address.to_string() == server.address.to_string());
    assert!(odmr, "{}", server.address);
    assert_eq!(server.tls_name.to_str(), config.hostname.as_str());
    assert_eq!(server.trust, Trust::Authorities(config.top.data_dir.join("tls/self-signed.crt")));
    let account =
        config.accounts.iter().find(|account| Some(&account.value.name) == server.login.account.as_ref());
    let account = account.unwrap_or_else(|| panic!("{:?}", server.login));
    assert!(server.domains.iter().all(|domain| account.value.domains.contains(domain)));
}
