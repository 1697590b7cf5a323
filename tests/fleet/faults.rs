//! The engine in trouble: what runs goes on, what is wrong is told with its cure, and soon after its return everything is
//! as it should be.

use std::time::{Duration, Instant};

use crate::faulty::{Fault, Faulty};
use crate::harness::balancer::Launch;
use crate::traffic::assert_all_ok;
use crate::yard::{Yard, config, docker, is_skipped, name};

/// How long after the engine's return everything must be as it should.
const RECONCILED: Duration = Duration::from_secs(5);

/// For a while, while a node is killed and the number that is wanted changes.
fn survives(test: &str, fault: Fault, words: &[&str]) {
    if is_skipped(test) {
        return;
    }
    let long = std::env::var_os("PLIMSOLL_LONG").is_some();
    let lasts = Duration::from_secs(if long { 60 } else { 6 });
    let engine = Faulty::start();
    let name = name();
    let text = config(&name, "command: [\"--delay\", \"2ms\"]", "min: 2, max: 4");
    let launch = Launch { environment: &[("DOCKER_HOST", &engine.host())], ..Launch::default() };
    let yard = Yard::launch(name, &text, &launch);
    let first = yard.wait_for_serving(2);
    let before = yard.containers();
    let traffic = yard.traffic(8);
    engine.set(fault);
    let over = Instant::now() + lasts;
    yard.scale(3);
    docker(&["kill", &before[0]]);
    yard.wait_for_words(words);
    // No condition to wait for: the fault has its time, which may be longer than any test waits for something.
    std::thread::sleep(over.saturating_duration_since(Instant::now()));
    traffic.wait_for_more(100);
    engine.set(Fault::Nothing);
    let back = Instant::now();
    loop {
        let (nodes, containers) = (yard.serving(), yard.containers());
        if nodes.len() == 3 && containers.len() == 3 && !containers.contains(&before[0]) {
            break;
        }
        let after = back.elapsed();
        assert!(after < RECONCILED, "{nodes:?} {containers:?} after {after:?}\n{}", yard.events());
        std::thread::sleep(Duration::from_millis(20));
    }
    traffic.wait_for_more(100);
    assert_all_ok(&traffic.stop());
    // The one that nobody touched was there all the time.
    let now = yard.serving();
    assert!(first.iter().any(|node| now.contains(node)), "{first:?} {now:?}\n{}", yard.events());
}

#[test]
fn a_dead_engine() {
    survives(
        "a_dead_engine",
        Fault::Dead,
        &["cannot be reached", "systemctl start docker", "nodes that run go on"],
    );
}

#[test]
fn an_engine_that_hangs() {
    survives("an_engine_that_hangs", Fault::Hangs, &["nodes that run go on"]);
}

#[test]
fn an_engine_that_fails_every_call() {
    survives("an_engine_that_fails_every_call", Fault::Broken, &["disk on fire", "see the engine's log"]);
}

#[test]
fn a_stream_of_events_that_is_cut_again_and_again() {
    survives("a_stream_of_events_that_is_cut_again_and_again", Fault::Cut, &[]);
}

#[test]
fn events_that_come_twice() {
    survives("events_that_come_twice", Fault::Twice, &[]);
}

#[test]
fn events_in_another_order() {
    survives("events_in_another_order", Fault::Swapped, &[]);
}
