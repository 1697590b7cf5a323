//! The page of `/metrics`, as an independent parser reads it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll::shared::report::Totals;
use serde_json::{Value, json};

use crate::rig::{Answer, HOSTILE, Rig, connections, node_counts, requests};

const PARSER: &str = "prometheus_client==0.22.1";

fn counted() -> Rig {
    let rig = Rig::new();
    rig.count(0, |report| {
        report.routes.push(requests("/api/*", "api", 200, 5, 70));
        report.routes.push(requests(HOSTILE, "api", 502, 2, 2_000_000));
        report.nodes.push(node_counts(rig.node(0), 5, 60));
        report.listeners.push(connections(3, 2));
        report.totals =
            Totals { bytes_in: 11, bytes_out: 22, retries: 4, reports_dropped: 1, ..Totals::default() };
    });
    rig.node(1).begin();
    rig
}

fn metrics(rig: &Rig, accept: &str) -> Answer {
    let fields = format!("host: localhost\r\naccept: {accept}\r\nconnection: close");
    rig.send(&format!("GET /metrics HTTP/1.1\r\n{fields}\r\n\r\n"))
}

#[test]
fn the_format_is_the_one_that_the_scraper_asks_for() {
    let rig = counted();
    let text = metrics(&rig, "text/plain");
    assert_eq!(text.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!text.body.contains("# EOF"));
    let open = metrics(&rig, "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1");
    assert_eq!(
        open.field("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.body.ends_with("# EOF\n"));
    assert_eq!(open.field("vary"), Some("accept"));
}

#[test]
fn an_independent_parser_reads_both_formats_and_finds_what_was_counted() {
    let Some(library) = parser_library() else { return };
    let rig = counted();
    let text = understood(&library, "text", &metrics(&rig, "text/plain").body);
    let open = understood(&library, "openmetrics", &metrics(&rig, "application/openmetrics-text").body);
    for page in [&text, &open] {
        check_values(page);
    }
    assert_eq!(text["families"]["plimsoll_build_info"], "gauge");
    assert_eq!(open["families"]["plimsoll_build"], "info");
    for (family, kind) in [
        ("plimsoll_requests", "counter"),
        ("plimsoll_request_duration_seconds", "histogram"),
        ("plimsoll_upstream_connect_seconds", "histogram"),
        ("plimsoll_in_flight", "gauge"),
        ("plimsoll_node_up", "gauge"),
        ("plimsoll_retries", "counter"),
        ("plimsoll_hedges", "counter"),
        ("plimsoll_hedges_won", "counter"),
        ("plimsoll_connections", "gauge"),
        ("plimsoll_bytes", "counter"),
        ("plimsoll_telemetry_dropped", "counter"),
        ("plimsoll_panics", "counter"),
        ("plimsoll_accept_errors", "counter"),
        ("plimsoll_datagrams_dropped", "counter"),
        ("plimsoll_uptime_seconds", "gauge"),
    ] {
        assert_eq!(
            (&text["families"][family], &open["families"][family]),
            (&json!(kind), &json!(kind)),
            "{family}"
        );
    }
}

fn check_values(page: &Value) {
    let api = json!({ "listener": "web", "route": "/api/*", "backend": "api" });
    let hostile = json!({ "listener": "web", "route": HOSTILE, "backend": "api" });
    let with = |labels: &Value, key: &str, value: &str| {
        let mut labels = labels.clone();
        labels[key] = value.into();
        labels
    };
    for (name, labels, expected) in [
        ("plimsoll_build_info", json!({ "version": "0.1.0", "driver": "io_uring" }), 1.0),
        ("plimsoll_requests_total", with(&api, "code", "200"), 5.0),
        ("plimsoll_requests_total", with(&hostile, "code", "502"), 2.0),
        ("plimsoll_request_duration_seconds_bucket", with(&api, "le", "5e-05"), 0.0),
        ("plimsoll_request_duration_seconds_bucket", with(&api, "le", "0.0001"), 5.0),
        ("plimsoll_request_duration_seconds_bucket", with(&hostile, "le", "1.0"), 0.0),
        ("plimsoll_request_duration_seconds_bucket", with(&hostile, "le", "2.5"), 2.0),
        ("plimsoll_request_duration_seconds_bucket", with(&hostile, "le", "+Inf"), 2.0),
        ("plimsoll_request_duration_seconds_count", api.clone(), 5.0),
        ("plimsoll_upstream_connect_seconds_count", json!({ "backend": "api" }), 1.0),
        ("plimsoll_in_flight", json!({ "backend": "api", "node": "127.0.0.2:9001" }), 1.0),
        ("plimsoll_node_up", json!({ "backend": "api", "node": "127.0.0.1:9001" }), 1.0),
        ("plimsoll_node_up", json!({ "backend": "lost", "node": "lost.invalid:80" }), 0.0),
        ("plimsoll_retries_total", json!({}), 4.0),
        ("plimsoll_connections", json!({ "listener": "web" }), 2.0),
        ("plimsoll_connections_accepted_total", json!({ "listener": "web" }), 3.0),
        ("plimsoll_bytes_total", json!({ "direction": "in" }), 11.0),
        ("plimsoll_bytes_total", json!({ "direction": "out" }), 22.0),
        ("plimsoll_telemetry_dropped_total", json!({ "kind": "report" }), 1.0),
        ("plimsoll_panics_total", json!({}), 0.0),
        ("plimsoll_accept_errors_total", json!({}), 0.0),
        ("plimsoll_datagrams_dropped_total", json!({}), 0.0),
    ] {
        assert_eq!(sample(page, name, &labels), Some(expected), "{name} {labels}");
    }
    let sum = sample(page, "plimsoll_request_duration_seconds_sum", &hostile).unwrap();
    assert!((sum - 4.0).abs() < 0.02, "{sum}");
}

fn sample(page: &Value, name: &str, labels: &Value) -> Option<f64> {
    let mut found = page["samples"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|sample| sample["name"] == name && &sample["labels"] == labels);
    let value = found.next()?["value"].as_f64();
    assert!(found.next().is_none(), "{name} {labels} is there twice");
    value
}

/// Where the parser is installed; `None`, said aloud, where it cannot be.
fn parser_library() -> Option<PathBuf> {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus_client");
    if !library.join("prometheus_client/openmetrics/parser.py").exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&library).arg(PARSER);
        if !pip.status().is_ok_and(|status| status.success()) {
            // Not by `eprintln!`: the test harness would keep it to itself.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: test of the metrics page by an independent parser: \
                 `python3 -m pip install {PARSER}` failed. Install python3-pip, or allow the network."
            );
            return None;
        }
    }
    Some(library)
}

fn understood(library: &Path, format: &str, page: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admin/parse_metrics.py");
    let mut parser = Command::new("python3")
        .arg(script)
        .arg(format)
        .env("PYTHONPATH", library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "the parser refused this page:\n{page}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let rig = counted();
    let page = rig.get("/metrics").body;
    for file in ["config/grafana/dashboard.json", "config/grafana/alerts.yaml"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        for name in words.filter(|word| word.starts_with("plimsoll_")) {
            let family =
                ["_total", "_bucket", "_info"].iter().fold(name, |name, end| name.trim_end_matches(end));
            let there = page.contains(&format!("# TYPE {family}"));
            assert!(there, "{file}: {name}");
        }
    }
}
