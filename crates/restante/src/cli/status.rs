//! `restante status`

use clap::Args;
use restante_api::{Client, DomainStatus, HoldView, Streamed};
use restante_types::Domain;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{NOTHING, because, number, or_nothing, safe, size};
use super::output::Output;
use super::table::{Column, Rows};

/// Show what each domain holds
///
/// One line per domain: the messages that wait to be collected, their octets, the oldest and the newest of them,
/// whether the operator stopped it, when the server tries on its own next, and how the last drain ended. With a
/// domain, everything that is known about that domain.
///
/// Parked messages (failed, expired, misrouted, damaged, dead) do not wait, so they are not counted as messages; they
/// show in a column of their own. Alarms that are open and want somebody to act stand first in the last column.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante status
  restante status example.org
  restante status --json | jq 'select(.messages > 0)'")]
pub(crate) struct Status {
    /// Only this domain, in detail
    pub(crate) domain: Option<Domain>,
}

const COLUMNS: [Column; 9] = [
    Column::Left("DOMAIN"),
    Column::Left("MODE"),
    Column::Right("MESSAGES"),
    Column::Right("SIZE"),
    Column::Left("OLDEST"),
    Column::Left("NEWEST"),
    Column::Right("PARKED"),
    Column::Left("NEXT"),
    Column::Left("STATE"),
];

/// Shows it.
pub(crate) async fn run(verb: Status, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(domain) = verb.domain {
        let status = client.domain(&domain).await?;
        if output.json {
            output.object(&status)?;
        } else {
            detail(&status, output)?;
        }
        return Ok(Exit::Ok);
    }
    let mut stream = client.domains().await?;
    let mut rows = Rows::new(COLUMNS);
    let mut sum = (0, 0, 0_u64);
    loop {
        match stream.next().await? {
            Streamed::Item(status) if output.json => output.object(&status)?,
            Streamed::Item(status) => {
                sum = (sum.0 + status.messages, sum.1 + status.bytes, sum.2 + parked(&status));
                let cells = cells(&status, output);
                rows.row(cells, output)?;
            }
            Streamed::End(end) => {
                return finish(rows, sum, end.domains, output);
            }
        }
    }
}

fn finish(
    mut rows: Rows<9>,
    (messages, bytes, parked): (u64, u64, u64),
    domains: u64,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if output.json {
        return Ok(Exit::Ok);
    }
    if domains == 0 {
        output.line("No domains.")?;
    }
    if domains > 1 {
        let empty = String::new;
        let total = format!("{} domains", number(domains));
        let counts = [number(messages), size(bytes), empty(), empty(), number(parked)];
        let [messages, bytes, oldest, newest, parked] = counts;
        rows.row([total, empty(), messages, bytes, oldest, newest, parked, empty(), empty()], output)?;
    }
    rows.finish(output)?;
    Ok(Exit::Ok)
}

fn parked(status: &DomainStatus) -> u64 {
    status.parked.values().sum()
}

fn cells(status: &DomainStatus, output: &Output) -> [String; 9] {
    let clock = &output.clock;
    [
        status.domain.to_string(),
        or_nothing(status.mode.clone()),
        number(status.messages),
        size(status.bytes),
        or_nothing(status.oldest.map(|time| clock.both(time))),
        or_nothing(status.newest.map(|time| clock.relative(time))),
        number(parked(status)),
        or_nothing(status.next_attempt.map(|time| clock.relative(time))),
        state(status, output),
    ]
}

/// What is the matter with it: the alarms that somebody should act on; a running drain, a stop, or how the last drain went.
fn state(status: &DomainStatus, output: &Output) -> String {
    let warnings = status.alarms.iter().filter(|alarm| alarm.warning).map(|alarm| safe(&alarm.event));
    let warnings: Vec<String> = warnings.collect();
    match (warnings.is_empty(), doing(status, output)) {
        (true, doing) => doing,
        (false, doing) if doing == NOTHING => warnings.join(", "),
        (false, doing) => format!("{}; {doing}", warnings.join(", ")),
    }
}

fn doing(status: &DomainStatus, output: &Output) -> String {
    if let Some(drain) = &status.draining {
        return format!("draining ({}): {} delivered", safe(&drain.cause), number(drain.delivered));
    }
    if let Some(hold) = &status.hold {
        let until =
            hold.until.map_or_else(String::new, |time| format!(" until {}", output.clock.minute(time)));
        return format!("{}{until}{}", stopped(hold), because(&hold.reason));
    }
    match &status.last_drain {
        Some(last) => format!("drained {}: {}", output.clock.relative(last.at), safe(&last.result)),
        None => NOTHING.to_owned(),
    }
}

fn stopped(hold: &HoldView) -> String {
    if hold.kind == "operator" { "held".to_owned() } else { safe(&hold.kind) }
}

fn detail(status: &DomainStatus, output: &mut Output) -> Result<(), Failure> {
    let clock = output.clock.clone();
    let time = |time: Option<jiff::Timestamp>| or_nothing(time.map(|time| clock.exact(time)));
    let mode = status.mode.clone().unwrap_or_else(|| {
        let notices = status.domain.notices_to().map(|to| format!("notices to senders at {to}"));
        notices.unwrap_or_else(|| "not configured".to_owned())
    });
    output.line(&format!("domain        {}", status.domain))?;
    output.line(&format!("mode          {}", safe(&mode)))?;
    output.line(&format!("messages      {}", number(status.messages)))?;
    output.line(&format!("size          {} ({} octets)", size(status.bytes), number(status.bytes)))?;
    output.line(&format!("oldest        {}", time(status.oldest)))?;
    output.line(&format!("newest        {}", time(status.newest)))?;
    output.line(&format!("next attempt  {}", time(status.next_attempt)))?;
    for (state, count) in &status.parked {
        output.line(&format!("{:<12}  {}", state.as_str(), number(*count)))?;
    }
    if let Some(hold) = &status.hold {
        let reason = if hold.reason.is_empty() { String::new() } else { format!("{}, ", safe(&hold.reason)) };
        output.line(&format!("{:<12}  {reason}since {}", stopped(hold), clock.exact(hold.since)))?;
        if let Some(until) = hold.until {
            output.line(&format!("until         {}", clock.exact(until)))?;
        }
        if hold.retention_paused {
            output.line("retention     paused: its mail gets no older")?;
        }
    }
    for alarm in &status.alarms {
        output.line(&format!("alarm         {}, since {}", safe(&alarm.event), clock.exact(alarm.since)))?;
        output.line(&format!("              {}", safe(&alarm.detail)))?;
    }
    if let Some(drain) = &status.draining {
        let counts = counts(drain.delivered, drain.deferred, drain.failed);
        output.line(&format!(
            "draining      by {}, since {}: {counts}",
            safe(&drain.cause),
            clock.exact(drain.since)
        ))?;
    }
    if let Some(last) = &status.last_drain {
        let counts = counts(last.delivered, last.deferred, last.failed);
        output.line(&format!("last drain    {}: {counts}", clock.exact(last.at)))?;
        output.line(&format!("              {}", safe(&last.result)))?;
    }
    output.flush()
}

/// What a drain did to recipients.
pub(crate) fn counts(delivered: u64, deferred: u64, failed: u64) -> String {
    format!("{} delivered, {} deferred, {} failed", number(delivered), number(deferred), number(failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;
    use restante_api::{AlarmView, LastDrainView};
    use restante_types::DeliveryState;

    fn example() -> DomainStatus {
        DomainStatus {
            domain: "example.org".parse().unwrap(),
            mode: Some("on-demand".to_owned()),
            messages: 1234,
            bytes: 5_600_000,
            oldest: Some("2026-01-28T12:00:00Z".parse().unwrap()),
            newest: Some("2026-01-31T11:58:00Z".parse().unwrap()),
            held: false,
            hold: None,
            next_attempt: None,
            last_drain: Some(LastDrainView {
                at: "2026-01-31T09:00:00Z".parse().unwrap(),
                delivered: 17,
                deferred: 0,
                failed: 2,
                result: "delivered \u{1b}[31mall".to_owned(),
            }),
            draining: None,
            parked: [(DeliveryState::Failed, 2)].into(),
            alarms: Vec::new(),
        }
    }

    fn output() -> (Shared, Output) {
        let shared = Shared::default();
        (shared.clone(), Output::to(shared, false, "2026-01-31T12:00:00Z".parse().unwrap()))
    }

    #[test]
    fn the_table_is_for_people() {
        let held = DomainStatus {
            domain: "example.com".parse().unwrap(),
            messages: 0,
            bytes: 0,
            oldest: None,
            newest: None,
            held: true,
            hold: Some(HoldView {
                kind: "operator".to_owned(),
                reason: "moving".to_owned(),
                since: "2026-01-31T09:00:00Z".parse().unwrap(),
                until: Some("2026-02-01T08:00:00Z".parse().unwrap()),
                retention_paused: true,
            }),
            ..example()
        };
        let (shared, mut output) = output();
        let mut rows = Rows::new(COLUMNS);
        for status in [example(), held] {
            let cells = cells(&status, &output);
            rows.row(cells, &mut output).unwrap();
        }
        finish(rows, (1234, 5_600_000, 4), 2, &mut output).unwrap();
        let expected = "\
DOMAIN       MODE       MESSAGES    SIZE  OLDEST                     NEWEST  PARKED  NEXT  STATE
example.org  on-demand     1,234  5.6 MB  2026-01-28 12:00 (3d ago)  2m ago       2  -     drained 3h ago: delivered \\u{1b}[31mall
example.com  on-demand         0     0 B  -                          -            2  -     held until 2026-02-01 08:00: moving
2 domains                  1,234  5.6 MB                                          4
";
        assert_eq!(shared.text(), expected);
    }

    #[test]
    fn open_alarms_stand_first() {
        let alarm = |event: &str, warning| AlarmView {
            event: event.to_owned(),
            domain: Some("example.org".parse().unwrap()),
            since: "2026-01-31T09:00:00Z".parse().unwrap(),
            detail: "no \u{7}route".to_owned(),
            warning,
        };
        let alarms = vec![alarm("primary-down", true), alarm("uncollected", true), alarm("mail-held", false)];
        let status = DomainStatus { alarms, ..example() };
        let (shared, mut output) = output();
        assert_eq!(
            state(&status, &output),
            "primary-down, uncollected; drained 3h ago: delivered \\u{1b}[31mall"
        );
        assert_eq!(
            state(&DomainStatus { last_drain: None, ..status.clone() }, &output),
            "primary-down, uncollected"
        );
        detail(&status, &mut output).unwrap();
        let expected = "alarm         mail-held, since 2026-01-31 09:00:00 +00:00 (3h ago)\n              no \\u{7}route\n";
        assert!(shared.text().contains(expected), "{}", shared.text());
    }

    #[test]
    fn the_detail_tells_everything() {
        let (shared, mut output) = output();
        detail(&example(), &mut output).unwrap();
        let expected = "\
domain        example.org
mode          on-demand
messages      1,234
size          5.6 MB (5,600,000 octets)
oldest        2026-01-28 12:00:00 +00:00 (3d ago)
newest        2026-01-31 11:58:00 +00:00 (2m ago)
next attempt  -
failed        2
last drain    2026-01-31 09:00:00 +00:00 (3h ago): 17 delivered, 0 deferred, 2 failed
              delivered \\u{1b}[31mall
";
        assert_eq!(shared.text(), expected);
    }

    #[test]
    fn a_stop_is_told_with_its_end() {
        let hold = HoldView {
            kind: "operator".to_owned(),
            reason: "moving".to_owned(),
            since: "2026-01-31T09:00:00Z".parse().unwrap(),
            until: Some("2026-02-01T08:00:00Z".parse().unwrap()),
            retention_paused: true,
        };
        let (shared, mut output) = output();
        detail(&DomainStatus { hold: Some(hold), ..example() }, &mut output).unwrap();
        let expected = "\
held          moving, since 2026-01-31 09:00:00 +00:00 (3h ago)
until         2026-02-01 08:00:00 +00:00 (in 20h)
retention     paused: its mail gets no older
";
        assert!(shared.text().contains(expected), "{}", shared.text());
        let hold = HoldView {
            kind: "operator".to_owned(),
            reason: String::new(),
            since: "2026-01-31T09:00:00Z".parse().unwrap(),
            until: None,
            retention_paused: false,
        };
        let status = DomainStatus { hold: Some(hold), ..example() };
        let (shared, mut output) = self::output();
        detail(&status, &mut output).unwrap();
        assert!(
            shared.text().contains("held          since 2026-01-31 09:00:00 +00:00 (3h ago)\n"),
            "no reason"
        );
        assert_eq!(doing(&status, &output), "held");
    }

    #[test]
    fn a_queue_of_notices_is_no_domain_that_somebody_forgot() {
        let queue = "example.net.notices.invalid".parse().unwrap();
        let (shared, mut output) = self::output();
        detail(&DomainStatus { domain: queue, mode: None, ..example() }, &mut output).unwrap();
        assert!(
            shared.text().contains("mode          notices to senders at example.net\n"),
            "{}",
            shared.text()
        );
    }
}
