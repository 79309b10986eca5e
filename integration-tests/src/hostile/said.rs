//! What the server says of itself: its log, and its lists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Lines of the log that are shown of one message at most.
const SHOWN: usize = 40;

/// A message in one domain's queue: its id and the domain.
pub type Entry = (String, String);

/// What a log tells of the way of messages.
#[derive(Debug, Default)]
pub struct Said {
    /// Ids that were accepted, and those of their recipients that are named (the first few).
    pub accepted: BTreeMap<String, Vec<String>>,
    /// Ids and the recipients of them that were refused for good.
    pub failed: BTreeSet<(String, String)>,
    /// Ids of messages, and of the notices about them.
    pub notices: BTreeMap<String, BTreeSet<String>>,
    /// Customers' connections that were broken off because they called again.
    pub broken_off: BTreeSet<String>,
}

impl Said {
    /// Reads a log of JSON lines; what a kill cut off in the middle of a line is no event.
    #[must_use]
    pub fn read(log: &str) -> Self {
        let mut said = Self::default();
        for line in log.lines() {
            let whole = &line[line.rfind("{\"timestamp\"").unwrap_or_default()..];
            let events = ["accepted", "failed", "notice", "turned_ended"];
            if events.iter().any(|event| whole.contains(&format!("\"event\":\"{event}\"")))
                && let Ok(event) = serde_json::from_str(whole)
            {
                said.hear(&event);
            }
        }
        said
    }

    fn hear(&mut self, event: &Value) {
        let id = text(&event["id"]);
        match event["event"].as_str() {
            Some("accepted") => {
                let named = text(&event["recipients"]);
                let named = named.split(['<', '>']).filter(|part| part.contains('@'));
                self.accepted.insert(id, named.map(str::to_owned).collect());
            }
            Some("failed") => {
                self.failed.insert((id, text(&event["recipient"])));
            }
            Some("notice") => {
                self.notices.entry(id).or_default().insert(text(&event["notice"]));
            }
            Some("turned_ended") if text(&event["result"]).contains("cancelled") => {
                self.broken_off.insert(text(&event["client"]));
            }
            _ => {}
        }
    }
}

/// The entries of a list in JSON.
#[must_use]
pub(super) fn entries(list: &[Value]) -> BTreeSet<Entry> {
    list.iter().map(|entry| (text(&entry["id"]), text(&entry["domain"]))).collect()
}

/// What a log says of a message.
#[must_use]
pub(super) fn lines_about(log: &str, id: &str) -> String {
    log.lines().filter(|line| line.contains(id)).take(SHOWN).collect::<Vec<_>>().join("\n")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Said, lines_about};

    #[test]
    fn a_log_is_read_also_where_a_kill_tore_a_line() {
        let log = concat!(
            r#"{"timestamp":"x","event":"accepted","id":"1","recipients":"<a@example.org> <b@example.org> and 3 more"}"#,
            "\n",
            r#"{"timestamp":"x","event":"accep{"timestamp":"x","event":"failed","id":"1","recipient":"b@example.org"}"#,
            "\n",
            r#"{"timestamp":"x","event":"notice","id":"1","notice":"2"}"#,
            "\n",
            r#"{"timestamp":"x","event":"turned_ended","client":"127.0.0.2:5","result":"delivered 1, then cancelled: x"}"#,
            "\n",
        );
        let said = Said::read(log);
        assert_eq!(said.accepted["1"], ["a@example.org", "b@example.org"]);
        assert!(said.failed.contains(&("1".to_owned(), "b@example.org".to_owned())));
        assert!(said.notices["1"].contains("2") && said.broken_off.contains("127.0.0.2:5"));
        assert_eq!(lines_about(log, "\"2\"").lines().count(), 1);
    }
}
