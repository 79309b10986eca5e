//! How fast the log is; asserts nothing about time. Run by hand:
//! `BENCH_DIR=/var/tmp SESSIONS=100 cargo test --release -p restante-queue --lib bench -- --ignored --nocapture`

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::log::ContentLog;

const SPAN: Duration = Duration::from_secs(5);

fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let time =
        |value: nix::sys::time::TimeVal| Duration::new(value.tv_sec() as u64, value.tv_usec() as u32 * 1000);
    time(usage.user_time()) + time(usage.system_time())
}

/// One session after the other in its own task, 8 KiB each, until the time is over; messages in all.
async fn load(log: &Arc<ContentLog>, sessions: u64) -> u64 {
    let (begin, content) = (Instant::now(), Arc::new(octets(1, 8192)));
    let session = |session: u64| {
        let (log, content) = (Arc::clone(log), Arc::clone(&content));
        async move {
            let mut count = 0;
            while begin.elapsed() < SPAN {
                let mut buffer = log.begin_content();
                buffer.append(&content);
                let sealed = buffer.seal().await.unwrap();
                let (done, answer) = oneshot::channel();
                log.append(message(session * 1_000_000 + count, 1, sealed), done);
                answer.await.unwrap().unwrap();
                count += 1;
            }
            count
        }
    };
    let tasks: Vec<_> = (0..sessions).map(|number| tokio::spawn(session(number))).collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    total
}

#[test]
#[ignore = "a measurement"]
fn bench_append() {
    let sessions = std::env::var("SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let dir = match std::env::var("BENCH_DIR") {
        Ok(dir) => tempfile::tempdir_in(dir).unwrap(),
        Err(_) => tempfile::tempdir().unwrap(),
    };
    let groups = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&groups);
    let on_durable = Box::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let (log, _) = ContentLog::open(dir.path(), LogOptions::default(), on_durable).unwrap();
    let log = Arc::new(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (begin, cpu) = (Instant::now(), cpu_time());
    let total = runtime.block_on(load(&log, sessions));
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
    let groups = groups.load(Ordering::Relaxed) as f64;
    println!(
        "{sessions} sessions: {:.0} messages/s, {:.0} groups/s of {:.1}, {:.2} cores",
        total as f64 / wall,
        groups / wall,
        total as f64 / groups,
        cpu / wall,
    );
    log.close();
    let begin = Instant::now();
    let (log, report) = ContentLog::open(dir.path(), LogOptions::default(), Box::new(|_| {})).unwrap();
    let opened = begin.elapsed();
    let mut live = 0;
    let mut visitor = |_| {
        live += 1;
        ControlFlow::Continue(())
    };
    log.scan(None, &mut visitor, &mut |_, _| {}).unwrap();
    let scanned = begin.elapsed() - opened;
    println!("open {opened:?} ({} segments), scan of {live}: {scanned:?}", report.segments);
}
