//! How fast the log is; asserts nothing about time. Run by hand:
//! `cargo test --release -p restante-queue --lib bench -- --ignored --nocapture`

use super::*;
use crate::log::ContentLog;

fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let time =
        |value: nix::sys::time::TimeVal| Duration::new(value.tv_sec() as u64, value.tv_usec() as u32 * 1000);
    time(usage.user_time()) + time(usage.system_time())
}

/// Some appenders, 8 KiB each, for a while: messages, CPU time and groups per second.
#[test]
#[ignore = "a measurement"]
fn bench_append() {
    let sessions = std::env::var("SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_u64);
    let dir = tempfile::tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let groups = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&groups);
    let on_durable = Box::new(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let (log, _) = ContentLog::open(dir.path(), LogOptions::default(), on_durable).unwrap();
    let log = Arc::new(log);
    let content = Arc::new(octets(1, 8192));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (begin, cpu) = (Instant::now(), cpu_time());
    let total: u64 = runtime.block_on(async {
        let tasks: Vec<_> = (0..sessions)
            .map(|session| {
                let (log, content) = (Arc::clone(&log), Arc::clone(&content));
                tokio::spawn(async move {
                    let mut count = 0;
                    while begin.elapsed() < Duration::from_secs(5) {
                        let mut buffer = log.begin_content();
                        buffer.append(&content);
                        let sealed = buffer.seal().await.unwrap();
                        let (done, answer) = oneshot::channel();
                        log.append(message(session * 1_000_000 + count, 1, sealed), done);
                        answer.await.unwrap().unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        total
    });
    let (wall, cpu) = (begin.elapsed(), cpu_time() - cpu);
    let groups = groups.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{sessions} sessions: {:.0} messages/s, {:.0} groups/s of {:.1}, {:.2} cores",
        total as f64 / wall.as_secs_f64(),
        groups as f64 / wall.as_secs_f64(),
        total as f64 / groups as f64,
        cpu.as_secs_f64() / wall.as_secs_f64(),
    );
    let segments = std::fs::read_dir(dir.path().join("log")).unwrap().count();
    println!("{segments} segments");
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
    println!(
        "open {opened:?} ({} segments), scan of {live}: {:?}",
        report.segments,
        begin.elapsed() - opened
    );
}
