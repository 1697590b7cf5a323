//! How long a node takes, and how much of what it is sent fails: estimates that follow peaks at once and forget slowly.
//!
//! The latency is a Peak EWMA (Finagle's `PeakEwma` load metric, 2015; linkerd uses it too): a sample above the estimate
//! replaces it, one below pulls it down with a weight that depends on the time since the sample before. Time that passes
//! without a sample decays both on read, so that a node which nobody picks is tried again.

use super::limits::LATENCY_DECAY_US;

/// The share of one request in [`Estimate::failing`]: about the last sixteen count.
const FAILURE_WEIGHT: f64 = 1.0 / 16.0;

/// What is known of a node. All zero for one that has answered nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Microseconds until the first byte of a response.
    pub latency_us: f64,
    /// The share of requests that fail, 0 to 1.
    pub failing: f64,
    /// When the newest sample came, microseconds on any clock that goes forward; 0 is never.
    pub at_us: u64,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Answered in this time, in microseconds.
    Answered(u64),
    /// Failed: refused, broken off, timed out, or answered with a 5xx. It took no time that counts: a failure is never fast.
    Failed,
}

impl Estimate {
    /// The estimate with one more sample.
    #[must_use]
    pub fn with(self, sample: Sample, now_us: u64) -> Self {
        let kept = self.kept(now_us);
        let failing = self.failing * kept;
        let failed = f64::from(u8::from(sample == Sample::Failed));
        let latency_us = match sample {
            Sample::Failed => self.latency_us,
            Sample::Answered(us) => {
                let us = us.max(1) as f64;
                if us >= self.latency_us { us } else { us + (self.latency_us - us) * kept }
            }
        };
        // A worker's clock may be a moment behind another's: time never runs backwards here.
        let at_us = self.at_us.max(now_us).max(1);
        Self { latency_us, failing: failing + (failed - failing) * FAILURE_WEIGHT, at_us }
    }

    /// What to expect of the next request. `in_flight`: what the node is busy with.
    pub fn read(&self, now_us: u64, in_flight: u32) -> Reading {
        if self.at_us == 0 {
            return Reading { latency_us: None, failing: 0.0 };
        }
        let kept = self.kept(now_us);
        // An old estimate is forgotten by an idle node alone: so that one request tries it, and the others wait for what
        // becomes of that one.
        let latency_us = if in_flight == 0 { self.latency_us * kept } else { self.latency_us };
        let known = latency_us > 0.0;
        Reading { latency_us: known.then_some(latency_us), failing: (self.failing * kept).clamp(0.0, 1.0) }
    }

    /// The share of the past that is left after the time since the newest sample.
    fn kept(&self, now_us: u64) -> f64 {
        let elapsed_us = now_us.saturating_sub(self.at_us);
        if self.at_us == 0 { 0.0 } else { (-(elapsed_us as f64) / LATENCY_DECAY_US as f64).exp() }
    }
}

/// An estimate at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Microseconds; `None` where the node has never answered.
    pub latency_us: Option<f64>,
    /// The share of requests that fail, 0 to 1.
    pub failing: f64,
}

impl Reading {
    /// What a request costs: the latency, and more the more of them fail. A failing share of `f` costs `1 / (1 - f)²`.
    ///
    /// A node that has not answered yet costs nothing while it is idle, and a lot while its first request is under way.
    pub fn cost_us(&self, in_flight: u32) -> f64 {
        let latency_us = match (self.latency_us, in_flight) {
            (Some(latency_us), _) => latency_us,
            // One that has done nothing but fail is as dear as it failed of late.
            (None, 0) => (UNKNOWN_US * self.failing).max(UNTRIED_US),
            (None, _) => UNKNOWN_US,
        };
        latency_us * self.failing_factor()
    }

    /// How much dearer a node is for what it fails: `1 / (1 - f)²`, at most some thousand times.
    pub fn failing_factor(&self) -> f64 {
        let succeeding = (1.0 - self.failing).max(SUCCEEDING_MIN);
        1.0 / (succeeding * succeeding)
    }
}

/// Below every real latency, and not zero: failures must still count.
const UNTRIED_US: f64 = 0.001;
/// Above every latency that is worth waiting for.
const UNKNOWN_US: f64 = 1_000_000.0;
/// So that a node where everything fails is a thousand times as dear, and not infinitely.
const SUCCEEDING_MIN: f64 = 0.03;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn after(samples: &[(Sample, u64)]) -> Estimate {
        samples.iter().fold(Estimate::default(), |estimate, &(sample, now_us)| estimate.with(sample, now_us))
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_in_ten_seconds() {
        let peak = after(&[(Sample::Answered(1_000), SECOND), (Sample::Answered(50_000), SECOND + 1)]);
        assert_eq!(peak.latency_us, 50_000.0);
        let later = peak.with(Sample::Answered(1_000), 11 * SECOND + 1);
        let expected = 1_000.0 + 49_000.0 / std::f64::consts::E;
        assert!((later.latency_us - expected).abs() < 1.0, "{later:?}");
    }

    #[test]
    fn many_samples_at_once_weigh_no_more_than_their_time() {
        let mut estimate = after(&[(Sample::Answered(10_000), SECOND)]);
        for step in 1..=10_000 {
            estimate = estimate.with(Sample::Answered(1_000), SECOND + step * 100);
        }
        // A second in all: a tenth of the decay.
        let expected = 1_000.0 + 9_000.0 * (-0.1_f64).exp();
        assert!((estimate.latency_us - expected).abs() < 1.0, "{estimate:?}");
    }

    #[test]
    fn an_idle_node_is_forgotten_and_a_busy_one_is_not() {
        let slow = after(&[(Sample::Answered(100_000), SECOND)]);
        let idle = slow.read(31 * SECOND, 0).latency_us.unwrap();
        assert!((idle - 100_000.0 * (-3.0_f64).exp()).abs() < 1.0, "{idle}");
        assert_eq!(slow.read(31 * SECOND, 1).latency_us, Some(100_000.0));
    }

    #[test]
    fn failures_are_never_fast_and_soon_dear() {
        let mut estimate = after(&[(Sample::Answered(5_000), SECOND)]);
        for step in 1..=100 {
            estimate = estimate.with(Sample::Failed, SECOND + step * 1_000);
        }
        assert_eq!(estimate.latency_us, 5_000.0);
        let reading = estimate.read(SECOND + 100_000, 0);
        assert!(reading.failing > 0.98, "{reading:?}");
        assert!(reading.cost_us(0) > 500.0 * 5_000.0, "{reading:?}");
        // And a node that fails now and then stays cheap.
        let now_and_then = estimate_with_failures(100);
        assert!(now_and_then.read(2 * SECOND, 1).cost_us(1) < 1.2 * 5_000.0, "{now_and_then:?}");
    }

    fn estimate_with_failures(one_in: u64) -> Estimate {
        (1..=1_000).fold(Estimate::default(), |estimate, step| {
            let sample = if step % one_in == 1 { Sample::Failed } else { Sample::Answered(5_000) };
            estimate.with(sample, SECOND + step * 1_000)
        })
    }

    #[test]
    fn an_untried_node_is_tried_by_one_request() {
        let untried = Estimate::default().read(SECOND, 0);
        assert!(untried.cost_us(0) < 1.0);
        assert!(untried.cost_us(1) > 100_000.0);
    }

    #[test]
    fn a_node_that_has_only_failed_is_dear_for_a_while() {
        let failed = after(&[(Sample::Failed, SECOND); 20]);
        assert!(failed.read(SECOND, 0).cost_us(0) > 500_000.0);
        assert!(failed.read(61 * SECOND, 0).cost_us(0) < 5_000.0);
        assert_eq!(failed.with(Sample::Answered(700), 2 * SECOND).latency_us, 700.0);
    }

    #[test]
    fn a_clock_that_stands_behind_changes_nothing() {
        let estimate = after(&[(Sample::Answered(1_000), 5 * SECOND), (Sample::Answered(500), 4 * SECOND)]);
        assert_eq!((estimate.latency_us, estimate.at_us), (1_000.0, 5 * SECOND));
        assert_eq!(estimate.read(4 * SECOND, 0).latency_us, Some(1_000.0));
    }
}
