//! What is said about primaries, notices and events: each way to be wrong.

use restante_delivery::{Circuit, ForwardClient, Notices, On5xx, Share};

use super::render;
use super::tests::{Tree, effective, wrong};

const DOMAIN: &str = "[[domain]]\nname = \"example.org\"\n";

/// One warning that stands at this place and says this.
fn warns(main: &str, place: &str, says: &str) {
    let (config, report) = Tree::new(main).load();
    assert!(config.is_some(), "{report}");
    let text = report.to_string();
    let found =
        text.lines().any(|line| line.contains(&format!("toml{place}: warning: ")) && line.contains(says));
    assert!(found, "{says:?} at {place}: {text}");
}

fn silent(main: &str, says: &str) {
    let text = Tree::new(main).load().1.to_string();
    assert!(!text.contains(says), "{text}");
}

#[test]
fn every_key_reaches_its_domain() {
    let config = effective(&format!(
        "[dns]\nservers = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\n[domain-defaults]\nprimary = \"[192.0.2.1]\"\n{DOMAIN}\
         source-address = [\"127.0.0.9\", \"::1\"]\nresolver = [\"127.0.0.1:5300\"]\n\
         tls-fingerprint = [\"sha256:{}\"]\nforward-client = \"xclient\"\nauthentication-results = true\n\
         canary = false\nrate = \"60/m\"\ncircuit = [\"off\", \"3/30\"]\nowner = \"hostmaster@example.net\"\n\
         notices = \"none\"\non-5xx = \"hold\"\ndelay-notice = \"4h\"\n",
        "ab".repeat(32)
    ));
    let servers: Vec<String> = config.dns.servers.iter().map(|server| server.0.to_string()).collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    let rules = &config.domains[0].value.rules;
    assert_eq!(rules.source_address.len(), 2);
    assert_eq!(rules.resolver[0].0, "127.0.0.1:5300".parse().unwrap());
    assert_eq!(rules.tls_fingerprint[0].0, [0xab; 32]);
    assert_eq!(rules.forward_client, ForwardClient::Xclient);
    assert_eq!(rules.rate.0.unwrap().get(), 60);
    assert_eq!(rules.circuit, Circuit { first: None, steady: Some(Share { refused: 3, of: 30 }) });
    assert_eq!(rules.owner.as_ref().unwrap().to_string(), "hostmaster@example.net");
    assert_eq!((rules.notices, rules.on_5xx), (Notices::None, On5xx::Hold));
    assert!(rules.authentication_results && !rules.canary);
    let shown = render::render(&config);
    let again = effective(&shown);
    assert_eq!((&again.domains[0].value.rules, &again.dns), (rules, &config.dns), "{shown}");
}

#[test]
fn slips_in_values_are_named() {
    let rules = |line: &str| format!("[domain-defaults]\n{line}\n");
    for (line, column, says) in [
        ("source-address = [\"eth0\"]", 19, "no address"),
        ("resolver = [\"ns.example.org\"]", 13, "no address of a server"),
        ("resolver = [\"0.0.0.0\"]", 13, "no address of a server"),
        ("resolver = [\"192.0.2.1:0\"]", 13, "no address of a server"),
        ("forward-client = \"xclinet\"", 18, "did you mean \"xclient\"?"),
        ("rate = \"0/m\"", 8, "restante hold"),
        ("rate = \"60\"", 8, "\"60/m\""),
        ("rate = \"-1/m\"", 8, "no rate"),
        ("circuit = [\"5\"]", 12, "no share"),
        ("circuit = [\"0/10\"]", 12, "before anything is refused"),
        ("circuit = [\"11/10\"]", 12, "never be reached"),
        ("circuit = [\"1/10001\"]", 12, "more than 10000"),
        ("circuit = [\"1/2\", \"1/2\", \"1/2\"]", 11, "3 shares"),
        ("owner = \"postmaster\"", 9, "no address"),
        ("tls-fingerprint = [\"sha256:00\"]", 20, "no fingerprint"),
        ("tls-name = \"a b\"", 12, "no domain name"),
        ("canary = \"yes\"", 10, "true or false"),
        ("delay-notice = \"0\"", 16, "every message is late"),
    ] {
        wrong(&rules(line), &format!(":2:{column}"), &[says]);
    }
    wrong("[dns]\nserver = []\n", ":2:1", &["did you mean \"servers\"?"]);
    wrong("[dns]\ntrust-anchor = \"/nowhere\"\n", ":2:16", &["trust-anchor: /nowhere: ", "DNSKEY or DS"]);
    let anchors = Tree::new("");
    let empty = anchors.file("root.key", "; no key\n");
    wrong(&format!("[dns]\ntrust-anchor = {empty:?}\n"), ":2:16", &["holds no DNSKEY and no DS record"]);
    wrong("[events]\nwebhook = \"http://example.org/\"\n", ":2:11", &["readable over the net", "https"]);
    wrong("[notices]\nfailed = \"/nowhere\"\n", ":2:10", &["failed: /nowhere cannot be used", "UTF-8"]);
    let tree = Tree::new("");
    let (empty, latin) = (tree.file("empty", " \n"), tree.file("latin", "x"));
    std::fs::write(&latin, b"\xff").unwrap();
    let large = tree.file("large", &"x".repeat(70_000));
    for (file, says) in [(empty, "must say something"), (latin, "UTF-8"), (large, "larger than")] {
        wrong(&format!("[notices]\ndelayed = {file:?}\n"), ":2:11", &[says]);
    }
}

#[test]
fn a_certificate_has_its_key_and_both_are_there() {
    let tree = Tree::new("");
    let file = tree.file("x.pem", "x");
    wrong(&format!("{DOMAIN}tls-certificate = {file:?}\n"), ":3:19", &["go together"]);
    wrong(&format!("{DOMAIN}tls-key = {file:?}\n"), ":3:11", &["go together"]);
    wrong(
        &format!("{DOMAIN}tls-policy = \"require\"\ntls-ca = \"/nowhere\"\n"),
        ":4:10",
        &["tls-ca: /nowhere"],
    );
    let apart = format!("[domain-defaults]\ntls-certificate = {file:?}\ntls-key = {file:?}\n{DOMAIN}");
    assert_eq!(Tree::new(&apart).errors(), Vec::<String>::new());
}

#[test]
fn what_the_policy_does_not_look_at_is_said() {
    let print = format!("tls-fingerprint = [\"sha256:{}\"]", "00".repeat(32));
    warns(
        &format!("{DOMAIN}{print}\n"),
        ":3:19",
        "tls-fingerprint is not looked at with tls-policy \"opportunistic\"",
    );
    warns(
        &format!("{DOMAIN}tls-policy = \"require\"\ntls-name = \"a.example\"\n"),
        ":4:12",
        "tls-name is not looked at",
    );
    warns(&format!("{DOMAIN}{print}\ntls-name = \"a.example\"\n"), ":3:19", "neither tls-ca nor tls-name");
}

#[test]
fn policies_that_need_a_name_and_have_an_address() {
    let with = |policy: &str, primary: &str, more: &str| {
        format!("{DOMAIN}primary = \"{primary}\"\ntls-policy = \"{policy}\"\n{more}")
    };
    wrong(&with("dane", "[192.0.2.1]", ""), ":4:14", &["TLSA records hang on a name"]);
    wrong(&with("mta-sts", "[192.0.2.1]", ""), ":4:14", &["a policy names MX hosts"]);
    warns(&with("mta-sts", "mail.example.org", ""), ":4:14", "only if the policy names it");
    warns(&with("verify", "[192.0.2.1]", ""), ":4:14", "issued for the address");
    warns(&with("verify", "mx", ""), ":4:14", "who forges the DNS");
    silent(&with("verify", "mx", "tls-name = \"mail.example.org\"\n"), "who forges the DNS");
    silent(&with("verify", "[192.0.2.1]", "tls-name = \"mail.example.org\"\n"), "issued for the address");
    silent(&with("verify", "mail.example.org", ""), "issued for the address");
    silent(&with("dane", "mail.example.org", ""), "hang on");
    // Written apart, the slip is where the domain is.
    let apart = "[domain-defaults]\ntls-policy = \"dane\"\n[[domain]]\nname = \"example.org\"\nprimary = \"[192.0.2.1]\"\n";
    wrong(apart, ":5:11", &["TLSA"]);
}

#[test]
fn what_is_probably_not_meant_is_said() {
    warns(
        &format!("{DOMAIN}notices = \"all\"\n"),
        ":3:11",
        "most senders of mail that is refused are forged",
    );
    warns(&format!("{DOMAIN}forward-client = \"xclient\"\n"), ":3:18", "whoever the DNS names");
    silent(
        &format!("{DOMAIN}primary = \"[192.0.2.1]\"\nforward-client = \"xclient\"\n"),
        "whoever the DNS names",
    );
    warns(
        &format!("{DOMAIN}source-address = [\"198.51.100.7\"]\n"),
        ":3:18",
        "no interface of this machine has",
    );
    silent(&format!("{DOMAIN}source-address = [\"192.0.2.99\", \"127.0.0.1\"]\n"), "no interface");
    warns(
        &format!("{DOMAIN}source-address = [\"192.0.2.99\", \"127.0.0.1\"]\n"),
        ":3:18",
        "several IPv4 addresses",
    );
    warns(
        &format!("{DOMAIN}retention = \"1d\"\ndelay-notice = \"2d\"\n"),
        ":4:16",
        "nobody is told of a delay",
    );
    warns(&format!("{DOMAIN}owner = \"postmaster@example.org\"\n"), ":2:8", "example.org is held here");
    let below = format!("{DOMAIN}subdomains = true\nowner = \"a@sub.example.org\"\n");
    warns(&below, ":2:8", "sub.example.org is held here");
    silent(&format!("{DOMAIN}owner = \"a@sub.example.org\"\n"), "is held here");
    warns("[events]\nwebhook = \"https://example.org/\"\n", ":2:11", "without secret-file");
    let tree = Tree::new("");
    let secret = tree.file("secret", "x");
    let words = ["other users can read it"];
    wrong(&format!("[events]\nsecret-file = {secret:?}\n"), ":2:15", &words);
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    warns(&format!("[events]\nsecret-file = {secret:?}\n"), ":2:15", "without a webhook");
}
