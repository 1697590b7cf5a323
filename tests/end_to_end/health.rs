//! Nodes that fail: found out by probes, or by their answers; left out, tried again, let in again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::balancer::Driver;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::rig::{Rig, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// A node that answers with 500 while it is told to, and what it was asked.
#[derive(Clone, Default)]
struct Moody {
    fails: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    probes: Arc<AtomicUsize>,
}

impl Moody {
    fn start(&self) -> Origin {
        let mood = self.clone();
        Origin::start(Arc::new(move |c| {
            while let Some(request) = c.request() {
                let count = if request.target() == "/healthz" { &mood.probes } else { &mood.requests };
                count.fetch_add(1, SeqCst);
                while mood.hangs.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                match mood.fails.load(SeqCst) {
                    true => c.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
                    false => c.send(ok("moody")),
                };
            }
        }))
    }

    fn asked(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

/// One backend of these origins with these keys.
fn config(driver: Driver, origins: &[&Origin], settings: &str, keys: &str) -> String {
    let servers: Vec<_> =
        origins.iter().map(|origin| format!("{{ url: \"http://{}\" }}", origin.address())).collect();
    format!(
        "{}{LISTENER}{settings}routes: [{{ path: /*, backend: node }}]\nbackends: {{ node: {{ {keys}, servers: [{}] }} }}\n",
        common(driver),
        servers.join(", ")
    )
}

fn node(rig: &Rig, origin: &Origin) -> Value {
    let address = origin.address().to_string();
    let nodes = rig.json("/api/v1/nodes");
    nodes.as_array().unwrap().iter().find(|node| node["address"] == *address).unwrap().clone()
}

#[track_caller]
fn wait_for_state(rig: &Rig, origin: &Origin, state: &str) -> String {
    wait_for(state, || {
        let node = node(rig, origin);
        (node["state"] == state).then(|| node["reason"].as_str().unwrap().to_owned())
    })
}

site_cases! { on;
    fn a_node_that_fails_fast_gets_next_to_nothing_and_recovers_by_itself(driver) {
        let (moody, good) = (Moody::default(), Origin::start(answering(ok("good"))));
        let (bad, third) = (moody.start(), Origin::start(answering(ok("third"))));
        let keys = "outlier: { consecutive_failures: 5, ejection: 1s }";
        let rig = Rig::with(&config(driver, &[&good, &bad, &third], "workers: 2\n", keys));
        let traffic = Traffic::start(rig.balancer.address(), 6);
        traffic.wait_for_more(100);
        moody.fails.store(true, SeqCst);
        let (began, asked) = (Instant::now(), moody.asked());
        // The workers stop by themselves: at most the row, and what was under way.
        let why = wait_for_state(&rig, &bad, "ejected");
        assert!(began.elapsed() < Duration::from_secs(2), "ejected after {:?}", began.elapsed());
        assert!(why.contains("failures in a row"), "{why}");
        assert!(moody.asked() - asked <= 5 + 6 + 3, "{} requests until it was out", moody.asked() - asked);
        // Trials go on, one each second or less often.
        let asked = moody.asked();
        let before = traffic.answered();
        traffic.wait_for_more(2000);
        let (share, all) = (moody.asked() - asked, traffic.answered() - before);
        assert!(share as u64 * 100 <= all, "{share} of {all}");
        moody.fails.store(false, SeqCst);
        wait_for_state(&rig, &bad, "serving");
        let asked = moody.asked();
        traffic.wait_for_more(600);
        assert!(moody.asked() - asked >= 120, "{} of 600 after it came back", moody.asked() - asked);
        let outcomes = traffic.stop();
        let failed = outcomes.iter().filter(|outcome| outcome.status != 200).count();
        assert!(failed <= 5 + 6 + 3 + 8, "{failed} clients saw a failure");
        rig.wait_until_quiet();
    }
    fn the_last_node_is_never_ejected(driver) {
        let moody = Moody::default();
        let origin = moody.start();
        moody.fails.store(true, SeqCst);
        let rig = Rig::with(&config(driver, &[&origin], "", "outlier: {}"));
        for _ in 0..30 {
            assert_eq!(rig.get("/").status(), 500);
        }
        assert_eq!(moody.asked(), 30);
        assert_eq!(node(&rig, &origin)["state"], "serving");
    }
    fn a_node_that_hangs_costs_a_timeout_a_row_and_then_nothing(driver) {
        let (moody, good) = (Moody::default(), Origin::start(answering(ok("good"))));
        let bad = moody.start();
        moody.hangs.store(true, SeqCst);
        let keys = "outlier: { consecutive_failures: 2, ejection: 60s }";
        let rig = Rig::with(&config(driver, &[&good, &bad], "timeouts: { response_head: 300ms }\n", keys));
        let mut slow = 0;
        for _ in 0..40 {
            let answer = rig.get("/");
            if answer.status() == 504 { slow += 1 } else { assert_eq!(answer.text(), "good") }
        }
        assert_eq!(slow, 2);
        wait_for_state(&rig, &bad, "ejected");
        moody.hangs.store(false, SeqCst);
    }
    fn probes_take_a_node_out_and_bring_it_back(driver) {
        let (moody, good) = (Moody::default(), Origin::start(answering(ok("good"))));
        let bad = moody.start();
        let keys = "health: { path: /healthz, interval: 50ms, timeout: 500ms, rise: 2, fall: 2, expect: \"200\" }";
        let rig = Rig::with(&config(driver, &[&good, &bad], "workers: 2\n", keys));
        wait_for("the first probe", || (node(&rig, &bad)["reason"] == "passes its probes").then_some(()));
        moody.fails.store(true, SeqCst);
        let why = wait_for_state(&rig, &bad, "unhealthy");
        assert_eq!(why, "GET /healthz answers 500, and 200 is expected");
        assert_eq!(rig.metric("plimsoll_node_up", &[&bad.address().to_string()]), 0.0);
        let asked = moody.asked();
        for _ in 0..20 {
            assert_eq!(rig.get("/").text(), "good");
        }
        assert_eq!(moody.asked(), asked);
        moody.fails.store(false, SeqCst);
        wait_for_state(&rig, &bad, "serving");
        wait_for("its share", || (rig.get("/").text() == "moody").then_some(()));
        assert!(rig.balancer.stderr().contains("is unhealthy (was serving)"), "{}", rig.balancer.stderr());
    }
    fn nodes_that_all_fail_their_probes_are_used_all_the_same(driver) {
        let moody = Moody::default();
        let (one, other) = (moody.start(), moody.start());
        moody.fails.store(true, SeqCst);
        let keys = "health: { path: /healthz, interval: 50ms }, panic_threshold: 50%";
        let rig = Rig::with(&config(driver, &[&one, &other], "", keys));
        for origin in [&one, &other] {
            wait_for_state(&rig, origin, "unhealthy");
        }
        assert_eq!(rig.get("/").status(), 500, "the node's own answer");
        let keys = "health: { path: /healthz, interval: 50ms }, panic_threshold: 0%";
        let strict = Rig::with(&config(driver, &[&one, &other], "", keys));
        for origin in [&one, &other] {
            wait_for_state(&strict, origin, "unhealthy");
        }
        let answer = strict.get("/");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (503, Some("no_healthy_node")));
    }
    fn a_node_that_comes_back_starts_slowly(driver) {
        let (moody, good) = (Moody::default(), Origin::start(answering(ok("good"))));
        let slow = moody.start();
        let keys = "health: { path: /healthz, interval: 50ms, rise: 1, fall: 1 }, slow_start: 20s";
        let rig = Rig::with(&config(driver, &[&good, &slow], "workers: 1\n", keys));
        wait_for("the first probe", || (node(&rig, &slow)["reason"] == "passes its probes").then_some(()));
        moody.fails.store(true, SeqCst);
        wait_for_state(&rig, &slow, "unhealthy");
        moody.fails.store(false, SeqCst);
        wait_for_state(&rig, &slow, "serving");
        let (began, asked) = (Instant::now(), moody.asked());
        let traffic = Traffic::start(rig.balancer.address(), 2);
        traffic.wait_for_more(400);
        let outcomes = traffic.stop();
        let elapsed = began.elapsed().as_secs_f64();
        // After so long its share may have grown to no more than this of the other's.
        let most = (elapsed / 20.0).max(0.1) * 1.3;
        let (slow, all) = ((moody.asked() - asked) as f64, outcomes.len() as f64);
        assert!(slow > 0.0 && slow <= all * most, "{slow} of {all} within {elapsed} s");
        assert_all_ok(&outcomes);
    }
}
