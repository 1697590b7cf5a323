//! Many viewers: those that read cost little, those that do not cost memory to a bound and nobody's time.

use std::time::{Duration, Instant};

use crate::harness::origin::{Origin, answering, ok};
use crate::rig::Rig;

/// Clock ticks of a second in /proc (USER_HZ is 100 on every Linux that we run on).
const TICKS_PER_SECOND: f64 = 100.0;

/// KiB that the process holds.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Seconds of CPU that the thread of telemetry, which is the first, has used.
fn telemetry_cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

#[test]
fn a_thousand_viewers_that_never_read_are_cut_and_hold_up_nobody() {
    let origin = Origin::start(answering(ok("hello")));
    let rig = Rig::start(&origin);
    let mut witness = rig.viewer();
    witness.next("tick");
    let before_kib = resident_kib(rig.balancer.pid);
    let silent: Vec<_> = (0..1000).map(|_| rig.upgraded()).collect();
    witness.tick_where(Duration::from_secs(15), |tick| tick["viewers"].as_u64() == Some(1001));
    // Traffic and ticks go on meanwhile.
    for _ in 0..50 {
        let began = Instant::now();
        assert_eq!(rig.get("/"), 200);
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    let grown_kib = resident_kib(rig.balancer.pid).saturating_sub(before_kib);
    assert!(grown_kib < 128 * 1024, "{grown_kib} KiB for a thousand viewers that never read");
    // Nobody answered a ping: all of them are cut, and the witness is not.
    witness.tick_where(Duration::from_secs(60), |tick| tick["viewers"].as_u64() == Some(1));
    drop(silent);
}

/// The contract says under 5 % of a core for 200 viewers. Measured here with the tests' build, which is slower than a release,
/// while other tests run: the bound is twice that.
#[test]
fn two_hundred_viewers_cost_little() {
    const SECONDS: u64 = 5;
    let origin = Origin::start(answering(ok("hello")));
    let rig = Rig::start(&origin);
    let viewers: Vec<_> = (0..200)
        .map(|_| {
            let mut viewer = rig.viewer();
            std::thread::spawn(move || {
                (0..SECONDS + 2).for_each(|_| {
                    viewer.next("tick");
                });
                viewer
            })
        })
        .collect();
    let mut witness = rig.viewer();
    witness.tick_where(Duration::from_secs(10), |tick| tick["viewers"].as_u64() == Some(201));
    let (began, before_s) = (Instant::now(), telemetry_cpu_s(rig.balancer.pid));
    for _ in 0..SECONDS {
        witness.next("tick");
    }
    let part = (telemetry_cpu_s(rig.balancer.pid) - before_s) / began.elapsed().as_secs_f64();
    println!("200 viewers cost {:.1} % of a core", part * 100.0);
    assert!(part < 0.10, "200 viewers cost {:.1} % of a core", part * 100.0);
    viewers.into_iter().for_each(|viewer| drop(viewer.join().unwrap()));
}
