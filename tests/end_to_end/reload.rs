//! HUP: the file is read again; what is good of it is in force at once, and what is bad changes nothing.

use std::fs;

use crate::harness::balancer::Driver;
use crate::harness::client::Client;
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
    fn whom_the_admin_api_lets_in_changes(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let good = config(driver, &[&origin], "");
        let admin = "admin: { bind: \"127.0.0.1:0\" }";
        let with = |keys: &str| good.replace(admin, &format!("admin: {{ bind: \"127.0.0.1:0\", {keys} }}"));
        let rig = Rig::with(&good);
        let address = rig.balancer.admin.unwrap();
        let call = |method: &str, path: &str, host: &str, fields: &str| {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Type: application/json\r\n\
                 Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            );
            Client::connect(address, "").send(request).response().status()
        };
        let host = address.to_string();
        assert_eq!(call("GET", "/api/v1/status", "lb.internal", ""), 403);
        let said = reload(&rig, &with("writable: false, names: [lb.internal]"));
        assert!(said.contains("`admin.writable` changed") && said.contains("`admin.names` changed"), "{said}");
        wait_for("the new rules", || (call("POST", "/api/v1/reload", &host, "") == 403).then_some(()));
        assert_eq!(call("GET", "/api/v1/status", "lb.internal", ""), 200);
        // A token, and then another one in the same file.
        let token = rig.balancer.file.with_extension("token");
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let (first, second) = ("the-first-of-the-tokens", "the-second-of-the-tokens");
        fs::write(&token, first).unwrap();
        let guarded = with(&format!("token_file: \"{}\"", token.display()));
        reload(&rig, &guarded);
        wait_for("the token", || (call("GET", "/api/v1/status", &host, "") == 401).then_some(()));
        assert_eq!(call("GET", "/api/v1/status", &host, &bearer(first)), 200);
        fs::write(&token, second).unwrap();
        reload(&rig, &guarded);
        wait_for("the second token", || (call("GET", "/api/v1/status", &host, &bearer(second)) == 200).then_some(()));
        assert_eq!(call("GET", "/api/v1/status", &host, &bearer(first)), 401);
        // One that cannot be read lets nobody in who was not let in before.
        fs::remove_file(&token).unwrap();
        reload(&rig, &guarded);
        wait_for("the complaint", || rig.balancer.stderr().contains("goes by what it was told before").then_some(()));
        assert_eq!(call("GET", "/api/v1/status", &host, ""), 401);
        assert_eq!(call("GET", "/api/v1/status", &host, &bearer(second)), 200);
        let said = reload(&rig, &good.replace(admin, "admin: { bind: \"127.0.0.1:1\" }"));
        assert!(said.contains("`admin.bind` cannot change"), "{said}");
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
