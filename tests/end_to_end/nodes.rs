//! Nodes that die under load, and nodes that close idle connections just when they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::harness::origin::{Origin, Script, answering, ok};
use crate::harness::site::site_cases;
use crate::mortal::MortalNode;
use crate::rig::{Rig, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// A node that keeps an idle connection for `keep`, as a server with a keep-alive timeout of a second does, and says
/// nothing of it. How often a connection was closed for that counts in `closed`.
fn impatient(keep: Duration, closed: Arc<AtomicUsize>) -> Script {
    Arc::new(move |c| {
        c.set_patience(keep);
        c.answer_all(ok("hi").as_bytes());
        closed.fetch_add(1, SeqCst);
    })
}

site_cases! { on;
    fn others_take_over_from_a_node_that_is_killed(driver) {
        let (survivor, victim) = (Origin::start(answering(ok("survivor"))), MortalNode::start("victim"));
        let config = crate::rig::before_addresses(driver, &[survivor.address(), victim.address()], "workers: 2\n");
        let rig = Rig::with(&config);
        let traffic = Traffic::start(rig.balancer.address(), 8);
        traffic.wait_for_more(200);
        let address = victim.address().to_string();
        victim.kill();
        traffic.wait_for_more(400);
        let outcomes = traffic.stop();
        // Nothing was repeated that a node may have begun to carry out, but a GET may be: on a pooled connection that
        // broke. Where the connection was new, its client is told.
        let failed: Vec<_> = outcomes.iter().filter(|o| o.status != 200).collect();
        assert!(failed.iter().all(|o| o.status == 502 && ["node_closed", "connect_failed"].contains(&&*o.reason)), "{failed:?}");
        assert!(failed.len() <= 8, "more than one failure a client: {failed:?}");
        assert!(outcomes.iter().any(|o| o.body == "victim"), "the victim had no part in it");
        for _ in 0..20 {
            assert_eq!(rig.get("/").text(), "survivor");
        }
        let nodes = rig.json("/api/v1/nodes");
        let dead = nodes.as_array().unwrap().iter().find(|n| n["address"] == *address).unwrap();
        assert!(dead["errors_total"].as_u64().unwrap() > 0, "{dead}");
        assert_eq!(dead["in_flight"], 0, "{dead}");
    }
    fn a_node_that_comes_back_is_used_again(driver) {
        let (survivor, victim) = (Origin::start(answering(ok("survivor"))), MortalNode::start("victim"));
        let rig = Rig::with(&crate::rig::before_addresses(driver, &[survivor.address(), victim.address()], ""));
        wait_for("the victim", || (rig.get("/").text() == "victim").then_some(()));
        let address = victim.address();
        victim.kill();
        for _ in 0..10 {
            assert_eq!(rig.get("/").text(), "survivor");
        }
        let _back = MortalNode::start_at(address, "victim again");
        wait_for("the node that came back", || (rig.get("/").text() == "victim again").then_some(()));
    }
    fn stale_pooled_connections_cost_idempotent_requests_nothing(driver) {
        let closed = Arc::new(AtomicUsize::new(0));
        let origin = Origin::start(impatient(Duration::from_millis(1000), closed.clone()));
        let rig = Rig::start(driver, &[&origin], "workers: 1\n");
        let address = rig.balancer.address();
        // Each wave leaves its connections idle for about as long as the node keeps them: some are closed just
        // before, some just as, some just after they are used again.
        for pause_ms in [985, 992, 998, 1000, 1003] {
            let traffic = Traffic::start(address, 24);
            traffic.wait_for_more(100);
            assert_all_ok(&traffic.stop());
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        let traffic = Traffic::start(address, 8);
        traffic.wait_for_more(200);
        assert_all_ok(&traffic.stop());
        assert!(closed.load(SeqCst) > 0, "the node never closed an idle connection: nothing was proven");
        assert_eq!(rig.total("errors_total"), 0, "requests that ended in a 5xx");
    }
    fn a_dead_backend_says_so(driver) {
        let victim = MortalNode::start("victim");
        let rig = Rig::with(&crate::rig::before_addresses(driver, &[victim.address()], ""));
        assert_eq!(rig.get("/").text(), "victim");
        victim.kill();
        wait_for("502 connect_failed", || {
            let answer = rig.get("/");
            let reason = answer.field("x-plimsoll-reason").map(str::to_owned);
            assert_eq!(answer.status(), 502, "{answer:?}");
            (reason.as_deref() == Some("connect_failed")).then_some(())
        });
    }
}
