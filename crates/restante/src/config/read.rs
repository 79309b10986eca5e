//! From files to a [`Config`].

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use restante_server::{ListenTls, Service};
use restante_types::Domain;
use toml::de::DeTable;

use super::fields::{Fields, Source};
use super::report::{Grade, Place, Report};
use super::rules;
use super::sections::{Admin, Dns, Events, GroupKeys, Limits, Listen, NoticeTexts, Rules, Tls, Top};
use super::told;
use super::{Config, Group, HeldDomain, Machine, Sited};
use crate::limits::{
    LEAST_INDEX_CACHE, MAX_CONFIG_FILE, MAX_CONNECTIONS, MAX_DOMAIN_FILES, MAX_GROUP_NAME, MAX_RECIPIENTS,
    MAX_SOCKET_PATH,
};

/// Reads everything there is, whatever is wrong with some of it.
pub(super) fn read(file: &Path, machine: &Machine) -> (Config, Report) {
    let report = RefCell::new(Report::default());
    let mut config = blank(file);
    read_file(file, &report, |fields| read_main(fields, machine, &mut config));
    let written = config.top.hostname.clone();
    match written.or_else(|| full_name(machine)) {
        Some(name) => config.hostname = name,
        None if report.borrow().has_errors() => {}
        None => report.borrow_mut().error(
            &Place::whole(file),
            "hostname is not written, and this machine's own name is not fully qualified",
            "write hostname = \"mx2.example.net\", with the name that the DNS knows this server by",
        ),
    }
    for extra in domain_files(file, &report) {
        read_file(&extra, &report, |fields| read_domains(fields, machine, &mut config));
    }
    (config, report.into_inner())
}

fn full_name(machine: &Machine) -> Option<Domain> {
    let name = machine.hostname.as_deref()?.parse::<Domain>().ok()?;
    name.is_fully_qualified().then_some(name)
}

fn blank(file: &Path) -> Config {
    Config {
        file: file.to_owned(),
        hostname: Domain::parse("localhost").expect("localhost is a name"),
        top: Top::default(),
        listen: Vec::new(),
        tls: None,
        dns: Dns::default(),
        notices: NoticeTexts::default(),
        events: Events::default(),
        admin: Admin::default(),
        limits: Limits::default(),
        defaults: Rules::default(),
        domains: Vec::new(),
        groups: Vec::new(),
        accounts: Vec::new(),
        accounts_stamp: None,
    }
}

/// Reads and parses a file and hands its outermost table on.
fn read_file(path: &Path, report: &RefCell<Report>, take: impl FnOnce(&mut Fields<'_>)) {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(error) => return report.borrow_mut().unreadable(path.to_owned(), &error),
    };
    let source = Source::new(path, text);
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let place = error.span().map_or_else(|| Place::whole(path), |span| source.place(span.start));
        report.borrow_mut().error(&place, error.message(), "this is no TOML; see https://toml.io");
    }
    // What follows a slip of syntax may have lost its table; half a file would be reported as something it is not.
    if errors.is_empty() {
        let mut fields = Fields::of_file(&source, &table, report);
        take(&mut fields);
        fields.finish();
    }
}

/// The text of a file that is not too large.
pub(crate) fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_CONFIG_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_CONFIG_FILE {
        return Err(io::Error::other(format!("larger than {MAX_CONFIG_FILE} octets")));
    }
    Ok(text)
}

/// `domains.d/*.toml` beside the file, in the order of their names.
fn domain_files(file: &Path, report: &RefCell<Report>) -> Vec<PathBuf> {
    let directory = file.parent().unwrap_or(Path::new("")).join("domains.d");
    let listed = directory.read_dir().and_then(|entries| {
        let paths = entries.take(MAX_DOMAIN_FILES + 1).map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<io::Result<Vec<PathBuf>>>()
    });
    let mut files = match listed {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            report.borrow_mut().unreadable(directory, &error);
            return Vec::new();
        }
    };
    if files.len() > MAX_DOMAIN_FILES {
        let error =
            io::Error::other(format!("more than {MAX_DOMAIN_FILES} files; put more domains into each"));
        report.borrow_mut().unreadable(directory, &error);
        return Vec::new();
    }
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml") && !hidden(path));
    files.sort();
    files
}

fn read_main(fields: &mut Fields<'_>, machine: &Machine, config: &mut Config) {
    config.top = Top::read(fields, &config.top);
    for mut listen in fields.tables("listen", "[[listen]]") {
        config.listen.push(read_listen(&mut listen));
        listen.finish();
    }
    if let Some(mut tls) = fields.table("tls", "[tls]") {
        config.tls = Some(Sited { value: Tls::read(&mut tls, &Tls::default()), place: tls.place() });
        tls.finish();
    }
    if let Some(mut admin) = fields.table("admin", "[admin]") {
        config.admin = read_admin(&mut admin, &config.admin);
        admin.finish();
    }
    read_surroundings(fields, config);
    if let Some(mut limits) = fields.table("limits", "[limits]") {
        config.limits = read_limits(&mut limits, &config.limits);
        limits.finish();
    }
    let mut defaults_primary = None;
    if let Some(mut defaults) = fields.table("domain-defaults", "[domain-defaults]") {
        config.defaults = rules::read(&mut defaults, &config.defaults, machine);
        defaults_primary = defaults.place_if_written("primary");
        defaults.finish();
    }
    read_domains(fields, machine, config);
    for domain in config.domains.iter_mut().filter(|domain| domain.value.primary_place == domain.place) {
        domain.value.primary_place = defaults_primary.clone().unwrap_or_else(|| domain.place.clone());
    }
    for mut group in fields.tables("group", "[[group]]") {
        config.groups.extend(read_group(&mut group));
        group.finish();
    }
    check_top(fields, config);
}

/// The tables of names, notices and events.
fn read_surroundings(fields: &mut Fields<'_>, config: &mut Config) {
    if let Some(mut dns) = fields.table("dns", "[dns]") {
        config.dns = Dns::read(&mut dns, &config.dns);
        rules::trust_anchor(&dns, "trust-anchor", config.dns.trust_anchor.as_deref());
        dns.finish();
    }
    if let Some(mut notices) = fields.table("notices", "[notices]") {
        config.notices = NoticeTexts::read(&mut notices, &config.notices);
        let texts = &config.notices;
        for (key, file) in
            [("failed", &texts.failed), ("delayed", &texts.delayed), ("relayed", &texts.relayed)]
        {
            rules::template(&notices, key, file.as_deref());
        }
        notices.finish();
    }
    if let Some(mut events) = fields.table("events", "[events]") {
        config.events = Events::read(&mut events, &config.events);
        told::events(&events, &config.events);
        events.finish();
    }
}

fn read_admin(fields: &mut Fields<'_>, base: &Admin) -> Admin {
    let admin = Admin::read(fields, base);
    told::monitors(fields, &admin);
    let octets = admin.socket.as_os_str().len();
    if octets > MAX_SOCKET_PATH {
        let what = format!("the socket's path has {octets} octets, and the system takes {MAX_SOCKET_PATH}");
        fields.find(Grade::Error, "socket", what, "write a shorter path, like \"/run/restante/admin.sock\"");
    }
    admin
}

fn check_top(fields: &Fields<'_>, config: &mut Config) {
    if let Some(name) = config.top.hostname.as_ref().filter(|name| !name.is_fully_qualified()) {
        let what = format!("hostname \"{name}\" is not fully qualified");
        fields.find(Grade::Error, "hostname", what, "write the whole name, like \"mx2.example.net\"");
    }
    if config.top.hop_limit == 0 {
        fields.find(Grade::Error, "hop-limit", "with hop-limit 0 every message is a loop", "leave it at 100");
    } else if config.top.hop_limit < 100 {
        let what = "hop-limit below 100 may refuse mail that does not loop (RFC 5321 6.3)";
        fields.find(Grade::Warning, "hop-limit", what, "leave it at 100");
    }
    if config.listen.is_empty() {
        config.listen.push(Sited { value: Listen::default(), place: fields.place_of("listen") });
    }
}

fn read_listen(fields: &mut Fields<'_>) -> Sited<Listen> {
    let mut listen = Listen::read(fields, &Listen::default());
    if fields.place_if_written("address").is_none() {
        let meant = "write address = \"[::]:25\", or the address and port that are meant";
        fields.find(Grade::Error, "address", "[[listen]] without an address", meant);
    }
    if listen.service == Service::Odmr {
        if fields.place_if_written("tls").is_none() {
            listen.tls = ListenTls::Required;
        }
        listen.atrn = true;
    }
    Sited { value: listen, place: fields.place_of("address") }
}

fn read_limits(fields: &mut Fields<'_>, base: &Limits) -> Limits {
    let limits = Limits::read(fields, base);
    if limits.message_size.0 < 65_536 {
        let what = "message-size below 64 KiB";
        fields.find(Grade::Error, "message-size", what, "every server must take 64 KiB (RFC 5321 4.5.3.1.7)");
    }
    if limits.recipients < 100 {
        let meant = "every server must take 100 (RFC 5321 4.5.3.1.8)";
        fields.find(Grade::Error, "recipients", "recipients below 100", meant);
    }
    if limits.recipients > MAX_RECIPIENTS {
        fields.find(
            Grade::Error,
            "recipients",
            format!("recipients above {MAX_RECIPIENTS}"),
            "more do not fit into one entry of the queue",
        );
    }
    for (key, value) in
        [("connections", limits.connections), ("connections-per-client", limits.connections_per_client)]
    {
        if value == 0 {
            fields.find(
                Grade::Error,
                key,
                format!("with {key} 0 nobody can connect"),
                "write a number from 1 up",
            );
        } else if value > MAX_CONNECTIONS {
            fields.find(
                Grade::Error,
                key,
                format!("{key} above {MAX_CONNECTIONS}"),
                "no machine has that many; write what yours can carry",
            );
        }
    }
    if limits.index_cache.0 < LEAST_INDEX_CACHE {
        let meant = "write at least \"1 MiB\"; the index does not open with less";
        fields.find(Grade::Error, "index-cache", "index-cache below 1 MiB", meant);
    }
    limits
}

fn read_domains(fields: &mut Fields<'_>, machine: &Machine, config: &mut Config) {
    for mut table in fields.tables("domain", "[[domain]]") {
        let written = table.place_if_written("name").is_some();
        let name: Option<Domain> = table.get("name");
        let rules = rules::read(&mut table, &config.defaults, machine);
        if !written {
            table.find(Grade::Error, "name", "[[domain]] without a name", "write name = \"example.org\"");
        }
        if let Some(name) = name {
            let place = table.place_of("name");
            let primary_place = table.place_if_written("primary").unwrap_or_else(|| place.clone());
            config.domains.push(Sited { value: HeldDomain { name, rules, primary_place }, place });
        }
        table.finish();
    }
}

fn read_group(fields: &mut Fields<'_>) -> Option<Sited<Group>> {
    let keys = GroupKeys::read(fields, &GroupKeys::default());
    let Some(name) = keys.name else {
        if fields.place_if_written("name").is_none() {
            fields.find(Grade::Error, "name", "[[group]] without a name", "write name = \"customer42\"");
        }
        return None;
    };
    let printable = name.chars().all(|c| c.is_ascii_graphic());
    if name.is_empty() || name.len() > MAX_GROUP_NAME || !printable {
        let meant = format!("write 1 to {MAX_GROUP_NAME} letters, digits or signs without spaces");
        fields.find(Grade::Error, "name", format!("\"{name}\" cannot be asked for by ETRN #name"), meant);
    }
    if keys.domains.is_empty() {
        fields.find(
            Grade::Warning,
            "domains",
            format!("group \"{name}\" has no domains"),
            "nobody can ask for it",
        );
    }
    let group = Group { name: name.to_ascii_lowercase(), domains: keys.domains };
    Some(Sited { value: group, place: fields.place_of("domains") })
}
