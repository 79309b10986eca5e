//! From the file to [`Settings`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use restante_agent::{Expect, HostPort, Local, Login, Protocol, Schedule, ServerSettings, Settings};
use restante_net::Trust;
use restante_types::Domain;
use toml::de::DeTable;

use super::check;
use super::keys::{Policy, Server, Top};
use crate::config::{Fields, Grade, Machine, Place, Report, Source, text_of};

/// How often a server is called that has no schedule.
const USUAL: Duration = Duration::from_secs(15 * 60);

/// Reads everything there is, whatever is wrong with some of it.
pub(super) fn read(file: &Path, machine: &Machine) -> (Option<Settings>, Report) {
    let report = RefCell::new(Report::default());
    let settings = match text_of(file) {
        Ok(text) => parse(&Source::new(file, text), machine, &report),
        Err(error) => {
            report.borrow_mut().unreadable(file.to_owned(), &error);
            None
        }
    };
    (settings, report.into_inner())
}

fn parse(source: &Source, machine: &Machine, report: &RefCell<Report>) -> Option<Settings> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let place = error.span().map_or_else(|| Place::whole(source.file()), |span| source.place(span.start));
        report.borrow_mut().error(&place, error.message(), "this is no TOML; see https://toml.io");
    }
    if !errors.is_empty() {
        return None;
    }
    let mut fields = Fields::of_agent(source, &table, report);
    let top = Top::read(&mut fields, &Top::default());
    let mut servers = Vec::new();
    for mut inner in fields.tables("server", "[[server]]") {
        let keys = Server::read(&mut inner, &Server::default());
        check::server(&keys, &inner);
        if let Some(server) = server(keys) {
            check::not_twice(&servers, &server, &inner);
            servers.push(server);
        }
        inner.finish();
    }
    if servers.is_empty() && !report.borrow().has_errors() {
        let meant = "write [[server]] on a line of its own, and address and domains below it";
        fields.find(Grade::Error, "server", "no server to collect from", meant);
    }
    let hostname = top.hostname.or_else(|| full_name(machine)).or_else(|| first_domain(&servers));
    fields.finish();
    Some(Settings { hostname: hostname?, state_file: top.state_file, servers })
}

fn full_name(machine: &Machine) -> Option<Domain> {
    let name = machine.hostname.as_deref()?.parse::<Domain>().ok()?;
    name.is_fully_qualified().then_some(name)
}

/// RFC 2645 6: the customer greets with its own domain.
fn first_domain(servers: &[ServerSettings]) -> Option<Domain> {
    servers.first().and_then(|server| server.domains.first()).cloned()
}

/// One server, where enough of it is there.
fn server(keys: Server) -> Option<ServerSettings> {
    let address: HostPort = keys.address?;
    let tls_name = match keys.tls_name {
        Some(name) => name.0,
        None => address.server_name().ok()?,
    };
    let trust = match (keys.tls_policy, keys.fingerprint, keys.ca) {
        (Policy::Encrypt, ..) => Trust::Anyone,
        (Policy::Verify, Some(fingerprint), _) => Trust::Fingerprint(fingerprint.0),
        (Policy::Verify, None, Some(ca)) => Trust::Authorities(ca),
        (Policy::Verify, None, None) => Trust::System,
    };
    let schedule = match (keys.schedule, keys.every) {
        (Some(cron), _) => cron,
        (None, every) => Schedule::Every(every.map_or(USUAL, |every| every.0)),
    };
    let expect_at = keys.expect_at.or_else(|| maildir(keys.local.as_ref()));
    let expect = keys.expect_within.zip(expect_at).map(|(within, at)| Expect { within: within.0, at });
    let local = match keys.protocol {
        Protocol::Etrn => None,
        Protocol::Atrn | Protocol::Turn => Some(keys.local.unwrap_or_else(usual_local)),
    };
    Some(ServerSettings {
        name: keys.name.unwrap_or_else(|| address.to_string()),
        address,
        protocol: keys.protocol,
        login: Login {
            account: keys.account,
            secret_file: keys.secret_file,
            certificate: keys.client_certificate.zip(keys.client_key),
        },
        tls: keys.tls,
        trust,
        tls_name,
        domains: keys.domains,
        schedule,
        jitter: keys.jitter.0,
        local,
        expect,
    })
}

/// The mail server of this machine.
fn usual_local() -> Local {
    "127.0.0.1:25".parse().expect("an address with a port")
}

/// Where mail is seen to come without being told.
pub(super) fn maildir(local: Option<&Local>) -> Option<PathBuf> {
    match local {
        Some(Local::Maildir(path)) => Some(path.clone()),
        _ => None,
    }
}
