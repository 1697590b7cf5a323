//! The view of a run that goes on: a progress bar on a terminal, plain lines where there is none.
//! It writes to standard error, so that standard output holds the report alone.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::result::{Observer, RunResult, Snapshot, Stage};

use super::amount;

/// Steps of the bar: fine enough for any terminal.
const STEPS: u64 = 1000;
/// Without a terminal, a line stands for each of so many parts of the run.
const LINES: f64 = 10.0;
/// A name from a network takes no more room than this.
const ERROR_MAX: usize = 40;

/// Shows a run while it goes.
#[derive(Debug)]
pub struct Live {
    view: View,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines(Pace),
}

impl Live {
    /// A bar where standard error is a terminal, else lines.
    #[must_use]
    pub fn new() -> Self {
        let view = if stderr().is_terminal() { View::Bar(bar()) } else { View::Lines(Pace::default()) };
        Self { view }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Live {
    fn snapshot(&mut self, snapshot: &Snapshot) {
        match &mut self.view {
            View::Bar(bar) => {
                bar.set_position((snapshot.progress * STEPS as f64) as u64);
                bar.set_prefix(heading(snapshot));
                bar.set_message(describe(snapshot));
            }
            View::Lines(pace) => {
                if pace.is_due(snapshot) {
                    let percent = snapshot.progress * 100.0;
                    eprintln!("{} {percent:3.0} %  {}", heading(snapshot), describe(snapshot));
                }
            }
        }
    }

    fn note(&mut self, line: &str) {
        let line = amount::harmless(line, 400);
        match &self.view {
            View::Bar(bar) => bar.suspend(|| eprintln!("{line}")),
            View::Lines(_) => eprintln!("{line}"),
        }
    }

    fn finished(&mut self, _: &RunResult) {
        match &mut self.view {
            View::Bar(shown) => {
                shown.finish_and_clear();
                *shown = bar();
            }
            View::Lines(pace) => *pace = Pace::default(),
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:<10} {bar:32.cyan/dim} {percent:>3} %  {msg}")
        .expect("the template is a constant that the crate takes")
        .progress_chars("━╸─");
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style);
    // Nothing is drawn before the first snapshot: a run that cannot start leaves only its error.
    bar
}

/// When a line is due: at the start of each stage and after each tenth of the run, but never two in a second.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pace {
    last: Option<(Stage, u64, u64)>,
}

impl Pace {
    fn is_due(&mut self, snapshot: &Snapshot) -> bool {
        let part = (snapshot.progress * LINES) as u64;
        let now = (snapshot.stage, part, snapshot.elapsed_ms);
        let due = match self.last {
            None => true,
            Some((stage, _, _)) if stage != snapshot.stage => true,
            Some((_, last_part, last_ms)) => part != last_part && snapshot.elapsed_ms >= last_ms + 1000,
        };
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// The stage, or the step of a search.
fn heading(snapshot: &Snapshot) -> String {
    let stage = match snapshot.stage {
        Stage::Connecting => "connecting",
        Stage::WarmUp => "warm-up",
        Stage::Measuring => "measuring",
        Stage::Draining => "draining",
    };
    if snapshot.label.is_empty() { stage.to_owned() } else { format!("{} {stage}", snapshot.label) }
}

/// Rate, latency and errors in one line.
fn describe(snapshot: &Snapshot) -> String {
    let elapsed = Duration::from_millis(snapshot.elapsed_ms).as_secs();
    let target = snapshot.target_rate.map_or_else(String::new, |rate| format!(" of {}", amount::rate(rate)));
    let errors = match snapshot.errors {
        0 => "no errors".to_owned(),
        count => {
            let cause = amount::harmless(&snapshot.top_error, ERROR_MAX);
            format!("{} errors ({cause})", amount::count(count))
        }
    };
    format!(
        "{elapsed} s  {}{target}  p50 {}  p99 {}  max {}  {errors}",
        amount::rate(snapshot.rate),
        amount::time(snapshot.p50_ns),
        amount::time(snapshot.p99_ns),
        amount::time(snapshot.max_ns),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_rate_latency_and_errors() {
        let snapshot = Snapshot {
            elapsed_ms: 12_400,
            target_rate: Some(5000.0),
            rate: 4990.0,
            errors: 3,
            p50_ns: 1_000_000,
            p99_ns: 8_310_000,
            max_ns: 20_000_000,
            top_error: "reset\u{1b}[2J".into(),
            ..Snapshot::default()
        };
        assert_eq!(
            describe(&snapshot),
            "12 s  4 990/s of 5 000/s  p50 1.00 ms  p99 8.31 ms  max 20.0 ms  3 errors (reset\\u{1b}[2J)"
        );
    }

    #[test]
    fn a_long_run_without_a_terminal_prints_a_dozen_lines() {
        let mut pace = Pace::default();
        let due = (0..=2400_u64).filter(|quarter| {
            pace.is_due(&Snapshot {
                stage: Stage::Measuring,
                elapsed_ms: quarter * 250,
                progress: *quarter as f64 / 2400.0,
                ..Snapshot::default()
            })
        });
        assert_eq!(due.count(), 11);
    }

    #[test]
    fn a_short_run_prints_at_most_a_line_a_second() {
        let mut pace = Pace::default();
        let due = (0..=8_u64).filter(|quarter| {
            pace.is_due(&Snapshot {
                elapsed_ms: quarter * 250,
                progress: *quarter as f64 / 8.0,
                ..Snapshot::default()
            })
        });
        assert_eq!(due.count(), 3);
    }
}
