//! What is told in the log.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// Events of this thread from now on, each as `name=value` in one line.
pub(crate) struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Journal {
    pub(crate) fn open() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let _guard = tracing::subscriber::set_default(Scribe(lines.clone()));
        Self { lines, _guard }
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

impl Subscriber for Scribe {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
