//! What people are told by mail: about one alarm at most one mail an hour, and then how it stands.

use std::time::Duration;

use restante_api::timestamp;
use restante_delivery::Letter;
use restante_types::{Mailbox, UnixMillis};

use super::board::{Key, Open};
use super::kind::Kind;
use super::look::span;
use super::memory::{Mailed, Memory};
use super::settings::Settings;

/// The least time between two mails about one alarm.
pub(super) const APART: Duration = Duration::from_secs(3600);

/// A letter that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// About which alarm.
    pub(super) key: Key,
    /// Whether it tells that it is open.
    pub(super) open: bool,
    /// The letter.
    pub(super) letter: Letter,
}

/// The letters that are due now. What somebody was told last is compared with how things stand, so a letter that could
/// not be sent is due again, and what came and went within the hour is told once. Where it could not be sent before its
/// alarm closed, one letter tells both.
pub(super) fn due(memory: &mut Memory, settings: &Settings, now: UnixMillis) -> Vec<Due> {
    forget_quiet_ends(memory, now);
    memory.untold.retain(|key| settings.mail && addressee(key, settings).is_some());
    if !settings.mail {
        return Vec::new();
    }
    let rested = |key: &Key| memory.mailed.get(key).is_none_or(|mailed| is_old(*mailed, now));
    let told = |key: &Key| memory.mailed.get(key).is_some_and(|mailed| mailed.open);
    // What is nearly over is told as a whole when it is.
    let ending = |key: &Key, open: &Open| open.is_ending() && memory.untold.get(key).is_some();
    let open = memory.board.open().filter(|(key, open)| !told(key) && rested(key) && !ending(key, open));
    let begun = open.filter_map(|(key, open)| {
        let to = addressee(key, settings)?;
        Some(Due { key: key.clone(), open: true, letter: begins(key, open, to, settings, now) })
    });
    let over = memory
        .mailed
        .iter()
        .filter(|(key, mailed)| mailed.open && memory.board.get(key).is_none() && is_old(**mailed, now));
    let ended = over.filter_map(|(key, _)| {
        let to = addressee(key, settings)?;
        Some(Due { key: key.clone(), open: false, letter: ends(key, to, settings)? })
    });
    let missed = memory.untold.open().filter(|(key, _)| memory.board.get(key).is_none());
    let missed = missed.filter_map(|(key, was)| {
        let to = addressee(key, settings)?;
        Some(Due { key: key.clone(), open: false, letter: missed_letter(key, was, to, settings) })
    });
    begun.chain(ended).chain(missed).collect()
}

/// Remembers of which alarms these could not tell, until somebody is told. Returns whether any is new. That mail waited
/// is no news behind its end.
pub(super) fn remember(memory: &mut Memory, due: &[Due]) -> bool {
    let mut is_new = false;
    for one in due.iter().filter(|one| one.open && one.key.0.is_warning()) {
        let open = memory.board.get(&one.key).cloned();
        is_new |= open.is_some_and(|open| memory.untold.note(one.key.clone(), open));
    }
    is_new
}

/// Whether another may follow; so after a clock that went back.
fn is_old(mailed: Mailed, now: UnixMillis) -> bool {
    now.since(mailed.at) >= APART || now < mailed.at
}

/// Ends that nobody is told of are noted at once; what was told long ago is forgotten.
fn forget_quiet_ends(memory: &mut Memory, now: UnixMillis) {
    let board = &memory.board;
    memory.mailed.retain(|key, mailed| {
        let over = board.get(key).is_none();
        mailed.open &= !over || key.0.end_name().is_some();
        !over || mailed.open || !is_old(*mailed, now)
    });
}

/// A letter was sent.
pub(super) fn sent(memory: &mut Memory, key: Key, open: bool, now: UnixMillis) {
    memory.untold.retain(|other| *other != key);
    memory.mailed.insert(key, Mailed { at: now, open });
}

/// Who is told: the owner of the domain, or whoever is told of the server.
fn addressee(key: &Key, settings: &Settings) -> Option<Mailbox> {
    let (kind, domain) = key;
    let Some(domain) = domain else { return settings.mail_to.clone() };
    let (_, rules) = settings.covering(domain)?;
    let owner = rules.owner.as_ref()?;
    let held = owner.domain().and_then(|host| settings.covering(host));
    // That mail waits is no news behind the mail that waits.
    let in_line = *kind == Kind::MailHeld && held.is_some_and(|(found, _)| found == domain);
    (!in_line).then(|| owner.clone())
}

fn subject_of(key: &Key) -> String {
    key.1.as_ref().map_or_else(|| "this server".to_owned(), ToString::to_string)
}

fn begins(key: &Key, open: &Open, to: Mailbox, settings: &Settings, now: UnixMillis) -> Letter {
    let (name, subject, hostname) = (key.0.name(), subject_of(key), &settings.hostname);
    let since = now.since(open.since);
    let since =
        if since < Duration::from_secs(60) { String::new() } else { format!(" (for {})", span(since)) };
    let text = format!(
        "{what}{since}.\n\n    {detail}\n\n{advice}\n\n-- \nrestante on {hostname}, event {name}\n",
        what = meaning(key.0, &subject),
        detail = open.detail,
        advice = advice(key),
    );
    Letter { to, subject: format!("[{hostname}] {name}: {subject}"), text }
}

fn ends(key: &Key, to: Mailbox, settings: &Settings) -> Option<Letter> {
    let name = key.0.end_name()?;
    let (subject, hostname) = (subject_of(key), &settings.hostname);
    let what = match key.0 {
        Kind::DiskLow => "There is room for mail again".to_owned(),
        _ => format!("The primary of {subject} takes mail again"),
    };
    let text = format!("{what}.\n\n-- \nrestante on {hostname}, event {name}\n");
    Some(Letter { to, subject: format!("[{hostname}] {name}: {subject}"), text })
}

/// It began and ended, and nobody could be told in between.
fn missed_letter(key: &Key, was: &Open, to: Mailbox, settings: &Settings) -> Letter {
    let (kind, subject, hostname) = (key.0, subject_of(key), &settings.hostname);
    let name = kind.end_name().map_or_else(|| format!("{} (over)", kind.name()), str::to_owned);
    let text = format!(
        "This is over. While it lasted it could not be told, for no mail could be stored:\n\n    {what}, from \
         {since} on.\n    {detail}\n\n-- \nrestante on {hostname}, event {event}\n",
        what = meaning(kind, &subject),
        since = timestamp(was.since),
        detail = was.detail,
        event = kind.end_name().unwrap_or(kind.name()),
    );
    Letter { to, subject: format!("[{hostname}] {name}: {subject}"), text }
}

fn meaning(kind: Kind, subject: &str) -> String {
    match kind {
        Kind::DiskLow => "The disk that holds mail is nearly full".to_owned(),
        Kind::StoreFailing => "Mail cannot be stored or read".to_owned(),
        Kind::CertificateExpiring => "The certificate of this server runs out".to_owned(),
        Kind::PrimaryDown => format!("The primary of {subject} cannot be reached; its mail is kept here"),
        Kind::Misrouted => {
            format!("The mail of {subject} leads nowhere, or back here; it is kept and stopped")
        }
        Kind::CircuitOpen => {
            format!(
                "The primary of {subject} refuses mail for good; nothing is bounced, all of it is stopped"
            )
        }
        Kind::RetentionNear => format!("Mail for {subject} will soon have waited for too long"),
        Kind::Uncollected => format!("Nobody collects the mail of {subject}"),
        Kind::AgentSilent => format!("Whoever collected the mail of {subject} no longer asks for it"),
        Kind::MailHeld => format!("Mail waits for {subject}"),
    }
}

fn advice(key: &Key) -> String {
    let (kind, subject) = (key.0, subject_of(key));
    match kind {
        Kind::DiskLow | Kind::StoreFailing | Kind::CertificateExpiring => {
            "restante health tells more.".to_owned()
        }
        Kind::PrimaryDown => format!("restante why {subject} shows what was said last."),
        Kind::Misrouted => {
            format!(
                "restante route {subject} shows the way it would take; restante release {subject} lets it go."
            )
        }
        Kind::CircuitOpen => {
            format!(
                "restante why {subject} shows what was refused. Once the primary is right again, restante release \
                 {subject} lets the mail go. Where it was right to refuse (mail to people whom it does not know), say \
                 circuit = [] for the domain and reload before that, or it stops again at the same mail."
            )
        }
        Kind::RetentionNear => {
            format!(
                "restante hold {subject} --pause-retention stops the clock; restante list shows the mail."
            )
        }
        Kind::Uncollected | Kind::AgentSilent | Kind::MailHeld => {
            format!(
                "restante status {subject} shows what waits; restante flush {subject} sends it to the primary."
            )
        }
    }
}
