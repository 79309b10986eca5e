//! One function per event that an operator greps for.

use std::time::Duration;

use restante_queue::StoreError;
use restante_smtp::{EtrnAnswer, EtrnTarget};
use restante_types::{Domain, Printable, canonical};

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

/// Nobody we know may ask this from there. `rules` are those of the node, if it is held here.
pub(crate) fn etrn_refused(asker: &Asker, target: &EtrnTarget, rules: Option<&DomainTurn>) {
    tracing::warn!(
        event = "etrn_refused",
        client = %canonical(asker.address),
        identity = %who(asker),
        node = %named(target),
        held_here = rules.is_some(),
        suggestion = %suggestion(asker, rules),
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
