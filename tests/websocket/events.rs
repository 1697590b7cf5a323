//! `loadgen --events` hears what the real balancer says of a change that is made meanwhile.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::harness::origin::{Origin, answering, ok};
use crate::rig::Rig;

#[test]
fn events_of_the_balancer_stand_in_the_report_of_loadgen() {
    let program = Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("loadgen");
    if !program.exists() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: test events_of_the_balancer_stand_in_the_report_of_loadgen: build it first, `cargo build -p loadgen`"
        );
        return;
    }
    let (one, two) = (Origin::start(answering(ok("one"))), Origin::start(answering(ok("two"))));
    let rig = Rig::before(&[one.address(), two.address()]);
    let run = Command::new(program)
        .args([
            &format!("http://{}/", rig.balancer.address()),
            "-c",
            "2",
            "-t",
            "1",
            "--rate",
            "50",
            "-d",
            "5s",
        ])
        .args(["--quiet", "--json", "-", "--events", &format!("ws://{}/ws", rig.admin())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut viewer = rig.viewer();
    viewer.tick_where(PATIENCE, |tick| tick["viewers"] == 2 && tick["totals"]["rps"].as_f64() > Some(0.0));
    let id = format!("node/{}", two.address());
    let admin = rig.admin().to_string();
    let drained = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["drain", &id, "--admin", &admin])
        .output()
        .unwrap();
    assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
    let output = run.wait_with_output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let events = result["events"].as_array().unwrap();
    let of = |kind: &str| {
        let here = |event: &&Value| event["kind"] == kind && event["text"].as_str().unwrap().contains(&id);
        let event = events.iter().find(here).unwrap_or_else(|| panic!("no {kind} event in {events:?}"));
        Duration::from_millis(event["at_ms"].as_u64().expect("within the run"))
    };
    assert!(of("node") < Duration::from_secs(5) && of("audit") < Duration::from_secs(5), "{events:?}");
    let lost = result["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("lost"));
    assert!(!lost, "{}", result["notes"]);
}
