//! `restante flush`

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use clap::Args;
use indicatif::{MultiProgress, ProgressBar};
use restante_api::{Client, FlushEnd, FlushEvent, FlushRequest, Streamed};
use restante_types::Domain;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{counted, safe};
use super::output::Output;
use super::progress;
use super::status::counts;

/// Start to deliver a domain's mail now, as ETRN would, and show its progress
///
/// The drain runs in the server: ending this command does not end it. A domain on hold is not flushed; `release` it
/// first.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante flush example.org
  restante flush --reset example.org example.com
  restante flush --no-wait example.org")]
pub(crate) struct Flush {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    pub(crate) domains: Vec<Domain>,
    /// Forget the retry history first: attempts, planned attempts, and that the primary was found dead
    #[arg(long)]
    pub(crate) reset: bool,
    /// Only start the drain, do not wait for its end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Starts them, and looks on.
pub(crate) async fn run(verb: Flush, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let request = FlushRequest { domains: verb.domains, reset: verb.reset, wait: !verb.no_wait };
    let mut stream = client.flush(&request).await?;
    let bars = (!output.json && io::stderr().is_terminal()).then(MultiProgress::new);
    let mut view = View { bars, shown: BTreeMap::new() };
    loop {
        match stream.next().await? {
            Streamed::Item(event) if output.json => output.object(&event)?,
            Streamed::Item(event) => view.event(&event, output)?,
            Streamed::End(end) => return Ok(exit(end)),
        }
        output.flush()?;
    }
}

/// A script goes on when nothing is left, and comes back when something is.
const fn exit(end: FlushEnd) -> Exit {
    if end.left == 0 && end.refused == 0 { Exit::Ok } else { Exit::TryAgain }
}

/// Bars for people, lines for everybody else.
struct View {
    bars: Option<MultiProgress>,
    shown: BTreeMap<Domain, ProgressBar>,
}

impl View {
    fn event(&mut self, event: &FlushEvent, output: &mut Output) -> Result<(), Failure> {
        if let Some(bars) = &self.bars {
            Self::draw(bars, &mut self.shown, event);
            // A bar says that it runs; lines are for how it ended.
            if matches!(event, FlushEvent::Started { .. } | FlushEvent::Progress { .. }) {
                return Ok(());
            }
        }
        output.line(&told(event))
    }

    fn draw(bars: &MultiProgress, shown: &mut BTreeMap<Domain, ProgressBar>, event: &FlushEvent) {
        match event {
            FlushEvent::Started { domain, messages, .. } => {
                let bar = bars.add(progress::bar(*messages, domain.to_string()));
                bar.set_message("waiting for the drain to begin");
                shown.insert(domain.clone(), bar);
            }
            FlushEvent::Progress { domain, messages, drain } => {
                if let Some(bar) = shown.get(domain) {
                    let all = bar.length().unwrap_or_default().max(*messages);
                    bar.set_length(all);
                    bar.set_position(all - messages);
                    bar.set_message(counts(drain.delivered, drain.deferred, drain.failed));
                }
            }
            FlushEvent::Refused { domain, .. }
            | FlushEvent::Ended { domain, .. }
            | FlushEvent::Queued { domain } => {
                if let Some(bar) = shown.remove(domain) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

fn told(event: &FlushEvent) -> String {
    match event {
        FlushEvent::Started { domain, messages, running } => {
            let running = if *running { ", a drain was at it already" } else { "" };
            format!("{domain}: {} waiting{running}", counted(*messages, "message", "messages"))
        }
        FlushEvent::Refused { domain, reason } => format!("{domain}: not started: {}", safe(reason)),
        FlushEvent::Progress { domain, messages, drain } => {
            let counts = counts(drain.delivered, drain.deferred, drain.failed);
            format!("{domain}: {counts}; {} waiting", counted(*messages, "message", "messages"))
        }
        FlushEvent::Ended { domain, messages, last_drain } => match last_drain {
            None => format!("{domain}: nothing was waiting"),
            Some(last) => {
                let counts = counts(last.delivered, last.deferred, last.failed);
                let left = counted(*messages, "message", "messages");
                format!("{domain}: ended: {counts}; {left} waiting ({})", safe(&last.result))
            }
        },
        FlushEvent::Queued { domain } => {
            format!("{domain}: the drain has not begun yet; it will, `restante status {domain}` shows it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_api::{DrainView, LastDrainView};

    #[test]
    fn lines_tell_what_happens() {
        let domain: Domain = "example.org".parse().unwrap();
        let at = jiff::Timestamp::UNIX_EPOCH;
        let drain = DrainView { cause: "flush".to_owned(), since: at, delivered: 2, deferred: 0, failed: 0 };
        let last =
            LastDrainView { at, delivered: 3, deferred: 0, failed: 0, result: "delivered all".to_owned() };
        let events = [
            FlushEvent::Started { domain: domain.clone(), messages: 3, running: true },
            FlushEvent::Progress { domain: domain.clone(), messages: 1, drain },
            FlushEvent::Ended { domain: domain.clone(), messages: 0, last_drain: Some(last) },
            FlushEvent::Ended { domain: domain.clone(), messages: 0, last_drain: None },
            FlushEvent::Refused { domain: domain.clone(), reason: "stopped (operator: x\u{7})".to_owned() },
        ];
        let lines: Vec<String> = events.iter().map(told).collect();
        assert_eq!(
            lines,
            [
                "example.org: 3 messages waiting, a drain was at it already",
                "example.org: 2 delivered, 0 deferred, 0 failed; 1 message waiting",
                "example.org: ended: 3 delivered, 0 deferred, 0 failed; 0 messages waiting (delivered all)",
                "example.org: nothing was waiting",
                "example.org: not started: stopped (operator: x\\u{7})",
            ]
        );
    }

    #[test]
    fn a_script_can_tell_whether_anything_is_left() {
        assert_eq!(exit(FlushEnd { clean: 2, left: 0, refused: 0 }), Exit::Ok);
        assert_eq!(exit(FlushEnd { clean: 1, left: 1, refused: 0 }), Exit::TryAgain);
        assert_eq!(exit(FlushEnd { clean: 0, left: 0, refused: 1 }), Exit::TryAgain);
    }
}
