//! Lines that are written together: a call for each would cost a busy server more than the making of the line.

use std::io::{self, Write};
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others at most.
const PAUSE: Duration = Duration::from_millis(20);

/// Octets that wait at most; whoever brings more writes them, and waits for a reader that is slow.
const MOST: usize = 64 * 1024;

/// Writes lines in the order in which they came: warnings and errors at once, with all that waits before them, the others
/// a moment later.
#[derive(Clone)]
pub(super) struct Paced(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    /// Taken before `waiting`, so that whoever takes lines away is the next to write.
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    over: bool,
}

/// Writes what still waits when it is dropped.
pub(crate) struct Rest(Option<Paced>);

/// One line on its way.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    at_once: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Paced {
    /// Has a thread of its own.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (waiting, bell, out) = (Mutex::default(), Condvar::new(), Mutex::new(Box::new(out) as _));
        let paced = Self(Arc::new(Shared { waiting, bell, out }));
        let shared = Arc::clone(&paced.0);
        thread::Builder::new().name("restante-lines".into()).spawn(move || shared.run())?;
        Ok(paced)
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let waiting = lock(&self.waiting);
            let nothing = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.over;
            let waiting = self.bell.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
            if waiting.over {
                return;
            }
            drop(waiting);
            thread::sleep(PAUSE);
            self.write_out();
        }
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = lock(&self.waiting);
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let write = at_once || waiting.over || waiting.lines.len() >= MOST;
        drop(waiting);
        if write {
            self.write_out();
        } else if is_first {
            self.bell.notify_one();
        }
    }

    fn write_out(&self) {
        let mut out = lock(&self.out);
        let lines = take(&mut lock(&self.waiting).lines);
        // A log that cannot be written cannot be told of in the log.
        let _ = out.write_all(&lines).and_then(|()| out.flush());
    }
}

impl Rest {
    /// Of lines that wait.
    pub(super) const fn of(paced: Paced) -> Self {
        Self(Some(paced))
    }

    /// Of a log in which none does.
    pub(super) const fn none() -> Self {
        Self(None)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(Paced(shared)) = &self.0 {
            lock(&shared.waiting).over = true;
            shared.bell.notify_one();
            shared.write_out();
        }
    }
}

impl<'a> MakeWriter<'a> for Paced {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, at_once: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, at_once: *metadata.level() <= Level::WARN }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.shared.add(octets, self.at_once);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Every write is one message.
    struct Told(Sender<String>);

    impl Write for Told {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(octets.to_vec()).unwrap()).unwrap();
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce(&Receiver<String>)) -> (Paced, Receiver<String>) {
        let (told, written) = channel();
        let paced = Paced::new(Told(told)).unwrap();
        let layer = tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false);
        let layer = layer.with_writer(paced.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || log(&written));
        (paced, written)
    }

    #[test]
    fn lines_go_together_and_soon() {
        let began = Instant::now();
        let (_paced, written) = logged(|written| {
            // Apart only where this thread stood still between them.
            let together = (0..20).any(|_| {
                tracing::info!("one");
                tracing::info!("two");
                let mut text = written.recv().unwrap();
                let whole = text.lines().count() == 2;
                while text.lines().count() < 2 {
                    text += &written.recv().unwrap();
                }
                assert_eq!(text, " INFO one\n INFO two\n");
                whole
            });
            assert!(together);
            tracing::info!("three");
            assert_eq!(written.recv().unwrap(), " INFO three\n");
        });
        assert!(began.elapsed() >= 2 * PAUSE && written.try_recv().is_err());
    }

    #[test]
    fn a_warning_waits_for_nobody_and_stays_in_its_place() {
        let (_paced, _written) = logged(|written| {
            tracing::info!("before");
            tracing::warn!("now");
            assert_eq!(written.try_iter().collect::<String>(), " INFO before\n WARN now\n");
        });
    }

    #[test]
    fn what_waits_is_bounded() {
        let (_paced, _written) = logged(|written| {
            let long = "x".repeat(1000);
            (0..2 * MOST / 1000).for_each(|_| tracing::info!("{long}"));
            let lines = written.try_iter().collect::<String>();
            assert!(lines.len() >= MOST && lines.ends_with('\n'));
        });
    }

    #[test]
    fn the_rest_is_written_at_the_end_and_what_comes_later_at_once() {
        let (paced, written) = logged(|_| tracing::info!("last"));
        drop(Rest::of(paced.clone()));
        assert_eq!(written.try_recv().unwrap(), " INFO last\n");
        paced.make_writer().write_all(b"later").unwrap();
        assert_eq!(written.recv().unwrap(), "later");
    }
}
