//! Two workers share the connections evenly.

use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::rig::{Rig, on};
use crate::traffic::{Traffic, assert_all_ok};

site_cases! { on;
    fn connections_are_dealt_out_evenly(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "workers: 2\n");
        // The kernel deals by a hash: a burst of few is where it is furthest from even.
        let traffic = Traffic::start(rig.balancer.address(), 24);
        traffic.wait_for_more(1000);
        let status = rig.json("/api/v1/status");
        assert_all_ok(&traffic.stop());
        let open: Vec<_> = status["totals"]["connections_by_worker"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!((open.len(), open.iter().sum::<u64>()), (2, 24), "{status}");
        // 9 of 24 connections on one and 15 on the other is the furthest that workers let it come.
        assert!(open.iter().all(|&open| (9..=15).contains(&open)), "connections of the workers: {open:?}");
    }
}
