//! Rolling updates: new containers serve before old ones go, and a version that fails goes no further.

use std::collections::HashSet;

use crate::traffic::assert_all_ok;
use crate::yard::{Yard, config, docker, is_skipped, wait_for};

const SCALE: &str = "min: 2, max: 4";

/// Waits until two containers serve that are none of these.
fn wait_for_others(yard: &Yard, before: &[String]) -> Vec<String> {
    wait_for("two others", || {
        let now = yard.containers();
        (now.len() == 2 && now.iter().all(|id| !before.contains(id))).then_some(())
    });
    yard.wait_for_serving(2);
    yard.containers()
}

#[test]
fn a_reload_and_an_order_replace_all_and_nobody_notices() {
    if is_skipped("a_reload_and_an_order_replace_all_and_nobody_notices") {
        return;
    }
    let yard = Yard::start("port: 8080", SCALE);
    yard.wait_for_serving(2);
    let first = yard.containers();
    let traffic = yard.traffic(8);
    yard.reload(&config(&yard.name, "port: 8080, env: { VERSION: \"2\" }", SCALE));
    let second = wait_for_others(&yard, &first);
    yard.wait_for_words(&["all nodes were replaced"]);
    yard.roll();
    wait_for_others(&yard, &second);
    assert_all_ok(&traffic.stop());
}

#[test]
fn a_version_that_fails_stops_the_roll_and_is_not_started_again() {
    if is_skipped("a_version_that_fails_stops_the_roll_and_is_not_started_again") {
        return;
    }
    let yard = Yard::start("port: 8080", SCALE);
    yard.wait_for_serving(2);
    let before = yard.containers();
    let traffic = yard.traffic(8);
    yard.reload(&config(&yard.name, "command: [\"--status\", \"banana\"]", SCALE));
    yard.wait_for_words(&["exit code 2", "the roll has stopped", "started as they were before"]);
    let now: HashSet<_> = yard.containers().into_iter().collect();
    assert!(before.iter().all(|id| now.contains(id)), "the old ones go on");
    // What is started now is what serves.
    yard.scale(3);
    yard.wait_for_serving(3);
    docker(&["kill", &before[0]]);
    wait_for("another", || (!yard.containers().contains(&before[0])).then_some(()));
    yard.wait_for_serving(3);
    // An order tries what the configuration says, which fails as before.
    yard.roll();
    wait_for("the second failure", || {
        (yard.events().matches("the roll has stopped").count() == 2).then_some(())
    });
    yard.wait_for_serving(3);
    assert_all_ok(&traffic.stop());
    // Corrected, it goes through.
    let old = yard.containers();
    yard.reload(&config(&yard.name, "command: [\"--status\", \"200\"]", SCALE));
    wait_for("three others", || {
        let now = yard.containers();
        (now.len() == 3 && now.iter().all(|id| !old.contains(id))).then_some(())
    });
}
