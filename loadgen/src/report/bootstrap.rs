//! How sure a difference of two runs is: the bootstrap.
//!
//! What is drawn again, with replacement, are stretches of time and not single requests: requests of one moment
//! are alike (a pause strikes all of them), and to treat them as independent would make every interval far too
//! narrow. Efron and Tibshirani: "An Introduction to the Bootstrap", 1993, chapters 6 and 8 (block resampling).

use fastrand::Rng;

use crate::result::{RunResult, Second};

/// Draws of each run.
pub const DRAWS: usize = 1000;
/// The most stretches that a run is cut into: more cost time and make nothing better.
const STRETCHES_MAX: usize = 60;
/// Fewer stretches than this say nothing about how much a run varies.
pub const STRETCHES_MIN: usize = 5;

/// The numbers of a run that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Whole answers a second.
    pub throughput: f64,
    /// Share of failures, 0 to 1.
    pub errors: f64,
    /// Mean response time, nanoseconds.
    pub mean: f64,
    /// Response time at 50, 90, 99 and 99.9 percent, nanoseconds.
    pub quantiles: [f64; 4],
}

/// The quantiles of [`Figures`].
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Draws a run again [`DRAWS`] times. `None` when it is too short to say anything.
#[must_use]
pub fn draw(result: &RunResult, seed: u64) -> Option<Vec<Figures>> {
    let run = Run::of(result);
    (run.stretches.len() >= STRETCHES_MIN).then(|| {
        let mut random = Rng::with_seed(seed);
        (0..DRAWS).map(|_| run.drawn(&mut random)).collect()
    })
}

/// The middle 95 percent of `values`, as their ends.
#[must_use]
pub fn interval(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * values.len() as f64) as usize;
        values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
    };
    (at(0.025), at(0.975))
}

/// A run as stretches whose latencies are counts of common values.
struct Run {
    values: Vec<u64>,
    stretches: Vec<Stretch>,
}

#[derive(Default)]
struct Stretch {
    seconds: f64,
    completed: u64,
    scheduled: u64,
    errors: u64,
    /// Index into the run's values, and count.
    counts: Vec<(usize, u64)>,
}

impl Run {
    fn of(result: &RunResult) -> Self {
        let mut values: Vec<u64> = result
            .seconds
            .iter()
            .flat_map(|second| second.response.0.iter().map(|&(value, _)| value))
            .collect();
        values.sort_unstable();
        values.dedup();
        let length = result.seconds.len().div_ceil(STRETCHES_MAX).max(1);
        // The last second is a fragment as a rule, and would be drawn as if it were a whole one.
        let whole = result.seconds.len()
            - usize::from(result.seconds.last().is_some_and(|last| last.length_ms < 500));
        let stretches =
            result.seconds[..whole].chunks(length).map(|part| Stretch::of(part, &values)).collect();
        Self { values, stretches }
    }

    fn drawn(&self, random: &mut Rng) -> Figures {
        let mut counts = vec![0_u64; self.values.len()];
        let mut sum = Stretch::default();
        for _ in 0..self.stretches.len() {
            let stretch = &self.stretches[random.usize(..self.stretches.len())];
            sum.seconds += stretch.seconds;
            sum.completed += stretch.completed;
            sum.scheduled += stretch.scheduled;
            sum.errors += stretch.errors;
            stretch.counts.iter().for_each(|&(index, count)| counts[index] += count);
        }
        Figures {
            throughput: sum.completed as f64 / sum.seconds.max(1e-9),
            errors: sum.errors as f64 / sum.scheduled.max(1) as f64,
            mean: self.mean(&counts),
            quantiles: self.quantiles(&counts),
        }
    }

    fn mean(&self, counts: &[u64]) -> f64 {
        let total: u64 = counts.iter().sum();
        let sum: f64 =
            self.values.iter().zip(counts).map(|(&value, &count)| value as f64 * count as f64).sum();
        if total == 0 { 0.0 } else { sum / total as f64 }
    }

    fn quantiles(&self, counts: &[u64]) -> [f64; 4] {
        let total: u64 = counts.iter().sum();
        let mut found = [0.0; 4];
        let (mut seen, mut next) = (0, 0);
        for (&value, &count) in self.values.iter().zip(counts) {
            seen += count;
            while next < 4 && total > 0 && seen as f64 >= (QUANTILES[next] * total as f64).ceil() {
                found[next] = value as f64;
                next += 1;
            }
        }
        found
    }
}

impl Stretch {
    fn of(part: &[Second], values: &[u64]) -> Self {
        let mut own = Self::default();
        let mut counts = std::collections::BTreeMap::new();
        for second in part {
            own.seconds += second.length_ms as f64 / 1e3;
            own.completed += second.completed;
            own.scheduled += second.scheduled;
            own.errors += second.errors;
            for &(value, count) in &second.response.0 {
                let index = values.binary_search(&value).unwrap_or_else(|nearest| nearest);
                *counts.entry(index).or_insert(0) += count;
            }
        }
        own.counts = counts.into_iter().collect();
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Distribution;

    /// A run of `n` seconds whose response times are `value(second)`, 100 of them each.
    fn run(n: u64, mut value: impl FnMut(u64) -> u64) -> RunResult {
        let second = |at: u64| Second {
            start_ms: at * 1000,
            length_ms: 1000,
            scheduled: 100,
            completed: 100,
            response: Distribution(vec![(value(at), 100)]),
            ..Second::default()
        };
        RunResult { seconds: (0..n).map(second).collect(), ..RunResult::default() }
    }

    fn p50(result: &RunResult) -> (f64, f64) {
        interval(draw(result, 1).unwrap().iter().map(|figures| figures.quantiles[0]).collect())
    }

    #[test]
    fn a_run_that_does_not_vary_has_no_width() {
        assert_eq!(p50(&run(30, |_| 5_000)), (5_000.0, 5_000.0));
    }

    #[test]
    fn a_run_that_varies_has_an_interval_around_its_median() {
        let (low, high) = p50(&run(30, |at| 1_000 * (1 + at)));
        assert!(low < 15_000.0 && high > 15_000.0 && high - low > 3_000.0, "{low} to {high}");
        assert!(low > 5_000.0 && high < 25_000.0, "{low} to {high}");
    }

    #[test]
    fn one_seed_gives_one_answer_and_a_short_run_none() {
        let result = run(30, |at| 1_000 * (1 + at));
        assert_eq!(draw(&result, 3), draw(&result, 3));
        assert_eq!(draw(&run(4, |_| 1), 1), None);
    }

    #[test]
    fn the_coverage_of_the_interval_is_what_it_claims() {
        // 200 runs of one process whose true mean is known: the interval must hold it about 95 times in 100.
        let mut random = Rng::with_seed(11);
        let held = (0..200).filter(|_| {
            let result = run(40, |_| 1_000 + random.u64(..1_000));
            let (low, high) =
                interval(draw(&result, 5).unwrap().iter().map(|figures| figures.mean).collect());
            (low..=high).contains(&1_499.5)
        });
        let held = held.count();
        assert!((178..=200).contains(&held), "{held} of 200");
    }
}
