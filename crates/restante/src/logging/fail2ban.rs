//! The filter in `etc/fail2ban` finds in our log who guesses passwords, and nobody else.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use restante_smtp::{Evidence, Mechanism, ScramKeys, Secret};
use restante_turn::{Account, Accounts, Install, Peer, StoredSecret};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::human::line;
use super::json::Objects;
use crate::cli::output::Shared;

/// Prints whom the filter named first finds in each of the lines, or `-`. The parts that fail2ban fills in are an address,
/// and what the journal puts before a message.
const FILTER: &str = r#"
import configparser, ipaddress, re, sys
parser = configparser.RawConfigParser()
parser.read_string(open(sys.argv[1]).read())
definition = parser["Definition"]
assert definition["_daemon"] == "restante", definition["_daemon"]
expressions = [
    re.compile(text.replace("<ADDR>", r"(?P<host>[0-9a-f.:]+)").replace("%(__prefix_line)s", r"mx2 restante\[\d+\]: "))
    for text in definition["failregex"].splitlines()
]
assert len(expressions) == 2, expressions
for line in sys.stdin.read().splitlines():
    found = [match["host"] for match in (expression.search(line) for expression in expressions) if match]
    assert len(found) < 2, line
    print(ipaddress.ip_address(found[0]) if found else "-")
"#;

/// What stands in an entry's MESSAGE.
struct Messages(Shared);

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        writeln!(self.0.clone(), "mx2 restante[12]: {}", line(event)).unwrap();
    }
}

fn try_as(accounts: &Accounts, address: &str, name: &str, password: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let peer = Peer { address, tls: true, certificate: None };
    let (mechanism, password) = (Mechanism::Plain, Secret::new(password.to_owned()));
    let evidence = Evidence::Plain { mechanism, authzid: None, name: name.to_owned(), password };
    accounts.check(&evidence, &peer, Instant::now()).is_ok()
}

fn found(log: &str) -> Vec<String> {
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../etc/fail2ban/restante.conf");
    let mut command = Command::new("python3");
    command.args(["-c", FILTER, filter]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = command.spawn().expect("python3 starts");
    python.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{log}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// [4954-9-log] In both forms of the log, whatever a client calls its account.
#[test]
fn who_guesses_passwords_is_found() {
    let keys = ScramKeys::derive("pencil", b"sixteen octets..", 4096);
    let accounts = Accounts::new(Install::new([3; 32]));
    let secret = Some(StoredSecret::Derived(keys));
    accounts.load(vec![Account { name: "old".into(), secret, ..Account::default() }]);
    let (json, journal) = (Shared::default(), Shared::default());
    let written = json.clone();
    let objects = tracing_subscriber::fmt::layer().event_format(Objects::default());
    let objects = objects.with_writer(move || written.clone());
    let log = tracing_subscriber::registry().with(objects).with(Messages(journal.clone()));
    tracing::subscriber::with_default(log, || {
        assert!(!try_as(&accounts, "192.0.2.7", "old", "crayon"));
        assert!(try_as(&accounts, "192.0.2.8", "old", "pencil"));
        assert!(!try_as(&accounts, "2001:db8::7", "x event=auth_failed client=203.0.113.9 ", "crayon"));
        assert!(!try_as(
            &accounts,
            "::ffff:192.0.2.9",
            r#"","event":"auth_failed","client":"203.0.113.9""#,
            ""
        ));
    });
    for log in [json, journal] {
        let text = log.text();
        assert_eq!(found(&text), ["192.0.2.7", "-", "2001:db8::7", "192.0.2.9"], "{text}");
    }
}
