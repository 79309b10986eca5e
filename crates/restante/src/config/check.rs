//! What only shows when the parts are seen together.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use restante_delivery::NextHop;
use restante_net::ServerTls;
use restante_server::ListenTls;
use restante_types::{Domain, MailboxHost, canonical};

use super::nearest::nearest;
use super::report::{Place, Report};
use super::values::DeliverTo;
use super::{Config, HeldDomain, Machine, Sited};
use crate::accounts::{self, SitedAccount};

/// Adds what it finds to the report.
pub(super) fn check(config: &Config, machine: &Machine, report: &mut Report) {
    listeners(config, report);
    tls(config, report);
    domains(config, report);
    for domain in &config.domains {
        primary(config, machine, domain, report);
    }
    groups(config, report);
    accounts::check(&config.accounts, config, report);
    collected(config, report);
    advice(config, report);
}

fn listeners(config: &Config, report: &mut Report) {
    for (index, one) in config.listen.iter().enumerate() {
        let clash =
            config.listen[..index].iter().find(|other| overlap(other.value.address, one.value.address));
        if let Some(other) = clash {
            let what = format!("{} is taken by the listener in line {}", one.value.address, other.place.line);
            let meant = if other.value.address == one.value.address {
                "give one of the two another address or port"
            } else {
                "an unspecified address takes them all; give one of the two another port"
            };
            report.error(&one.place, what, meant);
        }
    }
}

/// Whether the second cannot be bound while the first is. Port 0 is a port of the system's choice.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (ip_a, ip_b) = (canonical(a.ip()), canonical(b.ip()));
    // [::] takes IPv4 as well; 0.0.0.0 takes IPv4 only.
    let takes = |wide: IpAddr, narrow: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (ip_a == ip_b || takes(ip_a, ip_b) || takes(ip_b, ip_a))
}

fn tls(config: &Config, report: &mut Report) {
    let Some(Sited { value: tls, place }) = &config.tls else {
        for one in config
            .listen
            .iter()
            .filter(|one| matches!(one.value.tls, ListenTls::Required | ListenTls::Implicit))
        {
            let what = "this listener cannot do without TLS, and there is no [tls]";
            report.error(&one.place, what, "add [tls] with certificate and key, or with self-signed = true");
        }
        if config.listen.iter().any(|one| one.value.tls == ListenTls::StartTls) {
            let place = Place::whole(&config.file);
            let what = "there is no [tls]: STARTTLS is not offered and all mail comes in readable on the way";
            report.warning(&place, what, "add [tls] with certificate and key, or with self-signed = true");
        }
        return;
    };
    if let Some(authority) = &tls.client_ca {
        readable(authority, "client-ca", place, report);
    }
    match (&tls.certificate, &tls.key, tls.self_signed) {
        (Some(certificate), Some(key), false) => {
            let both = [("certificate", certificate), ("key", key)];
            let readable = both.map(|(name, file)| readable(file, name, place, report)) == [true, true];
            if readable && let Err(error) = ServerTls::load(certificate, key) {
                report.error(
                    place,
                    error.to_string(),
                    "write a certificate and the key that belongs to it, as PEM",
                );
            }
        }
        (None, None, true) => {}
        (None, None, false) => {
            report.error(place, "[tls] is empty", "write certificate and key, or self-signed = true");
        }
        (_, _, true) => {
            report.error(place, "self-signed = true beside a certificate or key", "write one or the other");
        }
        _ => report.error(place, "certificate and key go together", "write both, or self-signed = true"),
    }
}

fn readable(file: &Path, key: &str, place: &Place, report: &mut Report) -> bool {
    let opened = File::open(file);
    if let Err(error) = &opened {
        let what = format!("{key}: {} cannot be read: {error}", file.display());
        report.error(place, what, "write the path of a PEM file that this user may read");
    }
    opened.is_ok()
}

fn domains(config: &Config, report: &mut Report) {
    let mut seen: HashMap<&Domain, &Place> = HashMap::new();
    for domain in &config.domains {
        let name = &domain.value.name;
        if let Some(first) = seen.insert(name, &domain.place) {
            report.error(
                &domain.place,
                format!("{name} is already configured at {first}"),
                "remove one of the two",
            );
        }
        if *name == config.hostname {
            let what =
                format!("{name} is this server's own name; mail for it would be held, not delivered here");
            report.warning(
                &domain.place,
                what,
                "restante has no mailboxes of its own; hold it only if another host has",
            );
        }
        if !name.is_fully_qualified() {
            let meant = "write the whole name, like \"example.org\"";
            report.error(&domain.place, format!("{name} is not fully qualified"), meant);
        }
    }
    if config.domains.is_empty() {
        let meant = "add a [[domain]] with name = \"example.org\"";
        report.warning(&Place::whole(&config.file), "no domain is configured: all mail is refused", meant);
    }
}

/// A primary that is ourselves would be a loop.
fn primary(config: &Config, machine: &Machine, domain: &Sited<HeldDomain>, report: &mut Report) {
    let HeldDomain { name, rules, primary_place } = &domain.value;
    let ours = |port: u16| config.listen.iter().any(|listen| listen.value.address.port() == port);
    let what = match &rules.primary {
        NextHop::Mx => return,
        NextHop::Host { name: host, port } if *host == config.hostname && ours(*port) => host.to_string(),
        NextHop::Literal(address) if is_us(config, machine, *address) => address.to_string(),
        NextHop::Host { .. } | NextHop::Literal(_) => return,
    };
    let meant = "write the host that has the mailboxes";
    report.error(primary_place, format!("the primary of {name}, {what}, is this server itself"), meant);
}

fn is_us(config: &Config, machine: &Machine, target: SocketAddr) -> bool {
    let ip = canonical(target.ip());
    if config.top.own_addresses.iter().any(|own| canonical(*own) == ip) {
        return config.listen.iter().any(|listen| listen.value.address.port() == target.port());
    }
    config.listen.iter().any(|listen| {
        let own = listen.value.address;
        let reached = canonical(own.ip()) == ip
            || (own.ip().is_unspecified() && (ip.is_loopback() || (machine.is_local)(ip)));
        reached && own.port() == target.port()
    })
}

fn groups(config: &Config, report: &mut Report) {
    let mut seen: HashMap<&str, &Place> = HashMap::new();
    for group in &config.groups {
        if let Some(first) = seen.insert(&group.value.name, &group.place) {
            let what = format!("group \"{}\" is already configured at {first}", group.value.name);
            report.error(
                &group.place,
                what,
                "names of groups are compared without case; rename one of the two",
            );
        }
        let known = || config.domains.iter().map(|domain| &domain.value.name);
        for name in group.value.domains.iter().filter(|name| !known().any(|known| known == *name)) {
            let meant = match nearest(name.as_str(), known().map(Domain::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("add a [[domain]] with name = \"{name}\", or take it out of the group"),
            };
            report.error(&group.place, format!("{name} is no configured domain"), meant);
        }
    }
}

fn advice(config: &Config, report: &mut Report) {
    let looked_up = config.domains.iter().filter(|domain| domain.value.rules.primary == NextHop::Mx).count();
    if looked_up > 0 {
        report.note(
            &config.file,
            format!(
                "{looked_up} of {} domains look their primary up (primary = \"mx\"); pin it, like primary = \
                 \"[192.0.2.1]:25\", and neither a change nor an outage of the DNS stops or misleads the mail",
                config.domains.len()
            ),
        );
    }
    let held = config.per_domain(|_| ());
    for domain in &config.domains {
        let HeldDomain { name, rules, .. } = &domain.value;
        let Some(MailboxHost::Domain(host)) = rules.owner.as_ref().map(|owner| &owner.host) else { continue };
        if held.find(host).is_some() {
            let what = format!(
                "owner of {name}: {host} is held here, so that news of its trouble waits with its mail"
            );
            report.warning(&domain.place, what, "write an address at a host that is not held here");
        }
    }
}

/// What needs an account, and there is none.
fn collected(config: &Config, report: &mut Report) {
    let meant = "restante account add NAME --domain DOMAIN makes one";
    if let Some(listen) = config.listen.iter().find(|listen| listen.value.atrn)
        && config.accounts.is_empty()
    {
        let what = format!(
            "nobody can collect mail here: there is no account in {}",
            accounts::file(config).display()
        );
        report.warning(&listen.place, what, meant);
    }
    for domain in config.domains.iter().filter(|domain| domain.value.rules.deliver_to == DeliverTo::Requester)
    {
        let name = &domain.value.name;
        let shows = |account: &&SitedAccount| !account.value.certificates.is_empty();
        if !config
            .accounts
            .iter()
            .filter(|account| account.value.domains.contains(name))
            .any(|account| shows(&account))
        {
            let what = format!("deliver-to: no account that owns {name} has a client-certificate on file");
            let meant = "mail goes to an address that asks only if its server shows that certificate; or collect it by ATRN";
            report.warning(&domain.place, what, meant);
        }
    }
}
