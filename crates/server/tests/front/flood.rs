//! What a client that is refused again and again leaves in the log.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use restante_turn::{TOLD_AT_ONCE, TOLD_EVERY};
use tracing::field::{Field, Visit};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::house::{House, settings};

/// The fields of one event.
#[derive(Debug, Clone, Default)]
struct Told {
    event: String,
    at: String,
    node: String,
    untold: u64,
}

impl Visit for Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "untold" {
            self.untold = value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "event" => self.event = text.trim_matches('"').to_owned(),
            "at" => self.at = text.trim_matches('"').to_owned(),
            "node" => self.node = text,
            _ => {}
        }
    }
}

/// Keeps all events.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<Told>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        self.0.lock().unwrap().push(told);
    }
}

impl Log {
    /// Events like this that were told, and the others that they speak of.
    fn count(&self, like: impl Fn(&Told) -> bool) -> (u64, u64) {
        let all = self.0.lock().unwrap();
        all.iter().filter(|told| like(told)).fold((0, 0), |(told, other), one| (told + 1, other + one.untold))
    }
}

/// A stranger who is refused gets its answer each time, and cannot fill the disk with it.
#[tokio::test]
async fn refusals_of_a_flood_are_counted() {
    const FLOOD: u64 = 600;
    let (log, began) = (Log::default(), Instant::now());
    // One subscriber alone is asked in whichever thread meets an event first: another test's, where there is none, and that
    // is kept as "nobody wants it" for all. Where there are two, all are asked.
    let _second = Dispatch::new(NoSubscriber::default());
    let _kept = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
    let house = House::new(settings());
    let mut peer = house.hello().await;
    peer.talk(&[("MAIL FROM:<sender@client.example>", "250")]).await;
    for _ in 0..FLOOD / 50 {
        peer.send("RCPT TO:<who@elsewhere.example>\r\n".repeat(50)).await;
        for _ in 0..50 {
            assert!(peer.reply().await.starts_with("550 5.7.1"));
        }
    }
    peer.talk(&[("RSET", "250")]).await;
    for _ in 0..FLOOD / 50 {
        peer.send("ETRN elsewhere.example\r\n".repeat(50)).await;
        for _ in 0..50 {
            assert!(peer.reply().await.starts_with("459 4.7.1"));
        }
    }
    let most = u64::from(TOLD_AT_ONCE) + 1 + began.elapsed().as_secs() / TOLD_EVERY.as_secs();
    let recipients = log.count(|told| told.event == "refused" && told.at == "rcpt");
    let etrns = log.count(|told| told.event == "etrn_refused" && told.node == "elsewhere.example");
    for (told, untold) in [recipients, etrns] {
        assert!((u64::from(TOLD_AT_ONCE)..=most).contains(&told), "{told}");
        assert!(told + untold <= FLOOD, "{told} {untold}");
    }
}
