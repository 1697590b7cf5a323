//! Durations of the last ten seconds, for quantiles that move when the present does.

use std::collections::VecDeque;

use super::cells::Cells;
use crate::logic::limits::WINDOW_SECONDS;
use crate::shared::report::Durations;

/// Durations by the second in which they were reported: an idle node costs nothing, a busy one a few KB a second.
#[derive(Debug, Default)]
pub struct Window {
    seconds: VecDeque<Second>,
}

#[derive(Debug)]
struct Second {
    /// Seconds since the collector began.
    at: u64,
    cells: Cells,
}

/// What a window says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// How many durations it holds; at least one.
    pub count: u64,
    /// Half of them took at most this, in microseconds.
    pub p50_us: u64,
    /// 99 of a hundred took at most this.
    pub p99_us: u64,
    /// 999 of a thousand took at most this.
    pub p999_us: u64,
}

impl Window {
    /// Adds what a worker reported at `now_s`, and lets go of what is too old.
    pub fn add(&mut self, durations: &Durations, now_s: u64) {
        self.forget(now_s);
        if durations.is_empty() {
            return;
        }
        let cells = Cells::of(durations);
        match self.seconds.back_mut() {
            Some(second) if second.at == now_s => second.cells.join(&cells),
            _ => self.seconds.push_back(Second { at: now_s, cells }),
        }
    }

    /// Quantiles of the last [`WINDOW_SECONDS`] and the second that has begun; `None` without a duration.
    pub fn quantiles(&self, now_s: u64) -> Option<Quantiles> {
        merged([self], now_s)
    }

    /// Lets go of what is too old.
    pub fn forget(&mut self, now_s: u64) {
        while self.seconds.front().is_some_and(|second| !is_recent(second.at, now_s)) {
            self.seconds.pop_front();
        }
    }
}

/// Quantiles over several windows: of a backend's nodes, for one.
pub fn merged<'a>(windows: impl IntoIterator<Item = &'a Window>, now_s: u64) -> Option<Quantiles> {
    let mut all = Cells::default();
    let recent =
        windows.into_iter().flat_map(|window| &window.seconds).filter(|second| is_recent(second.at, now_s));
    recent.for_each(|second| all.join(&second.cells));
    all.quantiles()
}

fn is_recent(second: u64, now_s: u64) -> bool {
    second + WINDOW_SECONDS >= now_s
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shared::report::new_durations;

    fn of(values_us: impl IntoIterator<Item = u64>) -> Durations {
        let mut durations = new_durations();
        values_us.into_iter().for_each(|value| durations.record(value).unwrap());
        durations
    }

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let mut window = Window::default();
        window.add(&of(1..=500), 3);
        window.add(&of(501..=1000), 3);
        let quantiles = window.quantiles(3).unwrap();
        assert_eq!(quantiles.count, 1000);
        assert!(quantiles.p50_us.abs_diff(500) <= 5, "{quantiles:?}");
        assert!(quantiles.p99_us.abs_diff(990) <= 10, "{quantiles:?}");
        assert!(quantiles.p999_us.abs_diff(999) <= 10, "{quantiles:?}");
    }

    #[test]
    fn what_is_older_than_the_window_is_gone() {
        let mut window = Window::default();
        window.add(&of([1_000_000]), 0);
        window.add(&of([100]), WINDOW_SECONDS);
        assert_eq!(window.quantiles(WINDOW_SECONDS).unwrap().count, 2);
        assert_eq!(window.quantiles(WINDOW_SECONDS + 1).unwrap().count, 1);
        assert_eq!(window.quantiles(2 * WINDOW_SECONDS + 1), None);
        window.forget(2 * WINDOW_SECONDS + 1);
        assert!(window.seconds.is_empty());
    }

    #[test]
    fn a_report_without_durations_leaves_no_trace() {
        let mut window = Window::default();
        window.add(&of([]), 1);
        assert!(window.seconds.is_empty());
    }

    proptest! {
        #[test]
        fn many_small_reports_are_as_one_large(reports in proptest::collection::vec(
            proptest::collection::vec(1..100_000_000_u64, 0..40), 0..12,
        )) {
            let mut window = Window::default();
            for report in &reports {
                window.add(&of(report.iter().copied()), 7);
            }
            let mut whole = Window::default();
            whole.add(&of(reports.iter().flatten().copied()), 7);
            prop_assert_eq!(window.quantiles(7), whole.quantiles(7));
        }
    }
}
