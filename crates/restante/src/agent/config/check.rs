//! What does not fit together.

use restante_agent::{Protocol, Secured, ServerSettings, limits};

use super::keys::{Policy, Server};
use super::read::maildir;
use crate::config::{Fields, Grade};

/// Says what is wrong with one server.
pub(super) fn server(keys: &Server, fields: &Fields<'_>) {
    if fields.place_if_written("address").is_none() {
        let meant = "write address = \"mx2.example.net:366\"";
        fields.find(Grade::Error, "address", "[[server]] without an address", meant);
    }
    if keys.domains.is_empty() {
        let meant = "write domains = [\"example.org\"]: nothing else is taken from this server";
        fields.find(Grade::Error, "domains", "[[server]] without domains", meant);
    }
    if keys.domains.len() > limits::DOMAINS {
        let what = format!("more than {} domains", limits::DOMAINS);
        fields.find(Grade::Error, "domains", what, "give them to several [[server]] of different names");
    }
    schedule(keys, fields);
    login(keys, fields);
    tls(keys, fields);
    local(keys, fields);
}

fn schedule(keys: &Server, fields: &Fields<'_>) {
    if keys.schedule.is_some() && keys.every.is_some() {
        fields.find(Grade::Error, "every", "schedule and every are both written", "leave one of them out");
    }
    if keys.every.is_some_and(|every| every.0.as_secs() == 0) {
        fields.find(Grade::Error, "every", "every is less than a second", "write a span like \"15m\"");
    }
}

fn login(keys: &Server, fields: &Fields<'_>) {
    let wrong = |key, what: &str, meant: &str| fields.find(Grade::Error, key, what, meant);
    let certificate = keys.client_certificate.is_some();
    if keys.secret_file.is_some() && keys.account.is_none() {
        wrong(
            "secret-file",
            "a password without an account",
            "write account = \"…\", as the server calls us",
        );
    }
    if keys.account.is_some() && keys.secret_file.is_none() && !certificate {
        let meant = "write secret-file = \"/etc/restante/agent.secret\", with the password on its first line";
        wrong("account", "an account without anything to prove it with", meant);
    }
    if certificate != keys.client_key.is_some() {
        let key = if certificate { "client-certificate" } else { "client-key" };
        wrong(key, "client-certificate and client-key go together", "write both, or none");
    }
    if certificate && keys.tls == Secured::Never {
        wrong(
            "client-certificate",
            "a client certificate is shown inside TLS only",
            "write tls = \"starttls\"",
        );
    }
    if keys.account.is_none() && !certificate && keys.protocol != Protocol::Etrn {
        let what = format!("{} without an account: servers want to know who asks", keys.protocol);
        let meant = "write account and secret-file, or client-certificate and client-key";
        fields.find(Grade::Warning, "protocol", what, meant);
    }
}

fn tls(keys: &Server, fields: &Fields<'_>) {
    let wrong = |key, what: &str, meant: &str| fields.find(Grade::Error, key, what, meant);
    let pinned = [("ca", keys.ca.is_some()), ("fingerprint", keys.fingerprint.is_some())];
    if keys.ca.is_some() && keys.fingerprint.is_some() {
        wrong("ca", "ca and fingerprint are both written", "leave one of them out");
    }
    for (key, _) in pinned.into_iter().filter(|(_, written)| *written) {
        if keys.tls_policy == Policy::Encrypt {
            wrong(key, "with tls-policy \"encrypt\" nothing is verified", "write tls-policy = \"verify\"");
        }
        if keys.tls == Secured::Never {
            wrong(key, "with tls \"none\" there is no certificate", "write tls = \"starttls\"");
        }
    }
    if keys.tls == Secured::Never && keys.account.is_some() {
        let what = "mail and account cross the line in clear; passwords still go by SCRAM only";
        fields.find(Grade::Warning, "tls", what, "write tls = \"starttls\" where the server has TLS");
    } else if keys.tls_policy == Policy::Encrypt && keys.tls != Secured::Never {
        let what = "with tls-policy \"encrypt\" whoever stands in between can pass for the server";
        fields.find(Grade::Warning, "tls-policy", what, "name its certificate by ca or fingerprint");
    }
}

fn local(keys: &Server, fields: &Fields<'_>) {
    let etrn = keys.protocol == Protocol::Etrn;
    if etrn && keys.local.is_some() && keys.expect_within.is_none() {
        let what = "after ETRN mail comes over connections of the server's own";
        fields.find(Grade::Warning, "local", what, "leave local out, or write protocol = \"atrn\"");
    }
    if !etrn && keys.expect_within.is_some() {
        let what = "expect-within is for ETRN: with ATRN mail comes while we look on";
        fields.find(Grade::Warning, "expect-within", what, "leave it out");
    }
    if etrn
        && keys.expect_within.is_some()
        && keys.expect_at.is_none()
        && maildir(keys.local.as_ref()).is_none()
    {
        let meant =
            "write expect-at = \"/path\" of a Maildir, a mailbox or a log that changes when mail comes";
        fields.find(
            Grade::Error,
            "expect-within",
            "nothing is named where mail could be seen to come",
            meant,
        );
    }
}

/// Each server has a name of its own: its lock and its record hang on it.
pub(super) fn not_twice(servers: &[ServerSettings], server: &ServerSettings, fields: &Fields<'_>) {
    if servers.iter().any(|other| other.name == server.name) {
        let what = format!("there are two servers with the name \"{}\"", server.name);
        fields.find(Grade::Error, "name", what, "write name = \"…\" in one of them");
    }
}
