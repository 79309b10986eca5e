//! The sample files in `etc/`: they are read as an administrator would read them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::sections::{
    AccountKeys, Admin, Dns, Events, GroupKeys, Limits, Listen, NoticeTexts, Rules, Tls, Top,
};
use super::{Config, Grade, Machine, load};

fn etc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../etc").join(name)
}

fn text() -> String {
    std::fs::read_to_string(etc("restante.toml")).unwrap()
}

fn machine() -> Machine {
    Machine { hostname: Some("mx2.example.net".into()), is_local: |_| false }
}

fn read(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("restante.toml");
    std::fs::write(&file, text).unwrap();
    let (config, report) = load(&file, &machine());
    config.unwrap_or_else(|| panic!("{report}"))
}

/// `#key = value` and `#[table]` are settings that are switched off; `# text` is text.
fn switched_on(text: &str) -> String {
    let is_setting = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let lines =
        text.lines().map(|line| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line));
    lines.collect::<Vec<&str>>().join("\n")
}

#[test]
fn the_sample_as_it_stands_is_the_defaults() {
    let (sample, defaults) = (read(&text()), read(""));
    assert_eq!(sample.top, defaults.top);
    assert_eq!(sample.listen[0].value, defaults.listen[0].value);
    assert_eq!(sample.listen.len(), defaults.listen.len());
    assert_eq!(
        (&sample.admin, &sample.limits, &sample.defaults),
        (&defaults.admin, &defaults.limits, &defaults.defaults)
    );
    assert_eq!(
        (&sample.dns, &sample.notices, &sample.events),
        (&defaults.dns, &defaults.notices, &defaults.events)
    );
    assert!(sample.tls.is_none() && sample.domains.is_empty() && sample.groups.is_empty());
}

#[test]
fn the_sample_names_every_key() {
    let all = switched_on(&text());
    let domain = ["name"];
    for (header, keys) in [
        ("", Top::KEYS),
        ("[[listen]]", Listen::KEYS),
        ("[tls]", Tls::KEYS),
        ("[dns]", Dns::KEYS),
        ("[notices]", NoticeTexts::KEYS),
        ("[events]", Events::KEYS),
        ("[admin]", Admin::KEYS),
        ("[limits]", Limits::KEYS),
        ("[domain-defaults]", Rules::KEYS),
        ("[[domain]]", &domain),
        ("[[group]]", GroupKeys::KEYS),
    ] {
        let start = if header.is_empty() {
            0
        } else {
            all.find(&format!("\n{header}")).unwrap_or_else(|| panic!("{header}"))
        };
        let section = &all[start..];
        for key in keys {
            // Keys of a table stand before the next table of another name.
            let end = section[1..].find("\n[").map_or(section.len(), |end| end + 1);
            let here = section[..end].lines().any(|line| {
                line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("# or: {key} = "))
            });
            assert!(here, "{key} is missing in {header}");
        }
    }
}

/// The accounts file has no sample of its own: it is written by a command.
#[test]
fn the_sample_shows_an_account_with_every_key() {
    let text = text();
    for key in AccountKeys::KEYS {
        assert!(text.contains(&format!("\n#     {key} = ")), "{key} is missing");
    }
}

#[test]
fn the_sample_with_everything_switched_on_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("restante.toml");
    let pair = rcgen::generate_simple_self_signed(["mx2.example.net".to_owned()]).unwrap();
    std::fs::write(directory.path().join("tls.crt"), pair.cert.pem()).unwrap();
    std::fs::write(directory.path().join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.path().join("tls.clients.crt"), pair.cert.pem()).unwrap();
    std::fs::write(directory.path().join("tls.primary.crt"), pair.cert.pem()).unwrap();
    for name in ["failed.txt", "delayed.txt", "relayed.txt", "webhook.secret", "monitor.token"] {
        let file = directory.path().join(name);
        std::fs::write(&file, "a text of some length").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(directory.path().join("monitor.token"), "0123456789abcdef").unwrap();
    let key = format!(". IN DNSKEY 257 3 13 {}==\n", "A".repeat(86));
    std::fs::write(directory.path().join("root.key"), key).unwrap();
    let here = format!("{}/", directory.path().display());
    std::fs::write(&file, switched_on(&text()).replace("/etc/restante/", &here)).unwrap();
    let (config, report) = load(&file, &machine());
    let config = config.unwrap_or_else(|| panic!("{report}"));
    assert_eq!((config.listen.len(), config.domains.len(), config.groups.len()), (2, 1, 1));
    let warnings: Vec<String> =
        report.findings().filter(|found| found.grade == Grade::Warning).map(ToString::to_string).collect();
    let usual = ["this version", "there is no account", "is not looked at with tls-policy"];
    let expected = |text: &String| usual.iter().any(|words| text.contains(words));
    assert!(warnings.iter().all(expected), "{warnings:?}");
}

#[test]
fn the_try_out_needs_nothing_written() {
    let (config, report) = load(&etc("try.toml"), &Machine { hostname: None, is_local: |_| false });
    let config = config.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report.count(Grade::Warning), 0, "{report}");
    let addresses: Vec<String> =
        config.listen.iter().map(|listen| listen.value.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:2525", "127.0.0.1:3660"]);
    assert_eq!(config.listen[1].value.tls, restante_server::ListenTls::Required);
    let [account] = &config.accounts[..] else { panic!("{:?}", config.accounts) };
    assert_eq!(account.value.name, "example-org");
    let Some(restante_turn::StoredSecret::Derived(keys)) = &account.value.secret else { panic!("no keys") };
    assert!(keys.is_of("first-try"), "the password that the file names");
    let primaries: Vec<(String, String)> = config
        .domains
        .iter()
        .map(|domain| (domain.value.name.to_string(), domain.value.rules.primary.to_string()))
        .collect();
    let pair = |name: &str, primary: &str| (name.to_owned(), primary.to_owned());
    assert_eq!(primaries, [pair("example.org", "[127.0.0.1]:2526"), pair("example.com", "[127.0.0.1]:2527")]);
    assert!(config.top.data_dir.is_relative() && config.admin.socket.starts_with(&config.top.data_dir));
}
