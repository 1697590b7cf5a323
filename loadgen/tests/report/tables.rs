//! Golden tables: what a person reads is what was agreed on. `BLESS=1 cargo test` writes them anew, for review.

use std::{path::Path, process::Command};

use loadgen::{
    report::{Paint, compare, table},
    result::RunResult,
};

use crate::sample;

/// Compares `text` with the golden file, or writes it.
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("a file");
    }
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, agreed, "{name} differs; with BLESS=1 it is written anew");
}

#[test]
fn an_open_loop_shows_both_latencies_and_the_gap() {
    golden("open.txt", &table::render(&sample::open(), Paint::PLAIN));
}

#[test]
fn a_closed_loop_says_so_and_doubts_come_first() {
    golden("closed.txt", &table::render(&sample::closed(), Paint::PLAIN));
}

#[test]
fn a_search_shows_its_steps() {
    golden("search.txt", &table::render(&sample::search(), Paint::PLAIN));
}

#[test]
fn hostile_text_stays_text_in_a_terminal() {
    let text = table::render(&sample::hostile(), Paint::PLAIN);
    golden("hostile.txt", &text);
    assert!(!text.contains(['\u{1b}', '\r']));
}

#[test]
fn two_runs_stand_side_by_side() {
    let (before, mut after) = (sample::closed(), sample::open());
    after.client.bottleneck = true;
    let changes = loadgen::report::change::changes(&before, &after, 1);
    golden("compare.txt", &compare::render(&before, &after, &changes, Paint::PLAIN));
}

#[test]
fn the_command_prints_the_same_table() {
    let result = sample::open();
    let file = sample::saved("table.json", &result);
    let output =
        Command::new(env!("CARGO_BIN_EXE_loadgen")).arg("report").arg(&file).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).expect("text"), table::render(&result, Paint::PLAIN));
}

#[test]
fn what_is_no_result_exits_with_1_and_says_so() {
    for (name, text, says) in [
        ("newer.json", r#"{"format": 99}"#, "format 99"),
        ("other.json", r#"{"a": 1}"#, "no result of loadgen"),
        ("empty.json", "", "no result of loadgen"),
    ] {
        let file = sample::folder().join(name);
        std::fs::write(&file, text).expect("a file");
        let output =
            Command::new(env!("CARGO_BIN_EXE_loadgen")).arg("report").arg(&file).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(says) && stderr.contains(name), "{stderr}");
    }
    assert_eq!(RunResult::default().format, 0, "a format that no file has");
}
