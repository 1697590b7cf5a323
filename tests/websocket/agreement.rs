//! The balancer and `loadgen` measured the same run: they say the same of it.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::harness::origin::{Origin, OriginConnection, ok};
use crate::rig::Rig;

/// How far apart the quantiles may be. Each side's histogram is off by at most 0.8 %, and what loadgen measures holds the
/// way to the balancer too: nodes that take 200 ms to a second make that way, and a busy machine, small.
const TOLERANCE: f64 = 0.02;

/// Answers after 200 to 1000 ms.
fn slowly(connection: &mut OriginConnection) {
    let mut draw = std::process::id();
    while connection.request().is_some() {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_millis(200 + u64::from(draw >> 16) % 800));
        connection.send(ok("hello"));
    }
}

#[test]
fn quantiles_agree_with_those_of_loadgen() {
    let program = Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("loadgen");
    if !program.exists() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: test quantiles_agree_with_those_of_loadgen: build it first, `cargo build -p loadgen`"
        );
        return;
    }
    let origin = Origin::start(std::sync::Arc::new(slowly));
    let rig = Rig::start(&origin);
    let report =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("agreement-{}.json", std::process::id()));
    let output = Command::new(program)
        .args([&format!("http://{}/", rig.balancer.address()), "-c", "64", "-d", "7s", "-t", "1", "--json"])
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let loadgen: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let _ = std::fs::remove_file(&report);
    let cells: Vec<(u64, u64)> = serde_json::from_value(loadgen["response"].clone()).unwrap();
    let sent: u64 = cells.iter().map(|(_, count)| count).sum();

    // The first tick that has all of them: what it says of the last ten seconds is the whole run.
    let mut viewer = rig.viewer();
    let tick = viewer.tick_where(PATIENCE, |tick| {
        tick["totals"]["in_flight"] == 0 && tick["totals"]["requests_total"].as_u64() >= Some(sent)
    });
    let counted = tick["totals"]["requests_total"].as_u64().unwrap();
    // Requests that were in flight at the end of the run are counted by one side only.
    assert!(sent > 300 && counted.abs_diff(sent) <= 64, "{sent} sent, {counted} counted");
    let route = &tick["routes"][0];
    for (name, part) in [("p50_us", 0.5), ("p99_us", 0.99)] {
        let (theirs, ours) = (quantile_us(&cells, part), route[name].as_f64().unwrap());
        println!("{name}: loadgen {theirs:.0}, balancer {ours:.0}, {:+.2} %", (ours / theirs - 1.0) * 100.0);
        assert!((ours - theirs).abs() <= TOLERANCE * theirs, "{name}: loadgen {theirs}, balancer {ours}");
    }
}

/// Of nanoseconds and how many there are.
fn quantile_us(cells: &[(u64, u64)], part: f64) -> f64 {
    let count: u64 = cells.iter().map(|(_, count)| count).sum();
    let rank = (count as f64 * part).ceil();
    let mut seen = 0;
    let at = cells.iter().find(|(_, count)| {
        seen += count;
        seen as f64 >= rank
    });
    at.map_or(0.0, |&(value_ns, _)| value_ns as f64 / 1000.0)
}
