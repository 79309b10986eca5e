//! `restante agent status`

use jiff::Timestamp;
use restante_agent::{Kind, Record, Settings, StateFile, Tally};
use serde::Serialize;

use crate::cli::Exit;
use crate::cli::failure::Failure;
use crate::cli::human::{NOTHING, number, or_nothing, safe, size};
use crate::cli::output::Output;
use crate::cli::table::{Column, Rows};
use crate::complain;

/// Show when each server was called last, what came of it, and when it is called next
///
/// It reads the state file; the agent need not run. JSON keys: server, protocol, last_run, result (collected, no-mail,
/// asked, failed), reason, messages, bytes, refused, deferred, announced, last_success, failures, next_run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  restante agent status
  restante agent status --json | jq -r 'select(.failures > 3) | .server'")]
pub(crate) struct Status {}

/// What is told of one server.
#[derive(Debug, Serialize)]
struct Told<'a> {
    server: &'a str,
    protocol: String,
    last_run: Option<Timestamp>,
    result: Option<Kind>,
    reason: Option<&'a str>,
    #[serde(flatten)]
    tally: Tally,
    last_success: Option<Timestamp>,
    failures: u32,
    next_run: Option<Timestamp>,
}

/// Shows it.
pub(super) fn run(_: Status, settings: &Settings, json: bool) -> Exit {
    let known = match StateFile::new(&settings.state_file).read() {
        Ok(known) => known,
        Err(error) => {
            complain(&error.to_string());
            return Exit::Data;
        }
    };
    let unknown = Record::default();
    let of = |name: &str| known.get(name).unwrap_or(&unknown);
    let mut output = Output::standard(json);
    let shown = if json {
        settings.servers.iter().try_for_each(|server| {
            output.object(&told(&server.name, server.protocol.to_string(), of(&server.name)))
        })
    } else {
        let rows = settings.servers.iter().map(|server| (server.name.as_str(), server.protocol.to_string()));
        table(rows.map(|(name, protocol)| (name, protocol, of(name))), &mut output)
    };
    match shown.and_then(|()| output.flush()) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            failure.report();
            failure.exit()
        }
    }
}

fn told<'a>(server: &'a str, protocol: String, record: &'a Record) -> Told<'a> {
    Told {
        server,
        protocol,
        last_run: record.last_run,
        result: record.result,
        reason: record.reason.as_deref(),
        tally: record.tally,
        last_success: record.last_success,
        failures: record.failures,
        next_run: record.next_run,
    }
}

fn table<'a>(
    servers: impl Iterator<Item = (&'a str, String, &'a Record)>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut rows = Rows::new([
        Column::Left("SERVER"),
        Column::Left("PROTOCOL"),
        Column::Left("LAST RUN"),
        Column::Left("RESULT"),
        Column::Right("MESSAGES"),
        Column::Right("SIZE"),
        Column::Left("NEXT RUN"),
    ]);
    for (name, protocol, record) in servers {
        let time = |time: Option<Timestamp>| or_nothing(time.map(|time| output.clock.both(time)));
        let cells = [
            safe(name),
            protocol,
            time(record.last_run),
            result(record),
            number(record.tally.messages),
            size(record.tally.bytes),
            time(record.next_run),
        ];
        rows.row(cells, output)?;
    }
    rows.finish(output).map(drop)
}

fn result(record: &Record) -> String {
    match (record.result, &record.reason) {
        (None, _) => NOTHING.to_owned(),
        (Some(Kind::Collected), _) => "collected".to_owned(),
        (Some(Kind::NoMail), _) => "no mail".to_owned(),
        (Some(Kind::Asked), _) if record.tally.announced > 0 => {
            format!("{} announced", number(record.tally.announced))
        }
        (Some(Kind::Asked), _) => "asked".to_owned(),
        (Some(Kind::Failed), reason) => {
            let reason = reason.as_deref().map_or_else(String::new, |reason| format!(": {}", safe(reason)));
            format!("failed{reason}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;

    fn record() -> Record {
        Record {
            last_run: Some("2026-01-31T11:00:00Z".parse().unwrap()),
            result: Some(Kind::Collected),
            tally: Tally { messages: 12, bytes: 34_000, ..Tally::default() },
            last_success: Some("2026-01-31T11:00:05Z".parse().unwrap()),
            next_run: Some("2026-01-31T12:15:00Z".parse().unwrap()),
            ..Record::default()
        }
    }

    #[test]
    fn programs_read_the_keys_of_the_interface() {
        let record = record();
        let told = serde_json::to_value(told("mx2.example.net:366", "atrn".into(), &record)).unwrap();
        let wanted = serde_json::json!({
            "server": "mx2.example.net:366", "protocol": "atrn", "last_run": "2026-01-31T11:00:00Z",
            "result": "collected", "reason": null, "messages": 12, "bytes": 34000, "refused": 0, "deferred": 0,
            "announced": 0, "last_success": "2026-01-31T11:00:05Z", "failures": 0, "next_run": "2026-01-31T12:15:00Z",
        });
        assert_eq!(told, wanted);
    }

    #[test]
    fn people_read_a_table() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, "2026-01-31T12:00:00Z".parse().unwrap());
        let failed =
            Record { result: Some(Kind::Failed), reason: Some("no\u{1b} way".into()), ..Record::default() };
        let (known, never) = (record(), Record::default());
        let servers = [("a:366", &known), ("b:366", &failed), ("c:366", &never)];
        table(servers.into_iter().map(|(name, record)| (name, "atrn".to_owned(), record)), &mut output)
            .unwrap();
        let text = shared.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("2026-01-31 11:00 (1h ago)  collected"), "{text}");
        assert!(lines[1].ends_with("12  34.0 kB  2026-01-31 12:15 (in 15m)"), "{text}");
        assert!(lines[2].contains("failed: no\\u{1b} way") && lines[3].contains('-'), "{text}");
    }
}
