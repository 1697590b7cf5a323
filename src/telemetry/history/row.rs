//! One step of a series.

use crate::telemetry::cells::Cells;
use crate::telemetry::ledger::{Classes, Pending};

/// What is known of a name at the end of a second.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Requests that ended, by the class of their status.
    pub classes: Classes,
    /// How many; more than `classes` holds where the statuses are not known (nodes).
    count: u64,
    /// How long they took.
    pub whole: Cells,
    /// In flight now.
    pub in_flight: u64,
    /// Waiting for a node now.
    pub queued: u64,
    /// How busy its machine is.
    pub cpu_percent: Option<f64>,
}

impl Sample {
    /// Of the requests of a second.
    pub fn new(pending: &Pending, in_flight: u64, queued: u64, cpu_percent: Option<f64>) -> Self {
        let count = pending.classes.sum().max(pending.whole.count());
        Self { classes: pending.classes, count, whole: pending.whole.clone(), in_flight, queued, cpu_percent }
    }

    /// Requests that ended.
    pub fn requests(&self) -> u64 {
        self.count
    }

    /// Adds the next second of the same minute: counts add up, gauges are the newer ones.
    pub fn join(&mut self, next: &Self) {
        self.classes += next.classes;
        self.count += next.count;
        self.whole.join(&next.whole);
        self.in_flight = next.in_flight;
        self.queued = next.queued;
        self.cpu_percent = next.cpu_percent;
    }
}

/// A sample as it is kept: counts saturate at 4 billion a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    requests: u32,
    classes: [u32; 6],
    /// 0 is none.
    p50_us: u32,
    p99_us: u32,
    p999_us: u32,
    /// In flight at the end of the step.
    pub in_flight: u32,
    /// Waiting at the end of the step.
    pub queued: u32,
    /// Hundredths of a percent; `u16::MAX` is none.
    cpu: u16,
    /// Bucket in the high byte, count in the others: it saturates at 16 million a bucket and step.
    heat: Box<[u32]>,
}

const COUNT_BITS: u32 = 24;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
const CPU_NONE: u16 = u16::MAX;

impl Row {
    /// Keeps a sample.
    pub fn of(sample: &Sample) -> Self {
        let quantiles = sample.whole.quantiles();
        let us = |of: fn(&crate::telemetry::window::Quantiles) -> u64| {
            quantiles.as_ref().map_or(0, |quantiles| narrow(of(quantiles)))
        };
        let heat = sample.whole.heat();
        Self {
            requests: narrow(sample.requests()),
            classes: sample.classes.as_array().map(narrow),
            p50_us: us(|quantiles| quantiles.p50_us),
            p99_us: us(|quantiles| quantiles.p99_us),
            p999_us: us(|quantiles| quantiles.p999_us),
            in_flight: narrow(sample.in_flight),
            queued: narrow(sample.queued),
            // From 0 to 655 percent, whatever an agent says.
            cpu: sample
                .cpu_percent
                .map_or(CPU_NONE, |percent| (percent * 100.0).clamp(0.0, f64::from(CPU_NONE - 1)) as u16),
            heat: heat
                .iter()
                .map(|&(bucket, count)| (u32::from(bucket) << COUNT_BITS) | count.min(COUNT_MAX))
                .collect(),
        }
    }

    /// Requests that ended in the step.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// By class, in the order of [`Classes`].
    pub fn classes(&self) -> [u32; 6] {
        self.classes
    }

    /// p50, p99 and p99.9 in microseconds.
    pub fn quantiles_us(&self) -> [Option<u32>; 3] {
        [self.p50_us, self.p99_us, self.p999_us].map(|us| (us > 0).then_some(us))
    }

    /// How busy the machine was.
    pub fn cpu_percent(&self) -> Option<f64> {
        (self.cpu != CPU_NONE).then(|| f64::from(self.cpu) / 100.0)
    }

    /// Buckets and counts.
    pub fn heat(&self) -> impl Iterator<Item = (u32, u32)> {
        self.heat.iter().map(|cell| (cell >> COUNT_BITS, cell & COUNT_MAX))
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::report::new_durations;

    #[test]
    fn a_row_gives_back_what_the_sample_was() {
        let mut durations = new_durations();
        durations.record_n(700, 3).unwrap();
        durations.record_n(90_000_000, 1).unwrap();
        let classes = Classes { success: 3, server_error: 1, ..Classes::default() };
        let pending = Pending { classes, whole: Cells::of(&durations) };
        let row = Row::of(&Sample::new(&pending, 7, 8, Some(12.5)));
        assert_eq!((row.requests(), row.classes()), (4, [0, 0, 3, 0, 0, 1]));
        assert_eq!((row.in_flight, row.queued, row.cpu_percent()), (7, 8, Some(12.5)));
        assert_eq!(row.heat().collect::<Vec<_>>(), [(8, 3), (41, 1)]);
        assert!(row.quantiles_us()[0].unwrap().abs_diff(700) < 8);
        let empty = Row::of(&Sample::default());
        assert_eq!((empty.quantiles_us(), empty.cpu_percent()), ([None; 3], None));
    }

    #[test]
    fn numbers_beyond_all_bounds_saturate() {
        let classes = Classes { none: u64::MAX / 2, ..Classes::default() };
        let pending = Pending { classes, whole: Cells::default() };
        let row = Row::of(&Sample::new(&pending, u64::MAX, 0, Some(1e9)));
        assert_eq!((row.requests(), row.in_flight), (u32::MAX, u32::MAX));
        assert_eq!(row.cpu_percent(), Some(655.34));
    }
}
