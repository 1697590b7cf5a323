//! A latency distribution in the form in which it is kept: pairs of value and count.
//!
//! A value is the highest that its HDR bucket stands for (3 significant digits), so recording it again
//! falls into the same bucket and nothing is lost on the way through JSON.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Significant decimal digits of every histogram: a value is off by at most 0.1 %.
pub const DIGITS: u8 = 3;

/// The longest time that a histogram keeps: one hour. Longer ones are recorded as this.
pub const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Nanosecond values with their counts, in rising order, no value twice, no count of zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distribution(pub Vec<(u64, u64)>);

/// An empty histogram of the one shape that is used throughout.
#[must_use]
pub fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("the bounds are constants that the crate allows")
}

impl Distribution {
    /// The recorded buckets of a histogram.
    #[must_use]
    pub fn from_histogram(histogram: &Histogram<u64>) -> Self {
        Self(
            histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect(),
        )
    }

    /// The same as a histogram again.
    #[must_use]
    pub fn to_histogram(&self) -> Histogram<u64> {
        let mut histogram = empty_histogram();
        self.add_to(&mut histogram);
        histogram
    }

    /// Adds these values to a histogram; values out of its range go into its last bucket.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for &(value, count) in &self.0 {
            histogram.saturating_record_n(value, count);
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest value that at least the share `quantile` (0 to 1) does not exceed; 0 when empty.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let wanted = (quantile.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        let reached = self.0.iter().find(|&&(_, count)| {
            seen = seen.saturating_add(count);
            seen >= wanted
        });
        reached.map_or_else(|| self.max_ns(), |&(value, _)| value)
    }

    /// The mean; 0 when empty.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        let sum: f64 = self.0.iter().map(|&(value, count)| value as f64 * count as f64).sum();
        if self.is_empty() { 0.0 } else { sum / self.count() as f64 }
    }

    /// The standard deviation; 0 when empty.
    #[must_use]
    pub fn deviation_ns(&self) -> f64 {
        let mean = self.mean_ns();
        let squares: f64 =
            self.0.iter().map(|&(value, count)| (value as f64 - mean).powi(2) * count as f64).sum();
        if self.is_empty() { 0.0 } else { (squares / self.count() as f64).sqrt() }
    }

    /// The lowest value; 0 when empty.
    #[must_use]
    pub fn min_ns(&self) -> u64 {
        self.0.first().map_or(0, |&(value, _)| value)
    }

    /// The highest value; 0 when empty.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.0.last().map_or(0, |&(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Histogram<u64> {
        let mut histogram = empty_histogram();
        for value in 1..=10_000u64 {
            histogram.record(value * 1_000).unwrap();
        }
        histogram
    }

    #[test]
    fn a_histogram_survives_the_way_through_json() {
        let kept = Distribution::from_histogram(&sample());
        let json = serde_json::to_string(&kept).unwrap();
        let read: Distribution = serde_json::from_str(&json).unwrap();
        assert_eq!(read.to_histogram(), sample());
    }

    #[test]
    fn quantiles_agree_with_the_histogram() {
        let histogram = sample();
        let kept = Distribution::from_histogram(&histogram);
        for quantile in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
            assert_eq!(kept.quantile_ns(quantile), histogram.value_at_quantile(quantile), "at {quantile}");
        }
        assert_eq!(kept.max_ns(), histogram.max());
        assert!((kept.mean_ns() / histogram.mean() - 1.0).abs() < 0.001);
    }

    #[test]
    fn an_empty_one_is_all_zero() {
        let none = Distribution::default();
        assert_eq!((none.count(), none.quantile_ns(0.5), none.max_ns(), none.min_ns()), (0, 0, 0, 0));
        assert!(none.mean_ns().abs() + none.deviation_ns().abs() < f64::EPSILON);
    }
}
