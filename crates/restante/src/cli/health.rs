//! `restante health`

use clap::Args;
use restante_api::{Client, ClientError, HealthReport, Level};
use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{counted, safe, size};
use super::output::Output;

/// Tell a monitor whether all is well
///
/// Ends with 0 when mail comes in and goes out; with 1 when somebody should look (the index is being rebuilt, a domain
/// is orphaned or misrouted, the clock is in doubt, an alarm is open other than that mail waits); with 2 when mail cannot
/// come in, or nobody answers.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante health
  restante health --json | jq -r .problems[]")]
pub(crate) struct Health {}

/// What a monitor reads when nobody answers.
#[derive(Debug, Serialize)]
struct Silent {
    status: Level,
    problems: [String; 1],
}

/// Tells it. A server that does not answer is an answer too.
pub(crate) async fn run(_: Health, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    match client.health().await {
        Ok(report) => tell(&report, output),
        Err(error) => silent(&error, output),
    }
}

fn silent(error: &ClientError, output: &mut Output) -> Result<Exit, Failure> {
    let problem = error.to_string();
    if output.json {
        output.object(&Silent { status: Level::Critical, problems: [problem] })?;
    } else {
        output.line(&format!("CRITICAL: {}", safe(&problem)))?;
    }
    Ok(Exit::Critical)
}

fn tell(report: &HealthReport, output: &mut Output) -> Result<Exit, Failure> {
    let (exit, word) = match report.status {
        Level::Ok => (Exit::Ok, "OK"),
        Level::Warning => (Exit::Warning, "WARNING"),
        Level::Critical => (Exit::Critical, "CRITICAL"),
    };
    if output.json {
        output.object(report)?;
        return Ok(exit);
    }
    let held = counted(report.messages, "message held", "messages held");
    let free = report.free_bytes.map_or_else(String::new, |free| format!(", {} free", size(free)));
    match report.problems.split_first() {
        None => output.line(&format!("{word}: {held}{free}"))?,
        Some((first, rest)) => {
            output.line(&format!("{word}: {}; {held}{free}", safe(first)))?;
            for problem in rest {
                output.line(&safe(problem))?;
            }
        }
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;
    use restante_api::{IndexReport, IntakeReport};

    fn told(status: Level, problems: &[&str], json: bool) -> (Exit, String) {
        let report = HealthReport {
            status,
            problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
            intake: IntakeReport::Open,
            index: IndexReport::Ready,
            free_bytes: Some(5_000_000_000),
            low_water_bytes: None,
            messages: 3,
            damaged: 0,
            clock_doubted: false,
            orphaned: Vec::new(),
            misrouted: Vec::new(),
            alarms: Vec::new(),
            version: "0.1.0".to_owned(),
        };
        let shared = Shared::default();
        let exit = tell(&report, &mut Output::to(shared.clone(), json, jiff::Timestamp::UNIX_EPOCH)).unwrap();
        (exit, shared.text())
    }

    #[test]
    fn a_monitor_reads_one_line_and_a_code() {
        assert_eq!(told(Level::Ok, &[], false), (Exit::Ok, "OK: 3 messages held, 5.0 GB free\n".to_owned()));
        let (exit, text) = told(Level::Warning, &["the clock is in doubt", "more"], false);
        assert_eq!((exit, text.lines().count()), (Exit::Warning, 2));
        assert!(text.starts_with("WARNING: the clock is in doubt; 3 messages held"));
        let (exit, text) = told(Level::Critical, &["intake is closed"], true);
        assert_eq!(exit, Exit::Critical);
        assert!(text.starts_with("{\"status\":\"critical\",\"problems\":[\"intake is closed\"]"), "{text}");
    }

    #[test]
    fn silence_is_critical() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, jiff::Timestamp::UNIX_EPOCH);
        let exit = silent(&ClientError::NotRunning("/run/x.sock".into()), &mut output).unwrap();
        assert_eq!(exit, Exit::Critical);
        assert_eq!(shared.text(), "CRITICAL: no server listens on /run/x.sock\n");
    }
}
