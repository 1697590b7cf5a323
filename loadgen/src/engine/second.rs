//! One second of the time axis while it is being counted.

use hdrhistogram::Histogram;

use super::tally::Counts;
use crate::result::distribution::empty_histogram;
use crate::result::{Distribution, Second};

/// A second that may still grow.
#[derive(Debug)]
pub(super) struct OpenSecond {
    pub(super) counts: Counts,
    pub(super) response: Histogram<u64>,
    pub(super) in_flight: Vec<u64>,
    pub(super) cpu_ns: u64,
    pub(super) worst_lag_ns: u64,
    kept: Option<Distribution>,
}

impl OpenSecond {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            counts: Counts::default(),
            response: empty_histogram(),
            in_flight: vec![0; threads],
            cpu_ns: 0,
            worst_lag_ns: 0,
            kept: None,
        }
    }

    /// Gives the histogram's memory back: a long run has many seconds.
    pub(super) fn close(&mut self) {
        if self.kept.is_none() {
            self.kept = Some(Distribution::from_histogram(&self.response));
            self.response = Histogram::new_with_bounds(1, 2, 1).expect("the smallest histogram is allowed");
        }
    }

    /// A straggler may come after the close.
    pub(super) fn add_times(&mut self, times: &Histogram<u64>) {
        match &mut self.kept {
            None => add(&mut self.response, times),
            Some(kept) => {
                let mut histogram = kept.to_histogram();
                add(&mut histogram, times);
                *kept = Distribution::from_histogram(&histogram);
            }
        }
    }

    /// `cpu_percent` is still nanoseconds: the length of the second is not known here.
    pub(super) fn finish(&self, index: usize) -> Second {
        let open = || Distribution::from_histogram(&self.response);
        Second {
            start_ms: index as u64 * 1000,
            length_ms: 1000,
            scheduled: self.counts.scheduled,
            sent: self.counts.sent,
            completed: self.counts.completed,
            errors: self.counts.failed + self.counts.bad_status,
            bytes_in: self.counts.bytes_in,
            bytes_out: self.counts.bytes_out,
            in_flight: self.in_flight.iter().sum(),
            cpu_percent: self.cpu_ns as f64,
            worst_lag_ns: self.worst_lag_ns,
            response: self.kept.clone().unwrap_or_else(open),
        }
    }
}

/// Joins a last sliver of time to the second before it.
pub(super) fn merge(into: &mut Second, from: &Second) {
    into.scheduled += from.scheduled;
    into.sent += from.sent;
    into.completed += from.completed;
    into.errors += from.errors;
    into.bytes_in += from.bytes_in;
    into.bytes_out += from.bytes_out;
    into.in_flight = from.in_flight;
    into.cpu_percent += from.cpu_percent;
    into.worst_lag_ns = into.worst_lag_ns.max(from.worst_lag_ns);
    let mut histogram = into.response.to_histogram();
    from.response.add_to(&mut histogram);
    into.response = Distribution::from_histogram(&histogram);
}

/// Adds a histogram of the one shape to another.
pub(super) fn add(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Most are empty most of the time, and their buckets are many.
    if !from.is_empty() {
        into.add(from).expect("all histograms have the same bounds");
    }
}
