//! A network between everybody that cuts, stalls, delays, splits, joins, reorders and repeats, at random: each recipient gets the
//! message, or its sender is told, and a copy more is there only where the answer to the one before was cut off.
//!
//! `RESTANTE_NETWORK_SECONDS` says how long the weather is bad (20), `RESTANTE_SEED` what it follows from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use restante_integration_tests::faults::{number, say};
use restante_integration_tests::hostile::{Scene, Weather};

/// Senders at one time; the debug build of the daemon and the proxy share two processors with them.
const SENDERS: u64 = 12;

#[test]
fn whatever_the_network_does_nothing_is_lost_and_every_double_has_its_reason() {
    let seed = number("RESTANTE_SEED", 2645);
    let length = Duration::from_secs(number("RESTANTE_NETWORK_SECONDS", 20));
    let scene = Scene::start(Weather { seed, faulty: 60, replayed: 4 }, "");
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (scene, stop) = (&scene, &stop);
            scope.spawn(move || scene.send(stop, seed ^ (sender << 32)));
        }
        scope.spawn(|| scene.ask(&stop));
        scope.spawn(|| scene.collect(&stop));
        scope.spawn(|| scene.run_agent(&stop));
        scene.weather(length, || std::thread::sleep(Duration::from_millis(100)));
        stop.store(true, Ordering::SeqCst);
    });
    let stormy = began.elapsed();
    scene.finish(Duration::from_secs(120) + length / 2);
    let account = scene.account();
    say(&format!(
        "RESTANTE_SEED={seed}, {stormy:.1?} of bad weather, drained after {:.1?}\n{}\n{account}",
        began.elapsed(),
        scene.told()
    ));
    account.assert_right();
    assert_eq!(account.held, 0, "{account}");
    let seconds = usize::try_from(length.as_secs()).expect("a number of seconds");
    let (happened, paths) = (scene.happened(), scene.paths());
    let (connections, faults) = (happened.connections + happened.replays, happened.faults());
    // How many there were says how fast the machine is; how many of them met something does not.
    assert!(connections > 5 * seconds && faults * 10 > connections, "{happened}");
    assert!(happened.has_each(), "every kind of fault: {happened}");
    assert!(paths.have_each(), "every way to a customer: {paths}");
    assert!(account.accepted > 2 * seconds && account.reported > 0, "{account}");
}
