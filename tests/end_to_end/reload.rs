//! HUP: the file is read again; what is good of it is in force at once, and what is bad changes nothing.

use std::fs;

use crate::harness::balancer::Driver;
use crate::harness::gate::Gate;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::rig::{Rig, get, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

fn config(driver: Driver, origins: &[&Origin], more: &str) -> String {
    let servers: Vec<_> =
        origins.iter().map(|origin| format!("{{ url: \"http://{}\" }}", origin.address())).collect();
    let servers = servers.join(", ");
    format!(
        "{}{LISTENER}routes:\n  - {{ path: /*, backend: node }}\n{more}\nbackends: {{ node: {{ servers: [{servers}] }} }}\n",
        common(driver)
    )
}

/// Writes the file and reloads it; what the balancer says then.
#[track_caller]
fn reload(rig: &Rig, text: &str) -> String {
    let before = rig.balancer.stderr().len();
    fs::write(&rig.balancer.file, text).unwrap();
    rig.balancer.signal("HUP");
    wait_for("the outcome of the reload", || {
        let said = rig.balancer.stderr()[before..].to_owned();
        said.lines().find(|line| line.contains("reload")).map(str::to_owned)
    })
}

site_cases! { on;
    fn routes_and_servers_change_and_requests_in_flight_do_not_notice(driver) {
        let gate = Gate::default();
        let (old, new) = (gated(&gate), Origin::start(answering(ok("new"))));
        let rig = Rig::with(&config(driver, &[&old], ""));
        let mut waiting = rig.client();
        waiting.send(get("/wait"));
        old.act().wait("the request", |seen| seen.iter().any(|s| !s.requests.is_empty()).then_some(()));
        let said = reload(&rig, &config(driver, &[&new], "  - { path: /ping, respond: { body: pong } }"));
        assert!(said.contains("route `/ping` is new"), "{said}");
        assert!(said.contains(&format!("server `{}` is new", new.address())), "{said}");
        for _ in 0..10 {
            assert_eq!(rig.get("/").text(), "new");
        }
        assert_eq!(rig.get("/ping").text(), "pong");
        let address = old.address().to_string();
        let nodes = rig.json("/api/v1/nodes");
        let leaving = nodes.as_array().unwrap().iter().find(|node| node["address"] == *address).unwrap();
        assert_eq!((leaving["state"].as_str(), leaving["in_flight"].as_u64()), (Some("draining"), Some(1)));
        gate.open();
        assert_eq!(waiting.response().text(), "old");
        wait_for("the old node gone", || (rig.json("/api/v1/nodes").as_array().unwrap().len() == 1).then_some(()));
        assert!(rig.json("/api/v1/status")["last_reload"].is_u64());
    }
    fn a_bad_file_changes_nothing_and_says_why(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let good = config(driver, &[&origin], "");
        let rig = Rig::with(&good);
        let hash = rig.json("/api/v1/status")["config_hash"].clone();
        let said = reload(&rig, &good.replace("backend: node", "backend: nobody"));
        assert!(said.contains("there is no backend `nobody`") && said.contains("line "), "{said}");
        assert_eq!(rig.get("/").text(), "hi");
        let said = reload(&rig, &good.replace("web: {", "other: {"));
        assert!(said.contains("the listener `other` is new"), "{said}");
        let said = reload(&rig, &format!("workers: 3\n{good}"));
        assert!(said.contains("`workers` cannot change"), "{said}");
        assert_eq!(rig.get("/").text(), "hi");
        assert_eq!(rig.json("/api/v1/status")["config_hash"], hash);
        assert!(reload(&rig, &good).contains("nothing has changed"));
    }
    fn a_hundred_reloads_under_load_cost_no_request(driver) {
        let (one, other) = (Origin::start(answering(ok("one"))), Origin::start(answering(ok("other"))));
        let both = config(driver, &[&one, &other], "");
        let turned = config(driver, &[&other], "  - { path: /x, respond: { body: x } }\n  - { path: /y/*, backend: node }");
        let rig = Rig::with(&format!("workers: 2\n{both}"));
        let traffic = Traffic::start(rig.balancer.address(), 4);
        for round in 0..100 {
            let text = if round % 2 == 0 { &turned } else { &both };
            fs::write(&rig.balancer.file, format!("workers: 2\n{text}")).unwrap();
            rig.balancer.signal("HUP");
            traffic.wait_for_more(10);
        }
        wait_for("the last reload", || {
            fs::write(&rig.balancer.file, format!("workers: 2\n{both}")).unwrap();
            rig.balancer.signal("HUP");
            (rig.json("/api/v1/nodes").as_array().unwrap().len() == 2).then_some(())
        });
        assert_all_ok(&traffic.stop());
        // Signals that come while one is waiting are one.
        let reloads = rig.balancer.stderr().matches("reloaded: ").count();
        assert!(reloads > 20, "{reloads} reloads: nothing was proven");
        rig.wait_until_quiet();
    }
}

/// Answers once the gate is open.
fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(std::sync::Arc::new(move |c| {
        while c.request().is_some() {
            gate.pass();
            c.send(ok("old"));
        }
    }))
}
