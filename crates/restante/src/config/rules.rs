//! A domain's rules: what of them does not fit together, said where it is written.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use restante_delivery::{ForwardClient, NextHop, Notices, TlsPolicy};
use restante_types::canonical;

use super::fields::Fields;
use super::report::Grade;
use super::sections::Rules;
use super::{Machine, written};
use crate::limits::MAX_TEMPLATE;

/// Reads a domain's rules, or those of all domains. What is wrong is reported once, in the table in which at least one
/// of the keys is written that do not go together.
pub(super) fn read(fields: &mut Fields<'_>, base: &Rules, machine: &Machine) -> Rules {
    let rules = Rules::read(fields, base);
    keeping(fields, &rules);
    trust(fields, &rules);
    way(fields, &rules, machine);
    told(fields, &rules);
    rules
}

fn any(fields: &Fields<'_>, keys: &[&str]) -> bool {
    keys.iter().any(|key| fields.place_if_written(key).is_some())
}

/// The first of these keys that is written here.
fn first<'k>(fields: &Fields<'_>, keys: &[&'k str]) -> Option<&'k str> {
    keys.iter().copied().find(|key| fields.place_if_written(key).is_some())
}

fn keeping(fields: &Fields<'_>, rules: &Rules) {
    let zero = [("retention", rules.retention), ("parked-retention", rules.parked_retention)];
    for (key, _) in zero.into_iter().filter(|(key, span)| span.0.is_zero() && any(fields, &[key])) {
        fields.find(Grade::Error, key, format!("with {key} 0 nothing is kept"), "write a span like \"14d\"");
    }
    if rules.connections == 0 && any(fields, &["connections"]) {
        let meant = "write a number from 1 up; to stop a domain, use restante hold";
        fields.find(Grade::Error, "connections", "with connections 0 nothing can leave", meant);
    }
    let Some(delay) = rules.delay_notice.0 else { return };
    if let Some(key) = first(fields, &["delay-notice", "retention"]) {
        if delay.0.is_zero() {
            let meant = "write \"off\", or a span like \"4h\"";
            fields.find(Grade::Error, key, "with delay-notice 0 every message is late", meant);
        } else if delay.0 >= rules.retention.0 {
            let what = format!(
                "delay-notice {} is not before the end of retention, {}: nobody is told of a delay",
                written(&rules.delay_notice),
                written(&rules.retention)
            );
            fields.find(Grade::Warning, key, what, "write a span that is shorter than retention");
        }
    }
}

/// The certificate that the primary shows, and ours.
fn trust(fields: &Fields<'_>, rules: &Rules) {
    let find = |grade, key, what: String, meant: &str| fields.find(grade, key, what, meant);
    readable(fields, "tls-ca", rules.tls_ca.as_deref());
    readable(fields, "tls-certificate", rules.tls_certificate.as_deref());
    readable(fields, "tls-key", rules.tls_key.as_deref());
    if rules.tls_certificate.is_some() != rules.tls_key.is_some()
        && let Some(key) = first(fields, &["tls-certificate", "tls-key"])
    {
        find(Grade::Error, key, "tls-certificate and tls-key go together".into(), "write both, or none");
    }
    let named = [
        ("tls-ca", rules.tls_ca.is_some()),
        ("tls-name", rules.tls_name.is_some()),
        ("tls-fingerprint", !rules.tls_fingerprint.is_empty()),
    ];
    for (key, _) in named.into_iter().filter(|(key, set)| *set && any(fields, &[key, "tls-policy"])) {
        if rules.tls_policy != TlsPolicy::Verify {
            let what = format!("{key} is not looked at with tls-policy \"{}\"", written(&rules.tls_policy));
            find(Grade::Warning, key, what, "write tls-policy = \"verify\"");
        }
    }
    if !rules.tls_fingerprint.is_empty()
        && (rules.tls_ca.is_some() || rules.tls_name.is_some())
        && let Some(key) = first(fields, &["tls-fingerprint", "tls-ca", "tls-name"])
    {
        let what = "with tls-fingerprint neither tls-ca nor tls-name is looked at".to_owned();
        find(Grade::Warning, key, what, "leave them out, or the fingerprints");
    }
    policy_and_primary(fields, rules);
}

fn policy_and_primary(fields: &Fields<'_>, rules: &Rules) {
    let keys = ["tls-policy", "primary", "tls-name", "tls-fingerprint"];
    let Some(key) = first(fields, &keys) else { return };
    let primary = written(&rules.primary);
    match (rules.tls_policy, &rules.primary) {
        (TlsPolicy::Verify, NextHop::Literal(_))
            if rules.tls_name.is_none() && rules.tls_fingerprint.is_empty() =>
        {
            let what = format!(
                "tls-policy \"verify\" with the address {primary} as primary: its certificate would have to be issued \
                 for the address"
            );
            let meant =
                "write tls-name = \"mail.example.org\", the name in its certificate, or its tls-fingerprint";
            fields.find(Grade::Warning, key, what, meant);
        }
        (TlsPolicy::Verify, NextHop::Mx) if rules.tls_name.is_none() && rules.tls_fingerprint.is_empty() => {
            let what = "tls-policy \"verify\" with primary \"mx\": the name that is looked for is the one the DNS gives, so \
                        who forges the DNS can show a good certificate of his own";
            let meant = "write tls-name, pin the primary by its name, or use \"dane\" or \"mta-sts\"";
            fields.find(Grade::Warning, key, what.to_owned(), meant);
        }
        (TlsPolicy::Dane, NextHop::Literal(_)) => {
            let what = format!(
                "tls-policy \"dane\" with the address {primary} as primary: TLSA records hang on a name"
            );
            fields.find(
                Grade::Error,
                key,
                what,
                "write the primary's name, or tls-fingerprint with \"verify\"",
            );
        }
        (TlsPolicy::MtaSts, NextHop::Literal(_)) => {
            let what = format!(
                "tls-policy \"mta-sts\" with the address {primary} as primary: a policy names MX hosts"
            );
            fields.find(Grade::Error, key, what, "write primary = \"mx\", or tls-policy = \"verify\"");
        }
        (TlsPolicy::MtaSts, NextHop::Host { .. }) => {
            let what = format!(
                "tls-policy \"mta-sts\" with the primary {primary}: mail goes only if the policy names it"
            );
            fields.find(Grade::Warning, key, what, "write primary = \"mx\", or tls-policy = \"verify\"");
        }
        _ => {}
    }
}

/// Where from, and past which servers.
fn way(fields: &Fields<'_>, rules: &Rules, machine: &Machine) {
    if any(fields, &["source-address"]) {
        let sources = &rules.source_address;
        for source in sources.iter().filter(|source| !has(machine, **source)) {
            let what = format!("source-address: no interface of this machine has {source}");
            fields.find(Grade::Warning, "source-address", what, "connecting from it will fail until one has");
        }
        for (family, is) in [("IPv4", true), ("IPv6", false)] {
            if sources.iter().filter(|source| canonical(**source).is_ipv4() == is).count() > 1 {
                let what = format!("source-address: of several {family} addresses the first is used");
                fields.find(Grade::Warning, "source-address", what, "write one of each family");
            }
        }
    }
    let told = rules.forward_client != ForwardClient::Off && rules.primary == NextHop::Mx;
    if told && let Some(key) = first(fields, &["forward-client", "primary"]) {
        let what = format!(
            "forward-client \"{}\" with primary \"mx\": whoever the DNS names is told who the client was",
            written(&rules.forward_client)
        );
        fields.find(Grade::Warning, key, what, "pin the primary, like primary = \"[192.0.2.1]:25\"");
    }
}

fn has(machine: &Machine, address: IpAddr) -> bool {
    let address = canonical(address);
    address.is_loopback() || (machine.is_local)(address)
}

fn told(fields: &Fields<'_>, rules: &Rules) {
    if rules.notices == Notices::All && any(fields, &["notices"]) {
        let what = "notices \"all\": most senders of mail that is refused are forged, and those who never wrote get \
                    the notices; servers that send such are put on block lists";
        fields.find(Grade::Warning, "notices", what, "write \"verified\"");
    }
}

/// Reports a file that cannot be read, where its key is written here.
pub(super) fn readable(fields: &Fields<'_>, key: &str, file: Option<&Path>) {
    let Some(file) = file.filter(|_| any(fields, &[key])) else { return };
    if let Err(error) = File::open(file).and_then(|file| file.metadata()) {
        let what = format!("{key}: {} cannot be read: {error}", file.display());
        fields.find(Grade::Error, key, what, "write the path of a file that this user may read");
    }
}

/// Reports a file of trust anchors that cannot be used.
pub(super) fn trust_anchor(fields: &Fields<'_>, key: &str, file: Option<&Path>) {
    let Some(file) = file else { return };
    let settings =
        restante_delivery::DnsSettings { servers: Vec::new(), trust_anchor: Some(file.to_owned()) };
    if let Err(error) = settings.check() {
        let what = format!("{key}: {error}");
        fields.find(Grade::Error, key, what, "write the path of a file of DNSKEY or DS records, one a line");
    }
}

/// Reports a text for notices that cannot be used.
pub(super) fn template(fields: &Fields<'_>, key: &str, file: Option<&Path>) {
    let Some(file) = file else { return };
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(MAX_TEMPLATE + 1).read_to_string(&mut text));
    let wrong = match read {
        Ok(octets) if octets as u64 > MAX_TEMPLATE => {
            Some(io::Error::other(format!("larger than {MAX_TEMPLATE} octets")))
        }
        Ok(_) => text.parse::<restante_delivery::Template>().err().map(io::Error::other),
        Err(error) => Some(error),
    };
    if let Some(error) = wrong {
        let what = format!("{key}: {} cannot be used: {error}", file.display());
        fields.find(Grade::Error, key, what, "write the path of a text in UTF-8, or leave the key out");
    }
}
