//! Fewer slow seconds and fewer node-seconds than Knative's algorithm, on each trace and each seed.

use crate::knative::Knative;
use crate::traces::{DAILY, GUSTS, RAMP, SPIKES, STEADY, STEP, Trace};
use crate::world::{MAX, Ours, Outcome, World};

const SEEDS: [u64; 3] = [1, 2, 3];

fn both(trace: &Trace, seed: u64) -> (Outcome, Outcome) {
    // As many as the load needs when it begins: the comparison is of scaling, not of the first seconds.
    let mut ours = Ours::standard();
    let here = World::new(trace, seed, 2).run(&mut ours);
    let theirs = World::new(trace, seed, 2).run(&mut Knative::default());
    println!(
        "{:12} seed {seed}: ours {:4} slow seconds, {:6} node-seconds, most {:2}; Knative's {:4} slow seconds, {:6} node-seconds, most {:2}",
        trace.name,
        here.slow_seconds,
        here.node_seconds,
        here.most,
        theirs.slow_seconds,
        theirs.node_seconds,
        theirs.most
    );
    for (second, words) in &ours.words {
        println!("  {second:5} {words}");
    }
    assert!(here.most <= MAX && here.failed == 0);
    (here, theirs)
}

#[track_caller]
fn better(trace: &Trace) {
    let runs: Vec<_> = SEEDS.iter().map(|&seed| (seed, both(trace, seed))).collect();
    for (seed, (ours, theirs)) in runs {
        // Where nobody is ever slow, nobody can be less so.
        let fewer = ours.slow_seconds < theirs.slow_seconds || theirs.slow_seconds == 0;
        assert!(
            fewer && ours.slow_seconds <= theirs.slow_seconds,
            "{} seed {seed}: slow seconds",
            trace.name
        );
        assert!(ours.node_seconds < theirs.node_seconds, "{} seed {seed}: node-seconds", trace.name);
    }
}

#[test]
fn a_step_of_ten_times_and_back() {
    better(&STEP);
}

#[test]
fn a_ramp() {
    better(&RAMP);
}

#[test]
fn a_daily_wave() {
    better(&DAILY);
}

/// A tight fleet has no room for half as much again: it is kept once gusts have come twice.
#[test]
fn a_daily_wave_with_gusts() {
    better(&GUSTS);
}

#[test]
fn a_train_of_spikes() {
    better(&SPIKES);
}

#[test]
fn a_steady_load_is_left_alone() {
    for seed in SEEDS {
        let (ours, _) = both(&STEADY, seed);
        let late: Vec<_> = ours.changes.iter().filter(|change| change.0 > 180).collect();
        assert!(late.is_empty(), "seed {seed}: {late:?}");
        assert!(ours.slow_seconds <= 15, "seed {seed}: {} slow seconds", ours.slow_seconds);
    }
}
