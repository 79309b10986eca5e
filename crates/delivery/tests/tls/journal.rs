//! What is told in the log.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Events of this thread from now on, each as `name=value` in one line.
pub(crate) struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    /// One subscriber alone is asked in whichever thread meets an event first: another test's, where there is none, and that
    /// is kept as "nobody wants it" for all. Where there are two, all are asked.
    _second: Dispatch,
    _guard: DefaultGuard,
}

impl Journal {
    pub(crate) fn open() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let _second = Dispatch::new(NoSubscriber::default());
        let _guard =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(Scribe(lines.clone())));
        Self { lines, _second, _guard }
    }

    /// The lines about one event.
    pub(crate) fn about(&self, event: &str) -> Vec<String> {
        let wanted = format!("event={event:?} ");
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(&wanted)).cloned().collect()
    }
}

struct Scribe(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl<S: Subscriber> Layer<S> for Scribe {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}
