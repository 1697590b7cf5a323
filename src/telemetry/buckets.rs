//! Durations since the start, in the buckets that Prometheus reads.

use crate::shared::report::Durations;

/// Upper bounds in microseconds, and the same in seconds as Go writes floats (OpenMetrics asks for that form).
pub const BOUNDS: [(u64, &str); 20] = [
    (50, "5e-05"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1.0"),
    (2_500_000, "2.5"),
    (5_000_000, "5.0"),
    (10_000_000, "10.0"),
    (20_000_000, "20.0"),
    (30_000_000, "30.0"),
    (60_000_000, "60.0"),
];

/// A cumulative histogram of 200 bytes: small enough for one a route and one a node.
///
/// Counts are exact. Workers record with two significant digits, so a duration can stand on the wrong side of a
/// bound where it is within 0.8 % of it, and the sum is off by at most 0.4 %.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    counts: [u64; BOUNDS.len() + 1],
    sum_us: u64,
}

impl Buckets {
    /// Adds what a worker recorded.
    pub fn add(&mut self, durations: &Durations) {
        for cell in durations.iter_recorded() {
            let value_us = cell.value_iterated_to();
            let count = u64::from(cell.count_at_value());
            let bucket = BOUNDS.partition_point(|&(bound, _)| bound < durations.lowest_equivalent(value_us));
            self.counts[bucket] += count;
            self.sum_us =
                self.sum_us.saturating_add(count.saturating_mul(durations.median_equivalent(value_us)));
        }
    }

    /// How many there are in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// For each of [`BOUNDS`], how many were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut below = 0;
        BOUNDS.iter().zip(self.counts).map(move |(&(_, text), count)| {
            below += count;
            (text, below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::report::new_durations;

    fn of(values_us: &[u64]) -> Buckets {
        let mut durations = new_durations();
        values_us.iter().for_each(|&value| durations.record(value).unwrap());
        let mut buckets = Buckets::default();
        buckets.add(&durations);
        buckets
    }

    #[test]
    fn the_text_of_each_bound_is_the_bound() {
        for (bound_us, text) in BOUNDS {
            let parsed: f64 = text.parse().unwrap();
            assert!((parsed * 1e6 - bound_us as f64).abs() < 1e-6, "{text}");
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_duration_on_a_bound_is_below_it_and_one_beyond_all_is_counted() {
        for (at, (bound_us, _)) in BOUNDS.iter().enumerate() {
            let buckets = of(&[*bound_us]);
            assert_eq!(buckets.counts[at], 1, "{bound_us}");
        }
        let buckets = of(&[61_000_000, 51]);
        assert_eq!(buckets.cumulative().last().unwrap().1, 1);
        assert_eq!(buckets.count(), 2);
    }

    #[test]
    fn sums_are_within_half_a_percent() {
        let buckets = of(&[60, 1_234, 56_789, 3_210_000]);
        let exact = 60 + 1_234 + 56_789 + 3_210_000;
        assert!(buckets.sum_us().abs_diff(exact) * 250 < exact, "{}", buckets.sum_us());
    }

    #[test]
    fn adding_twice_counts_twice() {
        let mut durations = new_durations();
        durations.record_n(700, 3).unwrap();
        let mut buckets = Buckets::default();
        buckets.add(&durations);
        buckets.add(&durations);
        assert_eq!(buckets.count(), 6);
    }
}
