//! One function per event that an operator greps for.

use std::net::IpAddr;
use std::time::Duration;

use restante_queue::StoreError;
use restante_smtp::{EtrnAnswer, EtrnTarget, Identity, Mechanism};
use restante_types::{Domain, Printable, Reply, canonical};

use crate::accounts::Cause;
use crate::limits::NAMES_IN_A_LINE;
use crate::requester::NoHop;
use crate::rights::{Asker, Right};
use crate::settings::DomainTurn;

fn named(target: &EtrnTarget) -> String {
    match target {
        EtrnTarget::Node(domain) => domain.to_string(),
        EtrnTarget::Subtree(domain) => format!("@{domain}"),
        EtrnTarget::Group(name) => format!("#{}", Printable::from(name.as_str())),
    }
}

fn who(asker: &Asker) -> String {
    asker.identity.as_ref().map_or_else(String::new, |name| Printable::from(name.as_str()).to_string())
}

/// Queues were told to flow.
pub(crate) fn etrn(asker: &Asker, target: &EtrnTarget, right: Right, messages: u64, answer: EtrnAnswer) {
    tracing::info!(
        event = "etrn",
        client = %canonical(asker.address),
        identity = %who(asker),
        node = %named(target),
        right = ?right,
        messages,
        answer = ?answer,
    );
}

/// Nobody we know may ask this from there. `rules` are those of the node, if it is held here; `untold` others were refused
/// since the last such event.
pub(crate) fn etrn_refused(asker: &Asker, target: &EtrnTarget, rules: Option<&DomainTurn>, untold: u64) {
    tracing::warn!(
        event = "etrn_refused",
        client = %canonical(asker.address),
        identity = %who(asker),
        node = %named(target),
        held_here = rules.is_some(),
        suggestion = %suggestion(asker, rules),
        untold = (untold > 0).then_some(untold),
    );
}

/// The line of configuration that would allow it, what is allowed already included.
pub(crate) fn suggestion(asker: &Asker, rules: Option<&DomainTurn>) -> String {
    let address = canonical(asker.address).to_string();
    let present = rules.iter().flat_map(|rules| &rules.etrn_from).map(ToString::to_string);
    let items: Vec<String> = present.chain([address]).map(|item| format!("\"{item}\"")).collect();
    format!("etrn-from = [{}]", items.join(", "))
}

/// Allowed, but all of the queues are stopped.
pub(crate) fn etrn_held(asker: &Asker, target: &EtrnTarget, reason: &str) {
    tracing::warn!(
        event = "etrn_deferred",
        client = %canonical(asker.address),
        node = %named(target),
        cause = "held",
        reason = %Printable::from(reason),
    );
}

/// Allowed, but asked too soon after the last time.
pub(crate) fn etrn_too_soon(asker: &Asker, target: &EtrnTarget, wait: Duration) {
    tracing::info!(
        event = "etrn_deferred",
        client = %canonical(asker.address),
        node = %named(target),
        cause = "too soon",
        wait_seconds = wait.as_secs_f64().ceil(),
    );
}

/// Allowed, but the store cannot start a drain now.
pub(crate) fn etrn_unavailable(asker: &Asker, target: &EtrnTarget, error: &StoreError) {
    tracing::warn!(
        event = "etrn_deferred",
        client = %canonical(asker.address),
        node = %named(target),
        cause = "store",
        error = %error,
    );
}

/// More queues than are looked at for one `@` or `#`; the rest were not started.
pub(crate) fn too_many_queues(looked_at: usize) {
    tracing::warn!(event = "etrn_incomplete", looked_at);
}

/// The operator asked for a drain.
pub(crate) fn flush(domain: &Domain, messages: u64, running: bool) {
    tracing::info!(event = "flush", domain = %domain, messages, running);
}

/// Somebody proved to own an account.
pub(crate) fn auth_ok(client: IpAddr, identity: &Identity, mechanism: Mechanism, tls: bool) {
    tracing::info!(
        event = "auth_ok",
        client = %canonical(client),
        account = %Printable::from(identity.0.as_str()),
        mechanism = %mechanism,
        tls,
    );
}

/// [4954-9-log] Somebody did not. Address, account and mechanism stand in one line, for fail2ban; what was shown never does.
pub(crate) fn auth_failed(client: IpAddr, account: &str, mechanism: Mechanism, cause: Cause) {
    tracing::warn!(
        event = "auth_failed",
        client = %canonical(client),
        account = %Printable::from(account),
        mechanism = %mechanism,
        cause = %cause,
    );
}

/// An owner asked, and its mail cannot go to where it asked from.
pub(crate) fn requester_refused(asker: &Asker, queue: &Domain, why: NoHop) {
    tracing::warn!(
        event = "requester_refused",
        client = %canonical(asker.address),
        identity = %who(asker),
        domain = %queue,
        why = %why,
    );
}

/// ATRN was asked for.
pub(crate) fn atrn(asker: &Asker, named: &[Domain], answer: &Result<Vec<Domain>, Reply>) {
    let asked = names(named);
    told("atrn", asker, &asked, answer);
}

/// TURN was asked for.
pub(crate) fn turn(asker: &Asker, answer: &Result<Vec<Domain>, Reply>) {
    told("turn", asker, "", answer);
}

fn told(event: &'static str, asker: &Asker, asked: &str, answer: &Result<Vec<Domain>, Reply>) {
    let (client, identity) = (canonical(asker.address), who(asker));
    match answer {
        Ok(queues) => {
            let queues = names(queues);
            tracing::info!(event, client = %client, identity = %identity, asked, queues = %queues, granted = true);
        }
        Err(reply) => {
            tracing::info!(event, client = %client, identity = %identity, asked, reply = %reply, granted = false);
        }
    }
}

/// The first few names; a list of a thousand would be no line of a log.
fn names(domains: &[Domain]) -> String {
    let shown: Vec<&str> = domains.iter().take(NAMES_IN_A_LINE).map(Domain::as_str).collect();
    let more = if domains.len() > NAMES_IN_A_LINE { ",…" } else { "" };
    format!("{}{more}", shown.join(","))
}
