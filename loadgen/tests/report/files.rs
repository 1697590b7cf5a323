//! The files, read back by programs that are not ours.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::sample;

#[test]
fn every_file_is_written_and_json_gives_the_same_table_again() {
    let source = sample::saved("files.json", &sample::open());
    let to = |name: &str| sample::folder().join(name);
    let status = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["report", "--quiet"])
        .arg(&source)
        .arg("--json")
        .arg(to("again.json"))
        .arg("--hgrm")
        .arg(to("again.hgrm"))
        .arg("--hlog")
        .arg(to("again.hlog"))
        .arg("--csv")
        .arg(to("again.csv"))
        .arg("--html")
        .arg(to("again.html"))
        .status()
        .expect("it runs");
    assert!(status.success());
    assert_eq!(loadgen::report::read(&to("again.json")), Ok(sample::open()));
    assert_eq!(std::fs::read_to_string(to("again.csv")).unwrap().lines().count(), 31);
    for name in ["again.hgrm", "again.hlog", "again.html"] {
        assert!(std::fs::metadata(to(name)).unwrap().len() > 1000, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let source = sample::saved("unwritable.json", &sample::open());
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["report", "--quiet", "--hgrm", "/nowhere/x.hgrm"])
        .arg(&source)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--hgrm /nowhere/x.hgrm"));
}

/// The same package writes the percentile distribution too: ours has its values, quantiles and counts.
#[test]
fn python_hdrhistogram_writes_the_same_hgrm() {
    let Some(python) = python_with_hdrhistogram() else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: test python_hdrhistogram_writes: the package is not to be had"
        );
        return;
    };
    let result = sample::open();
    let log = sample::folder().join("hgrm.hlog");
    std::fs::write(&log, loadgen::report::hlog::render(&result).expect("a log")).expect("a file");
    let output = Command::new(python).args(["-c", WRITE_HGRM]).arg(&log).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (theirs, ours) =
        (String::from_utf8(output.stdout).expect("text"), loadgen::report::hgrm::render(&result.response));
    let (theirs, ours) = (steps(&theirs), steps(&ours));
    assert!(theirs.len() > 30, "{theirs:?}");
    for step in &theirs {
        let at = |other: &&[f64; 3]| (other[1] - step[1]).abs() < 1e-9;
        let Some(own) = ours.iter().find(at) else { panic!("no step at {} in {ours:?}", step[1]) };
        assert!((own[0] / step[0] - 1.0).abs() <= 0.001, "{own:?} instead of {step:?}");
        assert_eq!(own[2], step[2], "{own:?} instead of {step:?}");
    }
    assert_eq!(ours.len(), theirs.len());
}

/// Value in milliseconds, quantile, count.
fn steps(text: &str) -> Vec<[f64; 3]> {
    let numbers = |line: &str| -> Option<[f64; 3]> {
        let words: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        words.get(..3)?.try_into().ok()
    };
    text.lines().filter_map(numbers).collect()
}

const WRITE_HGRM: &str = "
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
whole = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600 * 10**9, 3))
while (interval := reader.get_next_interval_histogram()) is not None:
    whole.add(interval)
whole.output_percentile_distribution(sys.stdout.buffer, 1e6, 5)
";

/// The Python package `hdrhistogram` is another implementation of the format: what it reads is what we recorded.
#[test]
fn python_hdrhistogram_reads_the_same_percentiles() {
    let Some(python) = python_with_hdrhistogram() else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: test python_hdrhistogram: neither pip nor the package is to be had"
        );
        return;
    };
    let result = sample::open();
    let log = sample::folder().join("python.hlog");
    std::fs::write(&log, loadgen::report::hlog::render(&result).expect("a log")).expect("a file");
    let output = Command::new(python).args(["-c", READ_BACK]).arg(&log).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<u64> = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let wanted = [50.0, 90.0, 99.0, 99.9, 99.99, 100.0].map(|p| result.response.quantile_ns(p / 100.0));
    assert_eq!(found[0], result.seconds.len() as u64, "intervals");
    assert_eq!(found[1], result.response.count(), "values");
    for (found, wanted) in found[2..].iter().zip(wanted) {
        let apart = found.abs_diff(wanted) as f64 / wanted as f64;
        assert!(apart <= 0.001, "{found} instead of {wanted}");
    }
}

const READ_BACK: &str = "
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
whole = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600 * 10**9, 3))
intervals = 0
while True:
    interval = reader.get_next_interval_histogram()
    if interval is None:
        break
    intervals += 1
    whole.add(interval)
print(intervals, whole.get_total_count())
for percentile in (50, 90, 99, 99.9, 99.99, 100):
    print(whole.get_value_at_percentile(percentile))
";

/// A Python with the package: the system's, or one in `target` where pip may put it.
fn python_with_hdrhistogram() -> Option<PathBuf> {
    let has = |python: &Path| {
        let check = Command::new(python).args(["-c", "import hdrh.log"]).output();
        check.is_ok_and(|output| output.status.success())
    };
    let system = PathBuf::from("python3");
    if has(&system) {
        return Some(system);
    }
    let place = sample::folder().join("python");
    let own = place.join("bin/python");
    if !has(&own) {
        let quiet = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&place))
            && quiet(Command::new(&own).args(["-m", "pip", "install", "--quiet", "hdrhistogram==0.10.3"]));
        if !made || !has(&own) {
            return None;
        }
    }
    Some(own)
}
