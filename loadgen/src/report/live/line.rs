//! The one line of the live view: what it says, and what it leaves out where the terminal is narrow. A line that
//! wraps would be drawn again and again, one below the other.

use std::time::Duration;

use rustix::termios::tcgetwinsize;

use crate::report::amount;
use crate::result::{Snapshot, Stage};

/// A name from a network takes no more room than this.
const ERROR_MAX: usize = 40;
/// The width of a terminal that does not tell it.
const COLUMNS: usize = 80;
/// The bar where there is room, and where there is little.
const BARS: [usize; 2] = [32, 10];
/// Around the bar: a space, and behind it ` 100 %  `.
const BESIDE_BAR: usize = 9;

/// The line in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Stage or step.
    pub(super) heading: String,
    /// Columns of the bar; with 0 there is none, and no percentage.
    pub(super) bar: usize,
    /// The rest.
    pub(super) message: String,
}

/// Columns of the terminal behind standard error.
pub(super) fn columns() -> usize {
    let size = tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if size == 0 { COLUMNS } else { size }
}

/// The longest line that fits. The last column stays free: some terminals wrap when it is written.
pub(super) fn fitted(snapshot: &Snapshot, columns: usize) -> Line {
    let room = columns.saturating_sub(1);
    let (long, short) = (heading(snapshot), step(snapshot));
    let candidates = (0..=DROPS).flat_map(|dropped| {
        let bars = if dropped == 0 { &BARS[..] } else { &BARS[1..] };
        let message = said(snapshot, dropped);
        bars.iter().map(move |&bar| (bar, message.clone()))
    });
    let with_bar = candidates.map(|(bar, message)| Line { heading: long.clone(), bar, message });
    let mut bare = (0..=DROPS).map(|dropped| Line {
        heading: format!("{short}  "),
        bar: 0,
        message: said(snapshot, dropped),
    });
    let mut lines = with_bar;
    lines.find(|line| line.width() <= room).or_else(|| bare.find(|line| line.width() <= room)).unwrap_or_else(
        || Line { message: said(snapshot, DROPS).chars().take(room).collect(), ..Line::default() },
    )
}

impl Line {
    fn width(&self) -> usize {
        let bar = if self.bar == 0 { 0 } else { self.bar + BESIDE_BAR };
        self.heading.chars().count() + bar + self.message.chars().count()
    }
}

/// The stage, behind the step of a search.
pub(super) fn heading(snapshot: &Snapshot) -> String {
    let stage = stage(snapshot);
    if snapshot.label.is_empty() { format!("{stage:<10}") } else { format!("{} {stage}", snapshot.label) }
}

/// The step of a search, else the stage.
fn step(snapshot: &Snapshot) -> &str {
    if snapshot.label.is_empty() { stage(snapshot) } else { &snapshot.label }
}

fn stage(snapshot: &Snapshot) -> &'static str {
    match snapshot.stage {
        Stage::Connecting => "connecting",
        Stage::WarmUp => "warm-up",
        Stage::Measuring => "measuring",
        Stage::Draining => "draining",
    }
}

/// Rate, latency and errors in one line.
pub(super) fn whole(snapshot: &Snapshot) -> String {
    said(snapshot, 0)
}

/// So many parts can be left out, and two still stand: the rate and whether there are errors.
const DROPS: usize = 6;

/// What is said when `dropped` parts are left out, from the one that is missed least: the maximum, the planned rate,
/// the cause of the errors, the median, the time, the 99th percentile.
fn said(snapshot: &Snapshot, dropped: usize) -> String {
    let elapsed = Duration::from_millis(snapshot.elapsed_ms).as_secs();
    let target = snapshot.target_rate.filter(|_| dropped < 2);
    let target = target.map_or_else(String::new, |rate| format!(" of {}", amount::rate(rate)));
    let time = |name: &str, nanos: u64| format!("{name} {}", amount::time(nanos));
    let parts = [
        (dropped < 5).then(|| format!("{elapsed} s")),
        Some(format!("{}{target}", amount::rate(snapshot.rate))),
        (dropped < 4).then(|| time("p50", snapshot.p50_ns)),
        (dropped < 6).then(|| time("p99", snapshot.p99_ns)),
        (dropped < 1).then(|| time("max", snapshot.max_ns)),
        Some(errors(snapshot, dropped < 3)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn errors(snapshot: &Snapshot, with_cause: bool) -> String {
    match snapshot.errors {
        0 => "no errors".to_owned(),
        count if with_cause => {
            let cause = amount::harmless(&snapshot.top_error, ERROR_MAX);
            format!("{} errors ({cause})", amount::count(count))
        }
        count => format!("{} errors", amount::count(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            elapsed_ms: 12_400,
            target_rate: Some(5000.0),
            rate: 4990.0,
            errors: 3,
            p50_ns: 1_000_000,
            p99_ns: 8_310_000,
            max_ns: 20_000_000,
            top_error: "reset\u{1b}[2J".into(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_line_holds_rate_latency_and_errors() {
        assert_eq!(
            whole(&snapshot()),
            "12 s  4 990/s of 5 000/s  p50 1.00 ms  p99 8.31 ms  max 20.0 ms  3 errors (reset\\u{1b}[2J)"
        );
    }

    /// A run of hours at ten million a second with every answer an error is the longest line there is.
    #[test]
    fn no_line_is_as_wide_as_the_terminal() {
        let long = Snapshot {
            stage: Stage::Connecting,
            elapsed_ms: 360_000_000,
            target_rate: Some(1e7),
            rate: 1e7,
            errors: 123_456_789_012,
            top_error: "x".repeat(300),
            label: "try 24: 10000000/s".into(),
            ..snapshot()
        };
        for snapshot in [Snapshot::default(), snapshot(), long] {
            for columns in 1..300 {
                let line = fitted(&snapshot, columns);
                assert!(line.width() < columns.max(1), "{columns}: {line:?}");
            }
            assert_eq!(fitted(&snapshot, 300).message, whole(&snapshot), "with room nothing is left out");
        }
    }

    #[test]
    fn eighty_columns_hold_bar_rate_and_latency() {
        let line = fitted(&snapshot(), 80);
        assert!(line.bar > 0 && line.message.contains("4 990/s") && line.message.contains("p99"), "{line:?}");
        assert!(line.message.contains("3 errors"), "{line:?}");
    }
}
