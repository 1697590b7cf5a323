//! `loadgen compare` as a build runs it.

use std::process::{Command, Output};

use loadgen::result::{Distribution, RunResult};

use crate::sample;

fn compare(after: &RunResult, name: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let before = sample::saved(&format!("{name}-a.json"), &sample::open());
    let after = sample::saved(&format!("{name}-b.json"), after);
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("compare")
        .args([before, after])
        .args(flags)
        .output()
        .expect("it runs");
    (
        status.code(),
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}

/// The sample with every response time `factor` times as long.
fn slower(factor: f64) -> RunResult {
    let mut result = sample::open();
    let stretch = |distribution: &Distribution| {
        let stretched = distribution.0.iter().map(|&(value, count)| ((value as f64 * factor) as u64, count));
        Distribution::from_histogram(&Distribution(stretched.collect()).to_histogram())
    };
    result.response = stretch(&result.response);
    result.seconds.iter_mut().for_each(|second| second.response = stretch(&second.response));
    result
}

#[test]
fn a_run_is_no_worse_than_itself() {
    let (code, stdout, stderr) =
        compare(&sample::open(), "same", &["--fail-if", "p99>+1%,throughput<-1%,errors>+0.01%"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("same") && stdout.matches("does not hold").count() == 3, "{stdout}");
    assert!(!stdout.contains("worse") && !stdout.contains("better"), "{stdout}");
}

#[test]
fn a_slower_run_fails_the_build_with_99() {
    let (code, stdout, _) = compare(&slower(1.5), "slower", &["--fail-if", "p50>+5%"]);
    assert_eq!(code, Some(99), "{stdout}");
    assert!(stdout.contains("✗ fails: p50>+5%") && stdout.contains("worse"), "{stdout}");
    let (code, stdout, _) = compare(&slower(1.5), "surely", &["--fail-if", "p50>+5%", "--surely"]);
    assert_eq!(code, Some(99), "far beyond chance: {stdout}");
}

#[test]
fn what_may_be_chance_does_not_fail_a_build_that_wants_to_be_sure() {
    // One second of thirty holds the whole tail: p99.9 hangs on whether it is drawn.
    let (code, stdout, _) = compare(&slower(1.05), "chance", &["--fail-if", "p99.9>+1%"]);
    assert_eq!(code, Some(99), "{stdout}");
    let (code, stdout, _) = compare(&slower(1.05), "chance-sure", &["--fail-if", "p99.9>+1%", "--surely"]);
    assert_eq!(code, Some(0), "{stdout}");
}

/// A server that answers nothing is not faster.
#[test]
fn a_run_without_an_answer_breaks_every_condition() {
    let mut nothing = sample::open();
    nothing.response = Distribution::default();
    nothing.totals.completed = 0;
    nothing.seconds.iter_mut().for_each(|second| {
        (second.response, second.completed) = (Distribution::default(), 0);
    });
    for (flags, name) in [(&[][..], "nothing"), (&["--surely"], "nothing-surely")] {
        let conditions = ["--fail-if", "p99>+5%,errors>+50%,throughput>+5%"];
        let (code, stdout, stderr) = compare(&nothing, name, &[&conditions, flags].concat());
        assert_eq!(code, Some(99), "{stdout}{stderr}");
        assert_eq!(stdout.matches("nothing measured").count(), 3, "{stdout}");
        assert!(stdout.contains("none") && stdout.contains("B has not one whole answer"), "{stdout}");
        assert!(!stdout.contains("better"), "{stdout}");
    }
}

#[test]
fn what_cannot_be_judged_does_not_pass() {
    let mut short = sample::open();
    short.seconds.truncate(3);
    for (after, condition, name, why) in [
        (&short, "p99>+5%", "short", "five seconds"),
        (&sample::open(), "max>+5%", "max", "max has no interval"),
    ] {
        let (code, stdout, _) = compare(after, name, &["--fail-if", condition, "--surely"]);
        assert_eq!(code, Some(2), "{stdout}");
        assert!(stdout.contains("cannot be judged") && stdout.contains(why), "{stdout}");
        let both = format!("{condition},errors>+0.001%");
        let mut worse = after.clone();
        worse.seconds.iter_mut().for_each(|second| second.errors = second.scheduled);
        worse.totals.failed = worse.totals.scheduled;
        let (code, stdout, _) = compare(&worse, &format!("{name}-worse"), &["--fail-if", &both]);
        assert_eq!(code, Some(99), "without --surely the difference itself decides: {stdout}");
    }
}

#[test]
fn wrong_conditions_and_missing_files_are_told_apart() {
    let (code, _, stderr) = compare(&sample::open(), "wrong", &["--fail-if", "p98>+5%"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("p98") && stderr.contains("p99.9"), "{stderr}");
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["compare", "/nowhere/a", "/nowhere/b"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read /nowhere/a"));
}

#[test]
fn the_intervals_of_one_seed_are_always_the_same() {
    let table = |seed| compare(&slower(1.05), &format!("seed{seed}"), &["--seed", seed]).1;
    assert_eq!(table("4"), table("4"));
    assert_ne!(table("4"), table("5"));
}
