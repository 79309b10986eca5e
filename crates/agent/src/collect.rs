//! One collection from its lock to its record.

use std::time::Instant;

use jiff::{Timestamp, Unit};
use restante_net::Stop;
use restante_types::Domain;
use tokio::sync::watch;

use crate::events;
use crate::expect::{self, Look};
use crate::failure::Failure;
use crate::local::LocalSide;
use crate::reversed;
use crate::settings::{Protocol, ServerSettings};
use crate::state::{Kind, Record, StateError, StateFile};
use crate::tally::{Progress, Tally, show};
use crate::visit::{self, Answer, Promise};

/// What all collections share.
#[derive(Debug, Clone)]
pub struct Context {
    /// Our name.
    pub hostname: Domain,
    /// Where runs are written down.
    pub state: StateFile,
    /// Says when to stop.
    pub stop: watch::Receiver<Stop>,
    /// Promised mail is looked for after the collection; switched off where the program ends right behind it.
    pub stays: bool,
}

/// Calls the server, takes what it has, and writes down what became of it. Never two at a time for one server, in
/// whatever process: the second one is [`Failure::Busy`] at once, and leaves no record.
///
/// # Errors
/// [`Failure`]; the tally counts what came before it.
pub async fn collect(
    server: &ServerSettings,
    context: &Context,
    shown: &watch::Sender<Progress>,
) -> (Tally, Result<Kind, Failure>) {
    let held = match context.state.collecting(&server.name) {
        Ok(Some(held)) => held,
        Ok(None) => return (Tally::default(), Err(Failure::Busy)),
        Err(error) => return (Tally::default(), Err(error.into())),
    };
    let (began, clock) = (now(), Instant::now());
    let (tally, result) = Box::pin(visit_and_receive(server, context, shown)).await;
    show(shown, Progress::Idle);
    match &result {
        Ok(_) => events::collected(server, &tally, clock.elapsed()),
        Err(failure) => events::failed(server, failure, &tally),
    }
    let (kind, reason) = match &result {
        Ok(kind) => (*kind, None),
        Err(failure) => (Kind::Failed, Some(failure.text())),
    };
    let written = record(context, server, move |record| {
        let failures = if kind == Kind::Failed { record.failures.saturating_add(1) } else { 0 };
        let last_success = if kind == Kind::Failed { record.last_success } else { Some(now()) };
        let next_run = record.next_run;
        *record = Record {
            last_run: Some(began),
            result: Some(kind),
            reason,
            tally,
            last_success,
            failures,
            next_run,
        };
    });
    if let Err(error) = written.await {
        events::not_recorded(server, &error);
    }
    drop(held);
    (tally, result)
}

/// The time as it is written down: to the second.
fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now)
}

/// Changes the record off the threads that carry mail: it is synced to the disk.
pub(crate) async fn record(
    context: &Context,
    server: &ServerSettings,
    change: impl FnOnce(&mut Record) + Send + 'static,
) -> Result<(), StateError> {
    let (state, name) = (context.state.clone(), server.name.clone());
    let done = tokio::task::spawn_blocking(move || state.change(&name, change)).await;
    // A task that was cut off at the end of the program wrote nothing.
    done.unwrap_or(Ok(()))
}

async fn visit_and_receive(
    server: &ServerSettings,
    context: &Context,
    shown: &watch::Sender<Progress>,
) -> (Tally, Result<Kind, Failure>) {
    let mut stop = context.stop.clone();
    let before = server.expect.as_ref().map(|expect| Look::at(&expect.at));
    let asked = tokio::select! {
        biased;
        asked = ask(server, context, shown) => asked,
        _ = stop.wait_for(|stop| *stop > Stop::Run) => Err(Failure::Stopped),
    };
    match asked {
        Err(failure) => (Tally::default(), Err(failure)),
        Ok((Answer::NoMail, local)) => {
            close(local).await;
            (Tally::default(), Ok(Kind::NoMail))
        }
        Ok((Answer::Asked(promises), _)) => promised(server, context, &promises, before),
        Ok((Answer::Turned(_), None)) => (Tally::default(), Err(Failure::Stopped)),
        Ok((Answer::Turned(stream), Some(local))) => {
            let stop = context.stop.clone();
            let receiving = reversed::receive(stream, &server.domains, &context.hostname, local, stop, shown);
            let (tally, result) = Box::pin(receiving).await;
            let kind = if tally.messages == 0 { Kind::NoMail } else { Kind::Collected };
            // A stop lets the message that was coming in come to its end; there may be more.
            let stopped = *context.stop.borrow() != Stop::Run;
            let result = result.and_then(|()| if stopped { Err(Failure::Stopped) } else { Ok(()) });
            (tally, result.map(|()| kind))
        }
    }
}

/// The local side comes first: whoever cannot take mail does not ask for any.
async fn ask(
    server: &ServerSettings,
    context: &Context,
    shown: &watch::Sender<Progress>,
) -> Result<(Answer, Option<LocalSide>), Failure> {
    let local = match (&server.local, server.protocol) {
        (Some(local), Protocol::Atrn | Protocol::Turn) => {
            Some(LocalSide::open(local, &context.hostname).await?)
        }
        _ => None,
    };
    match Box::pin(visit::call(server, &context.hostname, shown)).await {
        Ok(answer) => Ok((answer, local)),
        Err(failure) => {
            close(local).await;
            Err(failure)
        }
    }
}

async fn close(local: Option<LocalSide>) {
    if let Some(local) = local {
        local.close().await;
    }
}

fn promised(
    server: &ServerSettings,
    context: &Context,
    promises: &[Promise],
    before: Option<Look>,
) -> (Tally, Result<Kind, Failure>) {
    let count = |promise: &Promise| match promise {
        Promise::Mail(Some(count)) => *count,
        _ => 0,
    };
    // [1985-5.1-253-agent] Numbers are the server's word, and it may say any.
    let announced = promises.iter().map(count).fold(0, u64::saturating_add);
    let tally = Tally { announced, ..Tally::default() };
    // 250 says nothing about whether there is any, so only what was promised is looked for.
    if let (true, Some(before)) = (tally.announced > 0 && context.stays, before) {
        tokio::spawn(expect::watch(server.clone(), before));
    }
    let nothing = promises.iter().all(|promise| *promise == Promise::Nothing);
    (tally, Ok(if nothing { Kind::NoMail } else { Kind::Asked }))
}
