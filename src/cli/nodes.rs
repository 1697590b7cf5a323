//! `plimsoll nodes`: every node, what it does and why.

use std::process::ExitCode;

use serde_json::Value;

use super::admin_client::{Access, Failure, clean, finish};
use super::table::Table;

/// Lists the nodes of a running balancer. Exit codes: 0, or 1 where nobody answers.
pub fn run(access: &Access) -> ExitCode {
    let troubles = access.get("/api/v1/backends").map(|backends| troubles(&backends)).unwrap_or_default();
    finish(access, access.get("/api/v1/nodes"), |nodes| format!("{}{troubles}", table(nodes)))
}

/// A line for each backend whose fleet is not as it should be.
fn troubles(backends: &Value) -> String {
    let line = |backend: &Value| {
        let trouble = clean(backend["trouble"].as_str()?);
        Some(format!("{}: {trouble}\n", clean(backend["name"].as_str().unwrap_or("-"))))
    };
    let lines: String = backends.as_array().into_iter().flatten().filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn table(nodes: &Value) -> Table {
    let mut table = Table::new(&["NODE", "STATE", "WEIGHT", "IN FLIGHT", "RPS", "P99", "ERRORS", "WHY"]);
    for node in nodes.as_array().into_iter().flatten() {
        let text = |key: &str| clean(node[key].as_str().unwrap_or("-"));
        let number = |key: &str| node[key].as_u64().unwrap_or(0).to_string();
        table.row([
            text("id"),
            text("state"),
            number("weight"),
            number("in_flight"),
            format!("{:.1}", node["rps"].as_f64().unwrap_or(0.0)),
            duration(node["p99_us"].as_u64()),
            number("errors_total"),
            text("reason"),
        ]);
    }
    table
}

/// For a person: three digits and a unit.
pub(super) fn duration(us: Option<u64>) -> String {
    match us {
        None => "-".into(),
        Some(us) if us < 1000 => format!("{us}us"),
        Some(us) if us < 1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        Some(us) => format!("{:.1}s", us as f64 / 1e6),
    }
}

/// The id of the node that a person means: by its id, or by its address where only one has it.
pub(super) fn find(access: &Access, name: &str) -> Result<String, Failure> {
    let nodes = access.get("/api/v1/nodes")?;
    let matches = |node: &&Value| node["id"] == name || node["address"] == name;
    let found: Vec<&str> = nodes
        .as_array()
        .into_iter()
        .flatten()
        .filter(matches)
        .filter_map(|node| node["id"].as_str())
        .collect();
    match found.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::Usage(format!("there is no node `{}`; `plimsoll nodes` lists them", clean(name)))),
        several => {
            let all: Vec<_> = several.iter().map(|id| clean(id)).collect();
            Err(Failure::Usage(format!("`{}` is in several backends: {}", clean(name), all.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_fleet_is_said_below() {
        let backends = serde_json::json!([
            { "name": "api", "trouble": "the last start failed: ended with exit code 3" },
            { "name": "web", "trouble": null },
        ]);
        assert_eq!(troubles(&backends), "\napi: the last start failed: ended with exit code 3\n");
        assert_eq!(troubles(&serde_json::json!([{ "name": "web" }])), "");
    }

    #[test]
    fn a_hostile_reason_stays_on_its_line() {
        let nodes = serde_json::json!([{
            "id": "api/1", "state": "down", "weight": 1, "in_flight": 2, "rps": 0.25, "p99_us": 1500,
            "errors_total": 3, "reason": "no\nsuch\u{1b}[2J name",
        }]);
        let text = table(&nodes).to_string();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("1.5ms") && !text.contains('\u{1b}'), "{text}");
    }
}
