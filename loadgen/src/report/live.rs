//! The view of a run that goes on: a progress bar on a terminal, plain lines where there is none.
//! It writes to standard error, so that standard output holds the report alone.

mod line;

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::tell;
use crate::result::{Observer, RunResult, Snapshot, Stage};

use super::amount;

/// Steps of the bar: fine enough for any terminal.
const STEPS: u64 = 1000;
/// Without a terminal, a line stands for each of so many parts of the run.
const LINES: f64 = 10.0;

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
                let line = line::fitted(snapshot, line::columns());
                // The text first: it is what has become shorter when the terminal has.
                bar.set_prefix(line.heading);
                bar.set_message(line.message);
                bar.set_style(style(line.bar));
                bar.set_position((snapshot.progress * STEPS as f64) as u64);
            }
            View::Lines(pace) => {
                if pace.is_due(snapshot) {
                    let percent = snapshot.progress * 100.0;
                    let (heading, text) = (line::heading(snapshot), line::whole(snapshot));
                    tell(format_args!("{heading} {percent:3.0} %  {text}"));
                }
            }
        }
    }

    fn note(&mut self, line: &str) {
        let line = amount::harmless(line, 400);
        match &self.view {
            View::Bar(bar) => bar.suspend(|| tell(&line)),
            View::Lines(_) => tell(&line),
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
    // Nothing is drawn before the first snapshot: a run that cannot start leaves only its error.
    ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr_with_hz(10))
}

/// A bar of so many columns; with none there is only the text.
fn style(columns: usize) -> ProgressStyle {
    let template = match columns {
        0 => "{prefix}{msg}".to_owned(),
        columns => format!("{{prefix}} {{bar:{columns}.cyan/dim}} {{percent:>3}} %  {{msg}}"),
    };
    let style = ProgressStyle::with_template(&template).expect("the crate takes both templates");
    style.progress_chars("━╸─")
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

#[cfg(test)]
mod tests {
    use super::*;

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
