//! The task that calls the webhook: one call at a time, each bounded in all, again until it is taken.

use std::time::Duration;

use rand::Rng;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use restante_net::{ClientTls, Trust};
use restante_types::UnixMillis;
use tokio::time::{sleep, timeout};

use super::call::{Call, Secret};
use super::settings::Webhook;
use super::{Alarms, events, lock};
use crate::limits::{CALL_LIFE, CALL_PAUSE, CALL_PAUSE_MAX, CALL_TIME};

/// How patient the calls are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// One call in all.
    pub(super) time: Duration,
    /// The first pause after a call that failed.
    pub(super) pause: Duration,
    /// The longest.
    pub(super) pause_max: Duration,
    /// How long a call is tried.
    pub(super) life: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { time: CALL_TIME, pause: CALL_PAUSE, pause_max: CALL_PAUSE_MAX, life: CALL_LIFE }
    }
}

/// Why a call was not taken.
struct Failure {
    what: String,
    /// The webhook answered: it may like another call better.
    answered: bool,
}

impl Failure {
    fn before(what: impl ToString) -> Self {
        Self { what: what.to_string(), answered: false }
    }
}

impl Alarms {
    pub(super) async fn call_on(&self) {
        let pace = self.0.pace;
        let mut pause = pace.pause;
        let mut client: Option<(String, Client)> = None;
        loop {
            let webhook = self.0.settings.load().webhook.clone();
            let head = lock(&self.0.memory).calls.front().cloned();
            let (Some(webhook), Some(call)) = (webhook, head) else {
                self.0.calls.notified().await;
                continue;
            };
            let now = (self.0.clock)();
            if now.since(call.at) >= pace.life {
                events::call_dropped(&call.id, "nobody took it for a day");
                self.took(&call);
                continue;
            }
            match self.try_one(&mut client, &webhook, &call, now).await {
                Ok(()) => {
                    events::called(&call);
                    pause = pace.pause;
                    self.took(&call);
                }
                Err(Failure { what, answered }) => {
                    let waiting = lock(&self.0.memory).calls.len();
                    events::call_failed(&call, &what, waiting, pause);
                    if answered {
                        self.behind_the_others(&call);
                    }
                    tokio::select! {
                        () = sleep(spread(pause)) => {}
                        // Another configuration may know a better way.
                        () = self.reloaded(&webhook) => {}
                    }
                    pause = (pause * 2).min(pace.pause_max);
                }
            }
        }
    }

    /// Comes back when the webhook is another one.
    async fn reloaded(&self, webhook: &Webhook) {
        while self.0.settings.load().webhook.as_ref() == Some(webhook) {
            self.0.calls.notified().await;
        }
    }

    fn took(&self, call: &Call) {
        lock(&self.0.memory).calls.retain(|other| other.id != call.id);
        self.0.unsaved.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// One call that its taker does not like must not stop the others.
    fn behind_the_others(&self, call: &Call) {
        let calls = &mut lock(&self.0.memory).calls;
        if calls.front().is_some_and(|front| front.id == call.id) {
            calls.rotate_left(1);
        }
    }

    async fn try_one(
        &self,
        client: &mut Option<(String, Client)>,
        webhook: &Webhook,
        call: &Call,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let secret = read_secret(webhook).await?;
        let known = client.take().filter(|(url, _)| *url == webhook.url);
        let (_, client) = match known {
            Some(known) => client.insert(known),
            None => client.insert((webhook.url.clone(), connector(&webhook.url, self.0.pace.time)?)),
        };
        let headers = headers(call, secret.as_ref(), now.0 / 1000).map_err(Failure::before)?;
        let request = client.post(&webhook.url).headers(headers).body(call.body.clone());
        // The client has the same bound; this one does not depend on what it counts in.
        let answer = timeout(self.0.pace.time, request.send()).await;
        let answer = answer.map_err(|_| Failure::before("no answer in time"))?;
        // The URL may hold a secret.
        let answer = answer.map_err(|error| Failure::before(told(&error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Failure { what: refusal(status), answered: true }),
        }
    }
}

fn refusal(status: StatusCode) -> String {
    let redirect = if status.is_redirection() { "; redirects are not followed" } else { "" };
    format!("it answered {}{redirect}", status.as_u16())
}

/// The error with its causes: the outermost alone says only that it failed.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn read_secret(webhook: &Webhook) -> Result<Option<Secret>, Failure> {
    let Some(file) = webhook.secret_file.clone() else { return Ok(None) };
    let shown = file.display().to_string();
    let read = tokio::task::spawn_blocking(move || Secret::read(&file)).await;
    let read = read.map_err(Failure::before)?;
    read.map(Some).map_err(|error| Failure::before(format!("secret-file {shown}: {error}")))
}

fn headers(
    call: &Call,
    secret: Option<&Secret>,
    seconds: u64,
) -> Result<HeaderMap, reqwest::header::InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", HeaderValue::from_str(&call.id)?);
    headers.insert("webhook-timestamp", HeaderValue::from(seconds));
    if let Some(secret) = secret {
        headers.insert("webhook-signature", HeaderValue::from_str(&call.signature(secret, seconds))?);
    }
    Ok(headers)
}

/// A client that goes where it is told and nowhere else, and keeps no connection.
fn connector(url: &str, time: Duration) -> Result<Client, Failure> {
    // Plain HTTP goes to this machine only, and needs no authorities.
    let trust = if url.starts_with("https://") { Trust::System } else { Trust::Anyone };
    let tls = ClientTls::trusting(&trust, None).map_err(Failure::before)?.to_rustls();
    let built = Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(time)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("restante/", env!("CARGO_PKG_VERSION")))
        .build();
    built.map_err(|error| Failure::before(told(&error)))
}

/// Somewhat more or less, so that many servers do not call at once.
fn spread(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.8..1.2))
}
