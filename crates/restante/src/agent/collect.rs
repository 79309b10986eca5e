//! `restante agent collect`

use std::io::{self, IsTerminal};
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar};
use restante_agent::{Context, Failure, Kind, Progress, ServerSettings, Settings, StateFile, Tally};
use restante_net::Stop;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{exit, on};
use crate::cli::Exit;
use crate::cli::failure::Failure as CliFailure;
use crate::cli::human::{counted, safe, size};
use crate::cli::output::Output;
use crate::cli::progress;
use crate::complain;

/// Call servers once, now
///
/// Every server of the configuration, or those that are named, all at one time. Ends with 0 also when there was no mail;
/// 69 when nobody answers, or nobody who speaks the protocol; 75 when it may work later, another collection from the
/// same server that is under way included; 77 when it is not allowed, or the server is not to be trusted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  restante agent collect --once
  restante agent collect --once mx2.example.net:366 --json")]
pub(crate) struct Collect {
    /// Each server once: what this command does anyway
    #[arg(long)]
    once: bool,
    /// Only these servers, by their name or address
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,
}

/// What is told of one server.
#[derive(Debug, Serialize)]
struct Told {
    server: String,
    result: &'static str,
    #[serde(flatten)]
    tally: Tally,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Calls them.
pub(super) fn run(collect: Collect, mut settings: Settings, json: bool) -> Exit {
    let Collect { once: _, servers } = collect;
    if let Some(unknown) = servers.iter().find(|wanted| !settings.servers.iter().any(|one| is(one, wanted))) {
        complain(&format!("{} is no server of this configuration", safe(unknown)));
        return Exit::Usage;
    }
    if !servers.is_empty() {
        settings.servers.retain(|one| servers.iter().any(|wanted| is(one, wanted)));
    }
    on(Box::pin(all(settings, json)), Exit::TryAgain)
}

fn is(server: &ServerSettings, wanted: &str) -> bool {
    server.name == wanted || server.address.to_string() == wanted
}

async fn all(settings: Settings, json: bool) -> Exit {
    let stop = watch::Sender::new(Stop::Run);
    let context = Context {
        hostname: settings.hostname.clone(),
        state: StateFile::new(&settings.state_file),
        stop: stop.subscribe(),
        stays: false,
    };
    let bars = MultiProgress::new();
    let mut calls = JoinSet::new();
    for (index, server) in settings.servers.iter().cloned().enumerate() {
        let (context, bar) = (context.clone(), bar(&bars, json));
        calls.spawn(async move {
            let shown = Arc::new(watch::Sender::new(Progress::Idle));
            let watching = tokio::spawn(follow(shown.subscribe(), server.name.clone(), bar.clone()));
            let (tally, result) = Box::pin(restante_agent::collect(&server, &context, &shown)).await;
            watching.abort();
            bar.finish_and_clear();
            (index, tally, result)
        });
    }
    let mut done = Vec::new();
    let ending = tokio::spawn(obey(stop));
    while let Some(called) = calls.join_next().await {
        done.extend(called);
    }
    ending.abort();
    done.sort_by_key(|(index, ..)| *index);
    let told = tell(&settings, &done, &mut Output::standard(json));
    match told {
        Ok(()) => {
            exit(done.iter().filter_map(|(_, _, result)| result.as_ref().err().map(Failure::class)).max())
        }
        Err(failure) => {
            failure.report();
            failure.exit()
        }
    }
}

type Done = (usize, Tally, Result<Kind, Failure>);

fn tell(settings: &Settings, done: &[Done], output: &mut Output) -> Result<(), CliFailure> {
    for (index, tally, result) in done {
        let server = &settings.servers[*index].name;
        if output.json {
            let reason = result.as_ref().err().map(Failure::text);
            output.object(&Told { server: server.clone(), result: word(result), tally: *tally, reason })?;
            continue;
        }
        output.line(&format!("{}: {}", safe(server), line(tally, result)))?;
    }
    output.flush()
}

fn word(result: &Result<Kind, Failure>) -> &'static str {
    match result {
        Ok(Kind::Collected) => "collected",
        Ok(Kind::NoMail) => "no-mail",
        Ok(Kind::Asked) => "asked",
        Ok(Kind::Failed) | Err(_) => "failed",
    }
}

fn line(tally: &Tally, result: &Result<Kind, Failure>) -> String {
    let brought =
        format!("{} collected, {}", counted(tally.messages, "message", "messages"), size(tally.bytes));
    let refused =
        if tally.refused > 0 { format!("; {} refused for good", tally.refused) } else { String::new() };
    match result {
        Ok(Kind::NoMail) => format!("no mail{refused}"),
        Ok(Kind::Asked) if tally.announced > 0 => {
            format!("{} announced", counted(tally.announced, "message", "messages"))
        }
        Ok(Kind::Asked) => "asked; mail comes by itself where there is any".to_owned(),
        Ok(_) => format!("{brought}{refused}"),
        Err(failure) if tally.messages > 0 => format!("{brought}{refused}; then: {}", failure.text()),
        Err(failure) => failure.text(),
    }
}

fn bar(bars: &MultiProgress, json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() { ProgressBar::hidden() } else { bars.add(progress::spinner()) }
}

async fn follow(mut shown: watch::Receiver<Progress>, server: String, bar: ProgressBar) {
    loop {
        let said = match *shown.borrow_and_update() {
            Progress::Idle => String::new(),
            Progress::Calling => "calling".to_owned(),
            Progress::Asked => "asked, waiting for the answer".to_owned(),
            Progress::Collecting { messages, bytes } => {
                format!("{}, {}", counted(messages, "message", "messages"), size(bytes))
            }
        };
        bar.set_message(format!("{}: {said}", safe(&server)));
        if shown.changed().await.is_err() {
            return;
        }
    }
}

/// The first signal lets the message that is coming in come to its end, the second one lets nothing.
async fn obey(stop: watch::Sender<Stop>) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    for wanted in [Stop::Finish, Stop::Now] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(wanted);
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<Kind, Failure> {
        Err(Failure::Busy)
    }

    #[test]
    fn people_read_one_line_for_each_server() {
        let tally = Tally { messages: 1234, bytes: 5_600_000, ..Tally::default() };
        assert_eq!(line(&tally, &Ok(Kind::Collected)), "1,234 messages collected, 5.6 MB");
        assert_eq!(line(&Tally::default(), &Ok(Kind::NoMail)), "no mail");
        assert_eq!(
            line(&Tally { announced: 1, ..Tally::default() }, &Ok(Kind::Asked)),
            "1 message announced"
        );
        let refused = Tally { messages: 1, bytes: 10, refused: 2, ..Tally::default() };
        assert_eq!(line(&refused, &Ok(Kind::Collected)), "1 message collected, 10 B; 2 refused for good");
        assert!(
            line(&refused, &failed()).ends_with("; then: a collection from this server is under way already")
        );
        assert_eq!(line(&Tally::default(), &failed()), "a collection from this server is under way already");
    }

    #[test]
    fn programs_read_the_keys_of_the_interface() {
        let told = Told {
            server: "a".into(),
            result: word(&failed()),
            tally: Tally::default(),
            reason: Some("b".into()),
        };
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(
            text,
            "{\"server\":\"a\",\"result\":\"failed\",\"messages\":0,\"bytes\":0,\"refused\":0,\"deferred\":0,\"announced\":0,\"reason\":\"b\"}"
        );
    }
}
