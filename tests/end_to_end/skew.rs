//! Two workers share the work evenly.

use std::time::Duration;

use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::kernel::threads;
use crate::rig::{Rig, on};
use crate::traffic::{Traffic, assert_all_ok};

/// CPU time of each worker.
fn workers(pid: u32) -> Vec<Duration> {
    let mut times: Vec<_> =
        threads(pid).into_iter().filter(|(name, _)| name.starts_with("worker-")).collect();
    times.sort();
    times.into_iter().map(|(_, time)| time).collect()
}

site_cases! { on;
    fn connections_are_dealt_out_evenly(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "workers: 2\n");
        // The kernel deals by a hash: a burst of few is where it is furthest from even.
        let traffic = Traffic::start(rig.balancer.address(), 24);
        traffic.wait_for_more(100);
        let before = workers(rig.balancer.pid);
        traffic.wait_for_more(3000);
        let after = workers(rig.balancer.pid);
        assert_all_ok(&traffic.stop());
        let used: Vec<_> = after.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before)).collect();
        let (least, most) = (used.iter().min().unwrap(), used.iter().max().unwrap());
        // 9 of 24 connections on one and 15 on the other is the furthest that workers let it come.
        assert!(used.len() == 2 && *least * 3 > *most, "CPU time of the workers: {used:?}");
    }
}
