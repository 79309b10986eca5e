//! Power is lost at every step: what was acknowledged is there, byte for byte, and what was done stays done.
//!
//! `RESTANTE_SEED=n` runs one seed, `RESTANTE_SEEDS=n` so many.

use std::fmt;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::model::Model;
use super::*;
use crate::disk::sim::{Loss, OpKind};

const SEEDS: u64 = 2000;
/// Seeds that found something once. 20908: marks set aside were removed before their segment was gone for good.
/// 54196: a large file was removed because of a mark that had not reached the disk.
const FOUND: [u64; 2] = [20_908, 54_196];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Tells what was done, past the test harness, which keeps what a passing test prints.
fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}

/// What was found, over all states that were looked at.
#[derive(Debug, Default)]
struct Sums {
    states: u64,
    /// Messages that had been acknowledged.
    accepted: usize,
    /// Of these, there to be read; the others are done.
    found: usize,
}

impl Sums {
    /// Looks at one state.
    fn look(&mut self, model: &mut Model, log: &Bench) {
        let (accepted, found) = model.check(log);
        self.states += 1;
        self.accepted += accepted;
        self.found += found;
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, accepted, found } = self;
        let done = accepted - found;
        write!(
            out,
            "{states} states: {accepted} accepted over all of them, {found} found, {done} done, 0 lost, 0 came back"
        )
    }
}

/// Some work, until it is enough or the power goes.
fn live(log: &mut Bench, model: &mut Model, sim: &SimDisk, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..25) {
        match rng.random_range(0..10) {
            0..5 => model.append(log, rng),
            5..8 => model.mark(log, rng),
            8 => model.forget(log),
            _ if rng.random_ratio(1, 3) => {
                let kind = [OpKind::Write, OpKind::Sync, OpKind::SyncDir, OpKind::Rename, OpKind::Create];
                sim.fail(kind[rng.random_range(0..kind.len())], rng.random_range(0..4), 1, nix::libc::EIO);
            }
            _ => log.now += Duration::from_secs(5),
        }
    }
}

fn run(seed: u64, mut sim: SimDisk, runtime: &Arc<Runtime>, sums: &mut Sums) {
    let (mut rng, mut model) = (StdRng::seed_from_u64(seed), Model::default());
    for life in 0..4 {
        sim.power_off_at(rng.random_range(1..120));
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        // The power may go while the last loss is still being mended.
        if let Ok(mut log) = Bench::open_in(disk, &data_dir(), small(), Arc::clone(runtime)) {
            live(&mut log, &mut model, &sim, &mut rng);
            if rng.random_ratio(1, 5) {
                log.writer.finish();
            }
        }
        let loss = Loss::EVERY[rng.random_range(0..Loss::EVERY.len())];
        sim = sim.after_power_loss(loss, seed ^ (life << 48));
        // A look at a copy, so that the next life mends it itself.
        let look = sim.after_power_loss(Loss::None, 0);
        let disk: Arc<dyn Disk> = Arc::new(look);
        let log = Bench::open_in(disk, &data_dir(), small(), Arc::clone(runtime))
            .unwrap_or_else(|error| panic!("life {life}, {loss:?}: {error}"));
        sums.look(&mut model, &log);
    }
}

fn guarded(run: impl FnOnce()) -> std::thread::Result<()> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
}

/// The control: a log that does not sync its octets, or its names, does not pass.
#[test]
fn a_sync_that_does_nothing_is_found_out() {
    let runtime = Arc::new(runtime());
    for kind in [OpKind::Sync, OpKind::SyncDir] {
        let caught = (0..20).filter(|seed| {
            let sim = SimDisk::default();
            sim.lie(kind);
            guarded(|| run(*seed, sim, &runtime, &mut Sums::default())).is_err()
        });
        let caught = caught.count();
        say(&format!("without {kind:?}: found out by {caught} of 20 seeds"));
        assert!(caught >= 5, "{kind:?}: {caught}");
    }
}

/// [5321-4.2.5]
#[test]
fn every_receipt_outlives_the_loss_of_power() {
    let runtime = Arc::new(runtime());
    let seeds: Vec<u64> = match number("RESTANTE_SEED") {
        Some(seed) => vec![seed],
        None => FOUND.into_iter().chain(0..number("RESTANTE_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let (count, mut sums) = (seeds.len(), Sums::default());
    for seed in seeds {
        let result = guarded(|| run(seed, SimDisk::default(), &runtime, &mut sums));
        if let Err(panic) = result {
            eprintln!("again with RESTANTE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    say(&format!("the log, {count} seeds: {sums}"));
    assert!(sums.states == 4 * count as u64 && sums.found > count, "mail was taken: {sums}");
}

/// One group at every operation of its way, with every kind of loss: acknowledged or not, nothing in between.
#[test]
fn the_first_group_at_every_single_operation() {
    let (runtime, mut sums) = (Arc::new(runtime()), Sums::default());
    for off_at in 1..20 {
        for (loss, seed) in Loss::EVERY.into_iter().flat_map(|loss| (0..20).map(move |seed| (loss, seed))) {
            let (sim, mut model) = (SimDisk::default(), Model::default());
            sim.power_off_at(off_at);
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            if let Ok(mut log) = Bench::open_in(disk, &data_dir(), small(), Arc::clone(&runtime)) {
                model.append(&mut log, &mut StdRng::seed_from_u64(seed));
            }
            let found = sim.after_power_loss(loss, seed);
            let log = Bench::open_in(Arc::new(found), &data_dir(), small(), Arc::clone(&runtime)).unwrap();
            sums.look(&mut model, &log);
        }
    }
    say(&format!("the first group: {sums}"));
    assert!(sums.accepted > 0, "it comes to an acknowledgement: {sums}");
}

/// Dead records are joined and their blocks punched, with the power lost at every step of it.
#[test]
fn giving_room_back_at_every_single_operation() {
    let runtime = Arc::new(runtime());
    let options = LogOptions { segment_size: 32 << 10, sweep_octets: u64::MAX, ..small() };
    let (mut punched, mut sums) = (0, Sums::default());
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        for off_at in 0.. {
            let (sim, mut model) = (SimDisk::default(), Model::default());
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            let mut log = Bench::open_in(disk, &data_dir(), options.clone(), Arc::clone(&runtime)).unwrap();
            let mut work = StdRng::seed_from_u64(seed);
            for _ in 0..40 {
                model.append(&mut log, &mut work);
            }
            for _ in 0..10 + seed % 30 {
                model.mark(&mut log, &mut work);
            }
            let before = sim.ops();
            sim.power_off_at(before + off_at + 1);
            model.forget(&mut log);
            let done = sim.ops() < before + off_at + 1;
            let found = sim.after_power_loss(Loss::EVERY[rng.random_range(0..4)], rng.random());
            let log = Bench::open_in(Arc::new(found), &data_dir(), options.clone(), Arc::clone(&runtime));
            sums.look(&mut model, &log.unwrap());
            if done {
                punched += u64::from(sim.punched() > 0);
                break;
            }
        }
    }
    say(&format!("giving room back, 60 seeds, {punched} of them with a hole: {sums}"));
    assert!(punched > 30, "the test wants something to be given back: {punched}");
}

/// A torn group is mended, with the power lost again at every step of it.
#[test]
fn mending_at_every_single_operation() {
    let runtime = Arc::new(runtime());
    let open =
        |sim: &SimDisk| Bench::open_in(Arc::new(sim.clone()), &data_dir(), small(), Arc::clone(&runtime));
    let mut sums = Sums::default();
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (sim, mut model) = (SimDisk::default(), Model::default());
        sim.power_off_at(rng.random_range(4..40));
        let mut log = open(&sim).unwrap();
        while log.shared.refusal().is_none() {
            model.append(&mut log, &mut rng);
            model.mark(&mut log, &mut rng);
        }
        let torn = sim.after_power_loss(Loss::Random, seed);
        for off_at in 1.. {
            let again = torn.after_power_loss(Loss::None, 0);
            again.power_off_at(off_at);
            let mended = open(&again).is_ok();
            let found = open(&again.after_power_loss(Loss::Random, rng.random())).unwrap();
            sums.look(&mut model.clone(), &found);
            if mended {
                break;
            }
        }
    }
    say(&format!("mending, 300 seeds: {sums}"));
    assert!(sums.states > 600 && sums.found > 300, "there was something to mend: {sums}");
}
