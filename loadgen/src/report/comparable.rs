//! Whether two runs can be compared at all: what was asked for, and how they went.

use std::fmt::Display;

use crate::result::{Mode, RunResult, Settings};

use super::amount;

/// From this factor on, two lengths are very different.
const LENGTHS_APART: f64 = 1.5;
/// What a text of a run takes at most in such a line.
const TEXT_MAX: usize = 80;

/// Why the two may not be comparable at all, a line each.
#[must_use]
pub(super) fn doubts(before: &RunResult, after: &RunResult) -> Vec<String> {
    let mut lines = Vec::new();
    if before.mode != after.mode {
        lines.push(
            "one run was open-loop and the other closed: their latencies mean different things".to_owned(),
        );
    } else {
        lines.extend(loads(before, after));
    }
    lines.extend(settings(&before.settings, &after.settings));
    let (a, b) = (before.elapsed_s(), after.elapsed_s());
    if a.max(b) > a.min(b) * LENGTHS_APART {
        lines.push(format!("the runs lasted {} and {}", seconds(a), seconds(b)));
    }
    for (name, result) in [("A", before), ("B", after)] {
        lines.extend(of_one(name, result));
    }
    lines
}

fn seconds(length: f64) -> String {
    amount::time_of(length * 1e9)
}

fn loads(before: &RunResult, after: &RunResult) -> Option<String> {
    let (a, b) = (&before.settings, &after.settings);
    let open = before.mode == Mode::Open;
    let same = a.plan == b.plan && a.connections == b.connections && (!open || a.arrivals == b.arrivals);
    let words = |settings: &Settings| {
        let plan =
            if open { format!("{}, {} arrivals, ", settings.plan, settings.arrivals) } else { String::new() };
        amount::harmless(&format!("{plan}{} connections", settings.connections), TEXT_MAX)
    };
    (!same).then(|| format!("the two runs were asked for different loads: {} and {}", words(a), words(b)))
}

fn settings(a: &Settings, b: &Settings) -> Vec<String> {
    let kept = |settings: &Settings| if settings.keepalive { "kept" } else { "one a request" };
    let bodies = a.body_bytes.zip(b.body_bytes);
    [
        differ("URLs", &urls(a), &urls(b)),
        differ("methods", &a.method, &b.method),
        bodies.and_then(|(a, b)| differ("bytes of the body", &a, &b)),
        differ("connections", &kept(a), &kept(b)),
        differ("threads", &a.threads, &b.threads),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The weight of an only URL says nothing.
fn urls(settings: &Settings) -> String {
    match settings.targets.as_slice() {
        [only] => only.url.clone(),
        several => {
            let each = several.iter().map(|target| format!("{}@{}", target.weight, target.url));
            each.collect::<Vec<_>>().join(" ")
        }
    }
}

fn differ<T: Display + PartialEq>(what: &str, a: &T, b: &T) -> Option<String> {
    let show = |value: &T| amount::harmless(&value.to_string(), TEXT_MAX);
    (a != b).then(|| format!("the {what} differ: {} and {}", show(a), show(b)))
}

fn of_one(name: &str, result: &RunResult) -> Vec<String> {
    let mut lines = Vec::new();
    if result.totals.completed == 0 {
        lines.push(format!("{name} has not one whole answer"));
    }
    if result.interrupted {
        lines.push(format!("{name} was interrupted: its numbers are of the part that was done"));
    }
    if result.client.bottleneck {
        lines.push(format!("in {name} the client was the bottleneck: its numbers are a lower bound"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Target, Totals};

    fn run(change: impl FnOnce(&mut RunResult)) -> RunResult {
        let mut result = RunResult {
            elapsed_ms: 10_000,
            totals: Totals { completed: 5, ..Totals::default() },
            ..RunResult::default()
        };
        result.settings.targets = vec![Target { url: "http://a/".into(), weight: 1 }];
        result.settings.body_bytes = Some(0);
        change(&mut result);
        result
    }

    #[test]
    fn runs_of_one_kind_raise_no_doubt() {
        assert_eq!(doubts(&run(|_| {}), &run(|_| {})), Vec::<String>::new());
        let older = run(|result| result.settings.body_bytes = None);
        assert_eq!(doubts(&older, &run(|result| result.settings.body_bytes = Some(9))), Vec::<String>::new());
    }

    #[test]
    fn each_difference_has_its_line() {
        type Change = fn(&mut RunResult);
        let cases: [(Change, &str); 10] = [
            (|b| b.mode = Mode::Open, "one run was open-loop"),
            (|b| b.settings.connections = 7, "different loads"),
            (|b| b.settings.keepalive = true, "connections differ: one a request and kept"),
            (|b| b.settings.method = "PUT".into(), "methods differ"),
            (|b| b.settings.body_bytes = Some(9), "bytes of the body differ: 0 and 9"),
            (|b| b.settings.threads = 3, "threads differ"),
            (|b| b.settings.targets[0].url = "http://b/".into(), "URLs differ: http://a/ and http://b/"),
            (|b| b.elapsed_ms = 20_000, "lasted 10.0 s and 20.0 s"),
            (|b| b.interrupted = true, "B was interrupted"),
            (|b| b.totals.completed = 0, "B has not one whole answer"),
        ];
        for (change, words) in cases {
            let lines = doubts(&run(|_| {}), &run(change));
            assert!(lines.iter().any(|line| line.contains(words)), "{words}: {lines:?}");
        }
    }

    #[test]
    fn arrivals_are_a_part_of_an_open_load() {
        let open = |arrivals: &str| {
            run(|result| (result.mode, result.settings.arrivals) = (Mode::Open, arrivals.to_owned()))
        };
        assert!(doubts(&open("poisson"), &open("constant"))[0].contains("poisson arrivals"));
    }
}
