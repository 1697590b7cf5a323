//! A panic costs the one connection in which it happened.

use std::sync::Arc;

use crate::harness::balancer::Launch;
use crate::harness::gate::Gate;
use crate::harness::origin::{Origin, ok};
use crate::harness::site::site_cases;
use crate::rig::{Rig, get, on};
use crate::traffic::{Traffic, assert_all_ok};

/// Builds with debug assertions panic at requests for this target.
const LAUNCH: Launch<'_> = Launch {
    environment: &[("PLIMSOLL_PANIC_ON", "/panic")],
    descriptors: None,
    stdout: None,
    file: None,
    hosts: None,
};

site_cases! { on;
    fn others_live_on_and_it_is_counted(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = Origin::start(Arc::new(move |c| {
            while let Some(request) = c.request() {
                if request.target() == "/slow" {
                    wait.pass();
                }
                c.send(ok("hi"));
            }
        }));
        let rig = Rig::launch(driver, &[&origin], "workers: 1\n", &LAUNCH);
        let mut kept = rig.client();
        assert_eq!(kept.send(get("/")).response().text(), "hi");
        let mut slow = rig.client();
        slow.send(get("/slow"));
        origin.act().wait("the slow request", |seen| {
            seen.iter().flat_map(|s| &s.requests).any(|r| r.target() == "/slow").then_some(())
        });
        let traffic = Traffic::start(rig.balancer.address(), 4);
        for n in 1..=10 {
            let mut victim = rig.client();
            victim.send(get("/panic"));
            victim.closed();
            assert_eq!(rig.total("panics_total"), n);
        }
        traffic.wait_for_more(50);
        assert_all_ok(&traffic.stop());
        gate.open();
        assert_eq!(slow.response().text(), "hi");
        assert_eq!(kept.send(get("/")).response().text(), "hi");
        drop((slow, kept));
        rig.wait_until_quiet();
        assert_eq!(rig.metric("plimsoll_panics_total", &[]), 10.0);
        assert!(origin.act().requests().iter().all(|r| r.target() != "/panic"));
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(crate::harness::PATIENCE), 0);
    }
}
