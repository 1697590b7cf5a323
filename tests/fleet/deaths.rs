//! Containers that end against the balancer's wish, by any hand.

use std::time::{Duration, Instant};

use crate::traffic::assert_all_ok;
use crate::yard::{Yard, docker, is_skipped, wait_for};

/// Waits until another container serves in the place of this one.
fn wait_for_another(yard: &Yard, victim: &str) {
    wait_for("another in its place", || {
        let now = yard.containers();
        (now.len() == 2 && !now.iter().any(|id| id == victim)).then_some(())
    });
    yard.wait_for_serving(2);
}

#[test]
fn what_is_killed_stopped_or_ends_by_itself_is_replaced() {
    if is_skipped("what_is_killed_stopped_or_ends_by_itself_is_replaced") {
        return;
    }
    let yard = Yard::start("port: 8080", "min: 2, max: 4");
    yard.wait_for_serving(2);
    let traffic = yard.traffic(4);
    let ends: [(&[&str], &str); 4] = [
        (&["kill"], "somebody else stops it"),
        (&["stop"], "somebody else stops it"),
        (&["kill", "--signal", "TERM"], "somebody else stops it"),
        (&["rm", "--force"], ""),
    ];
    for (end, words) in ends {
        let victim = yard.containers().remove(0);
        docker(&[end, &[&*victim]].concat());
        wait_for_another(&yard, &victim);
        yard.wait_for_words(&[words]);
    }
    // A hang-up is no end: nothing comes and nothing goes. The first process of a container ends by no signal that it does
    // not know.
    let before = yard.containers();
    docker(&["kill", "--signal", "HUP", &before[0]]);
    traffic.wait_for_more(100);
    assert_eq!(yard.containers(), before);
    assert_all_ok(&traffic.stop());
}

#[test]
fn a_kill_every_few_seconds_fails_no_request() {
    if is_skipped("a_kill_every_few_seconds_fails_no_request") {
        return;
    }
    let (kills, pause) = if std::env::var_os("PLIMSOLL_LONG").is_some() { (12, 5) } else { (4, 3) };
    let yard = Yard::start("command: [\"--delay\", \"5ms\"]", "min: 3, max: 4");
    yard.wait_for_serving(3);
    let traffic = yard.traffic(16);
    for _ in 0..kills {
        let next = Instant::now() + Duration::from_secs(pause);
        yard.wait_for_serving(3);
        docker(&["kill", &yard.containers()[0]]);
        wait_for("the next one's time", || (Instant::now() >= next).then_some(()));
    }
    yard.wait_for_serving(3);
    traffic.wait_for_more(100);
    assert_all_ok(&traffic.stop());
}
