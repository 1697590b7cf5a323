//! What a backend was asked in the last minutes: a few samples a second, and means over windows of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::logic::limits::SCALE_SAMPLES_MAX;

/// A moment of one backend, over all its nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The end of that moment.
    pub at: Duration,
    /// Requests, tunnels and streams on nodes: the mean.
    pub in_flight: f64,
    /// Requests that waited for a node: the mean.
    pub queued: f64,
    /// Requests that came in, a second.
    pub arrivals: f64,
    /// Requests that ended, a second.
    pub finished: f64,
    /// Share of the cores that the nodes may use, their mean, where the engine knows.
    pub cpu: Option<f64>,
    /// 99 of 100 requests were answered within this; `None` where none ended.
    pub p99: Option<Duration>,
    /// Nodes that took requests.
    pub serving: u32,
}

impl Sample {
    /// A second in which nothing happened.
    pub fn quiet(at: Duration, serving: u32) -> Self {
        Self { at, in_flight: 0.0, queued: 0.0, arrivals: 0.0, finished: 0.0, cpu: None, p99: None, serving }
    }

    /// Did anybody use the backend?
    pub fn is_active(&self) -> bool {
        self.in_flight > 0.0 || self.queued > 0.0 || self.arrivals > 0.0
    }

    fn is_sane(&self) -> bool {
        let numbers = [self.in_flight, self.queued, self.arrivals, self.finished, self.cpu.unwrap_or(0.0)];
        numbers.iter().all(|number| number.is_finite() && *number >= 0.0)
    }
}

/// The samples of one backend, oldest first.
#[derive(Debug, Clone)]
pub struct History {
    samples: VecDeque<Sample>,
    keep: Duration,
    active_at: Duration,
}

impl History {
    /// Of a backend that is known since `now`; samples older than `keep` are forgotten.
    pub fn new(now: Duration, keep: Duration) -> Self {
        Self { samples: VecDeque::new(), keep, active_at: now }
    }

    /// Samples older than this are forgotten from now on.
    pub fn keep(&mut self, keep: Duration) {
        self.keep = keep;
    }

    /// Takes a sample. One that is no newer than the last, or no number, tells nothing and is left out.
    pub fn push(&mut self, sample: Sample) {
        if self.samples.back().is_some_and(|last| last.at >= sample.at) || !sample.is_sane() {
            return;
        }
        if sample.is_active() {
            self.active_at = sample.at;
        }
        self.samples.push_back(sample);
        let oldest = sample.at.saturating_sub(self.keep);
        while self.samples.len() > SCALE_SAMPLES_MAX
            || self.samples.front().is_some_and(|first| first.at < oldest)
        {
            self.samples.pop_front();
        }
    }

    /// A request came that no sample shows yet.
    pub fn touch(&mut self, now: Duration) {
        self.active_at = self.active_at.max(now);
    }

    /// The newest sample.
    pub fn latest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// How long nobody has used the backend.
    pub fn idle_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.active_at)
    }

    /// The samples of the last `window`.
    pub fn last(&self, now: Duration, window: Duration) -> impl DoubleEndedIterator<Item = &Sample> + Clone {
        let from = now.saturating_sub(window);
        let first = self.samples.partition_point(|sample| sample.at <= from && !from.is_zero());
        self.samples.range(first..)
    }

    /// Whether samples reach back over the whole `window`.
    pub fn covers(&self, now: Duration, window: Duration) -> bool {
        let Some(from) = now.checked_sub(window) else { return false };
        // One sample stands for the second before it, and a tick may come late.
        let slack = Duration::from_millis(1500);
        self.samples.front().is_some_and(|first| first.at <= from + slack)
    }

    /// The mean of `of` over the last `window`; of those samples for which there is a number.
    pub fn mean(&self, now: Duration, window: Duration, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        mean(self.last(now, window).filter_map(of))
    }

    /// The largest mean over a span of `run` within the last `window`.
    pub fn peak(
        &self,
        now: Duration,
        window: Duration,
        run: Duration,
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        let numbers: Vec<(Duration, f64)> =
            self.last(now, window).filter_map(|sample| of(sample).map(|value| (sample.at, value))).collect();
        let (mut first, mut sum, mut largest) = (0, 0.0, None);
        for (last, (at, value)) in numbers.iter().enumerate() {
            sum += value;
            while numbers[first].0 + run <= *at {
                sum -= numbers[first].1;
                first += 1;
            }
            // Only whole spans, but for a history that has none yet.
            let is_whole = first > 0 || numbers.len() == last + 1;
            let mean = sum / (last + 1 - first) as f64;
            if is_whole && largest.is_none_or(|largest| mean > largest) {
                largest = Some(mean);
            }
        }
        largest
    }

    /// How fast `of` rises, by least squares over the last `window`; flat with fewer than four samples.
    pub fn trend(&self, now: Duration, window: Duration, of: impl Fn(&Sample) -> Option<f64>) -> Trend {
        let points: Vec<(f64, f64)> = self
            .last(now, window)
            .filter_map(|sample| {
                // Relative to now: squares of large times would eat the precision.
                let age = now.saturating_sub(sample.at).as_secs_f64();
                of(sample).map(|value| (-age, value))
            })
            .collect();
        line(&points).unwrap_or_default()
    }
}

/// A straight line through samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trend {
    /// Rise a second.
    pub slope: f64,
    /// The standard error of the slope.
    pub error: f64,
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = numbers.fold((0.0, 0.0), |(count, sum), number| (count + 1.0, sum + number));
    (count > 0.0).then(|| sum / count)
}

fn line(points: &[(f64, f64)]) -> Option<Trend> {
    let x_mean = mean(points.iter().map(|point| point.0))?;
    let y_mean = mean(points.iter().map(|point| point.1))?;
    let spread: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    if points.len() < 4 || spread < f64::EPSILON {
        return None;
    }
    let slope = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum::<f64>() / spread;
    let off = |(x, y): &(f64, f64)| (y - y_mean - slope * (x - x_mean)).powi(2);
    let residual = points.iter().map(off).sum::<f64>() / (points.len() - 2) as f64;
    Some(Trend { slope, error: (residual / spread).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn with(loads: &[f64]) -> History {
        let mut history = History::new(Duration::ZERO, seconds(60));
        for (index, load) in (1..).zip(loads) {
            history.push(Sample { in_flight: *load, ..Sample::quiet(seconds(index), 1) });
        }
        history
    }

    #[expect(clippy::unnecessary_wraps, reason = "the signature that the windows take")]
    fn load(sample: &Sample) -> Option<f64> {
        Some(sample.in_flight)
    }

    #[test]
    fn means_and_peaks_are_those_of_the_window() {
        let history = with(&[10.0, 2.0, 4.0, 6.0]);
        assert_eq!(history.mean(seconds(4), seconds(2), load), Some(5.0));
        assert_eq!(history.mean(seconds(4), seconds(3), load), Some(4.0));
        assert_eq!(history.peak(seconds(4), seconds(4), seconds(2), load), Some(5.0));
        assert_eq!(history.peak(seconds(4), seconds(3), seconds(1), load), Some(6.0));
        assert_eq!(history.mean(seconds(99), seconds(3), load), None);
        assert!(history.covers(seconds(4), seconds(4)));
        assert!(!with(&[]).covers(seconds(4), seconds(1)));
    }

    #[test]
    fn a_trend_is_a_rise_a_second() {
        let history = with(&[1.0, 3.0, 5.0, 7.0, 9.0]);
        let trend = history.trend(seconds(5), seconds(5), load);
        assert!((trend.slope - 2.0).abs() < 1e-9 && trend.error < 1e-6, "{trend:?}");
        assert_eq!(history.trend(seconds(5), seconds(2), load), Trend::default(), "two points are no trend");
    }

    #[test]
    fn what_is_old_out_of_order_or_no_number_is_left_out() {
        let mut history = with(&[1.0; 5]);
        history.push(Sample { in_flight: 9.0, ..Sample::quiet(seconds(3), 1) });
        history.push(Sample { in_flight: f64::NAN, ..Sample::quiet(seconds(6), 1) });
        assert_eq!(history.latest().map(|sample| sample.at), Some(seconds(5)));
        history.push(Sample::quiet(seconds(70), 1));
        assert_eq!(history.last(seconds(70), seconds(500)).count(), 1);
        assert_eq!(history.idle_for(seconds(70)), seconds(65));
    }

    #[test]
    fn the_number_of_samples_is_bounded() {
        let mut history = History::new(Duration::ZERO, Duration::MAX);
        (1..=SCALE_SAMPLES_MAX as u64 + 10)
            .for_each(|ms| history.push(Sample::quiet(Duration::from_millis(ms), 0)));
        assert_eq!(history.last(seconds(3600), seconds(3600)).count(), SCALE_SAMPLES_MAX);
    }
}
