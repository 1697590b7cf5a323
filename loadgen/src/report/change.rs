//! What differs between two runs, and whether a build should fail for it.

use std::str::FromStr;

use crate::result::{Distribution, RunResult};

use super::{
    amount,
    bootstrap::{self, Figures, QUANTILES},
};

/// A number that two runs are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Whole answers a second: more is better.
    Throughput,
    /// Share of failures: less is better.
    Errors,
    /// Mean response time.
    Mean,
    /// Response time at this index of [`QUANTILES`].
    Quantile(usize),
    /// Highest response time. It has no interval: what was drawn again cannot be higher than what was seen.
    Max,
}

/// Every measure, in the order of the table.
pub const MEASURES: [Measure; 8] = [
    Measure::Throughput,
    Measure::Errors,
    Measure::Mean,
    Measure::Quantile(0),
    Measure::Quantile(1),
    Measure::Quantile(2),
    Measure::Quantile(3),
    Measure::Max,
];

impl Measure {
    /// Its name in the table and in `--fail-if`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Errors => "errors",
            Self::Mean => "mean",
            Self::Quantile(at) => ["p50", "p90", "p99", "p99.9"][at],
            Self::Max => "max",
        }
    }

    /// The value in a run: nanoseconds, answers a second, or a share. `None` where nothing was measured.
    #[must_use]
    pub fn of(self, result: &RunResult) -> Option<f64> {
        let times = Some(&result.response).filter(|times| !times.is_empty());
        match self {
            Self::Throughput => Some(result.throughput()),
            Self::Errors => (result.totals.scheduled > 0).then(|| result.totals.error_ratio()),
            Self::Mean => times.map(Distribution::mean_ns),
            Self::Quantile(at) => times.map(|times| times.quantile_ns(QUANTILES[at]) as f64),
            Self::Max => times.map(|times| times.max_ns() as f64),
        }
    }

    /// Whether a rise is good.
    fn more_is_better(self) -> bool {
        self == Self::Throughput
    }

    /// The value as text.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Throughput => amount::rate(value),
            Self::Errors => amount::percent(value),
            _ => amount::time_of(value),
        }
    }

    fn drawn(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Throughput => Some(figures.throughput),
            Self::Errors => Some(figures.errors),
            Self::Mean => Some(figures.mean),
            Self::Quantile(at) => Some(figures.quantiles[at]),
            Self::Max => None,
        }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = MEASURES.into_iter().find(|measure| measure.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = MEASURES.iter().map(|measure| measure.name()).collect();
            format!("'{text}' cannot be compared: {} can", names.join(", "))
        })
    }
}

/// The change of one measure from a first run to a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// What is compared.
    pub measure: Measure,
    /// In the first run; `None` where nothing was measured.
    pub before: Option<f64>,
    /// In the second.
    pub after: Option<f64>,
    /// Where the difference lies in 95 of 100 draws; `None` when the runs are too short to say.
    pub interval: Option<(f64, f64)>,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The interval lies on the good side.
    Better,
    /// The interval lies on the bad side.
    Worse,
    /// The interval holds zero: it may be chance.
    Unsure,
    /// There is no interval.
    Unknown,
}

impl Change {
    /// The difference.
    #[must_use]
    pub fn by(&self) -> Option<f64> {
        Some(self.after? - self.before?)
    }

    /// The difference as a share of the first value; `None` where that is zero.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        let before = self.before.filter(|before| *before > 0.0)?;
        Some(self.by()? / before)
    }

    /// What it means.
    #[must_use]
    pub fn finding(&self) -> Finding {
        match self.interval {
            None => Finding::Unknown,
            Some((low, high)) if low <= 0.0 && high >= 0.0 => Finding::Unsure,
            Some((low, _)) if (low > 0.0) == self.measure.more_is_better() => Finding::Better,
            Some(_) => Finding::Worse,
        }
    }
}

/// Every change from `before` to `after`. The same seed gives the same intervals.
#[must_use]
pub fn changes(before: &RunResult, after: &RunResult, seed: u64) -> Vec<Change> {
    // Two seeds: draws of the two runs must not go together.
    let drawn = bootstrap::draw(before, seed).zip(bootstrap::draw(after, seed.wrapping_add(1)));
    let interval = |measure: Measure| {
        let (a, b) = drawn.as_ref()?;
        let differences: Option<Vec<f64>> =
            a.iter().zip(b).map(|(a, b)| Some(measure.drawn(b)? - measure.drawn(a)?)).collect();
        differences.map(bootstrap::interval)
    };
    let change = |measure: Measure| {
        let (before, after) = (measure.of(before), measure.of(after));
        Change { measure, before, after, interval: before.and(after).and_then(|_| interval(measure)) }
    };
    MEASURES.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_needs_an_interval_on_one_side_of_zero() {
        let finding =
            |measure, interval| Change { measure, before: Some(1.0), after: Some(1.0), interval }.finding();
        assert_eq!(finding(Measure::Mean, Some((1.0, 2.0))), Finding::Worse);
        assert_eq!(finding(Measure::Mean, Some((-2.0, -1.0))), Finding::Better);
        assert_eq!(finding(Measure::Throughput, Some((1.0, 2.0))), Finding::Better);
        assert_eq!(finding(Measure::Throughput, Some((-1.0, 2.0))), Finding::Unsure);
        assert_eq!(finding(Measure::Max, None), Finding::Unknown);
    }

    #[test]
    fn what_was_not_measured_did_not_change() {
        let changes = changes(&RunResult::default(), &RunResult::default(), 1);
        for change in changes.iter().filter(|change| change.measure != Measure::Throughput) {
            assert_eq!((change.before, change.by(), change.interval), (None, None, None), "{change:?}");
        }
    }
}
