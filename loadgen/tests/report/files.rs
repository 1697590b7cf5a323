//! The files, read back by programs that are not ours.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
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

/// As where a run is asked for them: the command is wrong, and nothing was done.
#[test]
fn reports_that_cannot_be_are_refused_by_name() {
    let source = sample::saved("unwritable.json", &sample::open());
    for (asked, said) in [
        (["--hgrm", "/nowhere/x.hgrm"], "--hgrm /nowhere/x.hgrm: there is no folder /nowhere"),
        (["-o", "nothing"], "--output nothing: the end of the name says what"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["report", "--quiet"])
            .args(asked)
            .arg(&source)
            .output()
            .expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let source = sample::saved("full.json", &sample::open());
    // A device that is always full.
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["report", "--quiet", "--hgrm", "/dev/full"])
        .arg(&source)
        .output()
        .expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--hgrm /dev/full"), "{error}");
}

fn report(flags: &[&str], source: &Path, stdout: Stdio) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("report")
        .args(flags)
        .arg(source)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What goes to a pipe is the report alone: the table would spoil it.
#[test]
fn a_report_on_standard_output_stands_there_alone() {
    let source = sample::saved("alone.json", &sample::open());
    let (code, json, stderr) = report(&["--json", "-"], &source, Stdio::piped());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        serde_json::from_str::<loadgen::result::RunResult>(&json).expect("JSON alone"),
        sample::open()
    );
    for flags in [["--csv", "-"], ["-o", "csv"]] {
        let (_, csv, stderr) = report(&flags, &source, Stdio::piped());
        assert!(csv.starts_with("start_ms,") && csv.lines().count() == 31, "{csv:.200}{stderr}");
    }
}

/// Numbers are the same to the last bit: a file that was read and written again is the same file.
#[test]
fn json_read_and_written_again_is_the_same() {
    let mut result = sample::open();
    let mut random = fastrand::Rng::with_seed(3);
    result.seconds.iter_mut().for_each(|second| second.cpu_percent = random.f64() * 100.0);
    let source = sample::saved("bits.json", &result);
    let (_, json, stderr) = report(&["--json", "-"], &source, Stdio::piped());
    assert!(json.trim_end() == std::fs::read_to_string(&source).expect("text"), "{stderr}");
}

#[test]
fn a_reader_who_leaves_loses_no_file() {
    let source = sample::saved("leaves.json", &sample::open());
    let csv = sample::folder().join("leaves.csv");
    let _ = std::fs::remove_file(&csv);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let (code, _, stderr) = report(&["--csv", csv.to_str().expect("a name")], &source, writer.into());
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(csv.exists());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let (code, _, stderr) = report(&[], &source, full.into());
    assert!(code == Some(1) && stderr.contains("cannot print"), "{stderr}");
}

/// Files of versions that kept them.
#[test]
fn secrets_of_an_older_file_are_not_passed_on() {
    let mut result = sample::open();
    result.settings.command = ["loadgen", "-a", "u:hunter2", "http://h/"].map(Into::into).into();
    let source = sample::saved("secret.json", &result);
    for flags in [["--json", "-"], ["--html", "-"]] {
        let (_, text, stderr) = report(&flags, &source, Stdio::piped());
        assert!(text.contains("***") && !text.contains("hunter2"), "{stderr}");
    }
}

/// The same package reads every line of the percentile distribution, and finds its value and count in the log.
#[test]
fn python_hdrhistogram_agrees_with_every_line_of_the_hgrm() {
    let Some(python) = python_with_hdrhistogram() else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: test python_hdrhistogram_agrees_with_every_line: neither pip nor the package is to be had"
        );
        return;
    };
    let result = sample::open();
    let (log, hgrm) = (sample::folder().join("python-2.hlog"), sample::folder().join("python.hgrm"));
    std::fs::write(&log, loadgen::report::hlog::render(&result).expect("a log")).expect("a file");
    std::fs::write(&hgrm, loadgen::report::hgrm::render(&result.response)).expect("a file");
    let output =
        Command::new(python).args(["-c", CHECK_HGRM]).args([&log, &hgrm]).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.lines().count() > 50, "{text}");
    for line in text.lines() {
        let numbers: Vec<f64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [ours, theirs, our_count, their_count] = numbers[..] else { panic!("{line}") };
        // Values have three digits, and the text three places.
        assert!((ours - theirs).abs() <= theirs * 0.001 + 0.001, "{line}");
        assert!((our_count - their_count).abs() < 0.5, "{line}");
    }
}

const CHECK_HGRM: &str = "
import bisect, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
whole = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600 * 10**9, 3))
while (interval := reader.get_next_interval_histogram()) is not None:
    whole.add(interval)
steps = [(item.value_iterated_to, item.total_count_to_this_value) for item in whole.get_recorded_iterator()]
values = [whole.get_highest_equivalent_value(value) for value, _ in steps]
for line in open(sys.argv[2]).read().splitlines()[2:]:
    if line.startswith('#'):
        continue
    value, quantile, count = map(float, line.split()[:3])
    # The package rounds a rank to the nearest whole one, ours rounds up: one rank on is as good.
    def at(percentile):
        there = whole.get_value_at_percentile(percentile)
        return there / 1e6, steps[bisect.bisect_left(values, whole.get_highest_equivalent_value(there))][1]
    either = [at(quantile * 100), at(min(100, quantile * 100 + 100 / whole.get_total_count()))]
    there, there_count = min(either, key=lambda found: abs(found[1] - count))
    print(value, there, count, there_count)
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
