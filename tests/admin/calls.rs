//! Each call of the contract, and what it answers.

use std::time::{Duration, Instant};

use plimsoll::shared::report::Totals;
use plimsoll::shared::run_state::Phase;
use serde_json::{Value, json};

use crate::rig::{HOSTILE, Rig, SECRET, connections, node_counts, requests, wait_for};

#[test]
fn healthz_says_that_the_process_is_alive() {
    let answer = Rig::new().get("/healthz");
    assert_eq!((answer.status, answer.json()), (200, json!({ "alive": true })));
}

#[test]
fn readyz_follows_the_life_of_the_process() {
    let rig = Rig::healthy();
    let answer = rig.get("/readyz");
    assert_eq!((answer.status, answer.json()), (200, json!({ "ready": true, "missing": [] })));
    rig.run_state.advance(Phase::Draining);
    let answer = rig.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["missing"], json!(["the process is shutting down"]));
}

#[test]
fn readyz_names_each_backend_without_a_serving_node_and_why() {
    let answer = Rig::new().get("/readyz");
    let missing = "backend lost has no serving node: lost.invalid:80 does not resolve (no such name); \
                   it is tried again";
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["missing"], json!([missing]));
    assert_eq!(answer.json()["error"]["code"], "not_ready");
    assert_eq!(answer.json()["error"]["message"], missing);
}

#[test]
fn status_is_exact_at_every_call() {
    let rig = Rig::new();
    for round in 1..=50_u64 {
        rig.count((round % 2) as usize, |report| report.routes.push(requests("/api/*", "api", 200, 1, 900)));
        let status = rig.get("/api/v1/status").json();
        assert_eq!(status["totals"]["requests_total"], round);
        assert_eq!(status["exact"], true);
    }
}

#[test]
fn status_tells_of_the_process_and_of_all_that_was_counted() {
    let rig = Rig::new();
    rig.count(0, |report| {
        report.routes.push(requests("/api/*", "api", 200, 6, 1000));
        report.routes.push(requests("/api/*", "api", 503, 2, 1000));
        report.listeners.push(connections(9, 4));
        report.totals = Totals { bytes_in: 5, bytes_out: 7, retries: 3, ..Totals::default() };
    });
    rig.count(1, |report| {
        report.routes.push(requests("", "", 404, 1, 50));
        report.routes.push(requests("/api/*", "api", 0, 1, 50));
        report.listeners.push(connections(1, 1));
        report.totals = Totals { panics: 1, log_lines_dropped: 2, ..Totals::default() };
    });
    rig.node(0).begin();
    let status = rig.get("/api/v1/status").json();
    let expected = json!({
        "version": "0.1.0", "driver": "io_uring", "driver_reason": "DEFER_TASKRUN", "workers": 2,
        "phase": "running", "config_hash": "c0ffee", "last_reload": null, "started_ms": 1_795_498_606_045_u64,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&status[key], value, "{key}");
    }
    let totals = &status["totals"];
    assert_eq!(totals["responses"], json!({ "none": 1, "1xx": 0, "2xx": 6, "3xx": 0, "4xx": 1, "5xx": 2 }));
    let expected = json!({
        "requests_total": 10, "errors_total": 2, "retries_total": 3, "hedges_total": 0, "hedges_won_total": 0, "in_flight": 1, "connections": 5,
        "connections_total": 10, "bytes_in_total": 5, "bytes_out_total": 7, "panics_total": 1,
        "accept_errors_total": 0, "datagrams_dropped_total": 0, "log_lines_dropped_total": 2, "reports_dropped_total": 0,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&totals[key], value, "{key}");
    }
    assert!(totals["p50_us"].as_u64().unwrap().abs_diff(1000) <= 10, "{totals}");
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_worker_that_hangs_delays_a_call_a_little_and_is_told() {
    let rig = Rig::new();
    rig.count(0, |report| report.routes.push(requests("/api/*", "api", 200, 1, 900)));
    rig.deafen(1);
    // Deaf, once its thread has seen the flag: until then it may answer one more time.
    wait_for("an inexact status", || rig.get("/api/v1/status").json()["exact"] == false);
    let before = Instant::now();
    let status = rig.get("/api/v1/status").json();
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert_eq!(status["totals"]["requests_total"], 1);
}

#[test]
fn nodes_have_all_fields_of_the_contract() {
    let rig = Rig::new();
    let node = rig.node(0);
    (0..4).for_each(|_| node.begin());
    (0..3).for_each(|_| node.end());
    node.count_error();
    rig.count(0, |report| report.nodes.push(node_counts(node, 100, 2000)));
    let nodes = rig.get("/api/v1/nodes").json();
    let first = &nodes[0];
    let mut keys: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let contract = [
        "address",
        "backend",
        "container",
        "cpu_percent",
        "errors_total",
        "id",
        "in_flight",
        "origin",
        "p50_us",
        "p999_us",
        "p99_us",
        "queued",
        "reason",
        "requests_total",
        "rps",
        "since_ms",
        "state",
        "weight",
    ];
    assert_eq!(keys, contract);
    let expected = json!({
        "id": "api/127.0.0.1:9001", "backend": "api", "address": "127.0.0.1:9001", "origin": "static",
        "state": "serving", "weight": 1, "in_flight": 1, "queued": 0, "requests_total": 4, "errors_total": 1,
        "cpu_percent": null, "container": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&first[key], value, "{key}");
    }
    assert!(first["p99_us"].as_u64().unwrap().abs_diff(2000) <= 20, "{first}");
    assert_eq!(nodes[1]["p99_us"], Value::Null);
    let lost = &nodes[2];
    assert_eq!((&lost["state"], &lost["origin"]), (&json!("down"), &json!("dns")));
    assert_eq!(lost["reason"], "lost.invalid:80 does not resolve (no such name); it is tried again");
}

#[test]
fn the_rate_of_a_node_moves_with_its_requests() {
    let rig = Rig::new();
    let node = rig.node(0);
    wait_for("a rate", || {
        node.begin();
        node.end();
        rig.get("/api/v1/nodes").json()[0]["rps"].as_f64().unwrap() > 0.5
    });
    assert_eq!(rig.get("/api/v1/nodes").json()[1]["rps"], 0.0);
}

#[test]
fn backends_add_their_nodes_up() {
    let rig = Rig::new();
    for at in 0..2 {
        let node = rig.node(at);
        node.begin();
        rig.count(at, |report| report.nodes.push(node_counts(node, 10, 3000)));
    }
    let backends = rig.get("/api/v1/backends").json();
    let expected = json!({
        "name": "api", "strategy": "least_connections", "nodes": 2, "serving": 2, "in_flight": 2,
        "requests_total": 2, "errors_total": 0,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&backends[0][key], value, "{key}");
    }
    assert!(backends[0]["p50_us"].as_u64().unwrap().abs_diff(3000) <= 30);
    assert_eq!((&backends[1]["name"], &backends[1]["serving"]), (&json!("lost"), &json!(0)));
}

#[test]
fn routes_say_what_they_match_where_they_lead_and_what_they_saw() {
    let rig = Rig::new();
    rig.count(0, |report| report.routes.push(requests("/api/*", "api", 502, 3, 800)));
    let routes = rig.get("/api/v1/routes").json();
    let expected = json!({
        "name": "/api/*", "host": "*.example.com", "path": "/api/*", "methods": [], "headers": [],
        "listeners": null, "action": "forward", "backend": "api", "requests_total": 3, "errors_total": 3,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&routes[0][key], value, "{key}");
    }
    assert_eq!(routes[1]["name"], HOSTILE);
}

#[test]
fn listeners_have_their_real_addresses() {
    let rig = Rig::new();
    rig.count(0, |report| {
        report.listeners.push(connections(2, 1));
        report.routes.push(requests("/api/*", "api", 200, 5, 800));
    });
    let expected = json!([{
        "name": "web", "protocol": "http", "addresses": ["127.0.0.1:8080"], "connections": 1,
        "connections_total": 2, "requests_total": 5,
    }]);
    assert_eq!(rig.get("/api/v1/listeners").json(), expected);
}

#[test]
fn config_tells_the_settings_without_their_secrets() {
    let answer = Rig::new().get("/api/v1/config");
    assert!(!answer.body.contains(SECRET), "{}", answer.body);
    let config = answer.json();
    assert_eq!(config["grace"], "30s");
    assert_eq!(config["trusted_proxies"], json!(["10.0.0.0/8"]));
    assert_eq!(config["access_log"], "off");
    assert_eq!(config["listeners"]["web"]["bind"], json!(["127.0.0.1:0"]));
    assert_eq!(config["routes"][0]["request_headers"]["set"], json!({ "authorization": "(withheld)" }));
    assert_eq!(config["routes"][0]["backend"], "api");
    assert_eq!(
        config["backends"]["api"]["servers"][1],
        json!({ "url": "http://127.0.0.2:9001", "weight": 1, "max_connections": 0 })
    );
    let api = &config["backends"]["api"];
    assert_eq!(
        (&api["retry"]["budget"], &api["hedge"], &api["health"]),
        (&json!("20%"), &json!(null), &json!(null))
    );
    assert_eq!((&api["panic_threshold"], &api["queue"]["timeout"]), (&json!("50%"), &json!("5s")));
    assert_eq!(config["backends"]["lost"]["servers"][0]["url"], "http://lost.invalid:80");
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_links_to_calls_that_exist() {
    let rig = Rig::new();
    let page = rig.get("/");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(!page.body.contains("http://") && !page.body.contains("https://"));
    let mut links = 0;
    for attribute in page.body.split("=\"/").skip(1) {
        let path = format!("/{}", attribute.split('"').next().unwrap());
        let status = rig.get(&path).status;
        assert!(status == 200 || (path == "/readyz" && status == 503), "{path}: {status}");
        links += 1;
    }
    assert!(links >= 11, "{links}");
}
