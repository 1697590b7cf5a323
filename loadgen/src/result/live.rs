//! How a run shows itself while it goes: the engine calls an [`Observer`] a few times a second.

use super::RunResult;

/// Somebody who watches a run. Called on the coordinating thread, never on one that sends, so it may write
/// to a terminal; but it should come back within some milliseconds.
pub trait Observer {
    /// The state of things, each 250 ms.
    fn snapshot(&mut self, snapshot: &Snapshot);

    /// A line worth keeping (a step of `--find-max` ended, an event of the balancer): print it for good.
    fn note(&mut self, line: &str);

    /// The run is over: wipe the progress bar; the final table follows. Called once a run, thus several times
    /// with `--find-max`.
    fn finished(&mut self, result: &RunResult);
}

/// An observer that shows nothing (`--quiet`, tests).
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn snapshot(&mut self, _: &Snapshot) {}
    fn note(&mut self, _: &str) {}
    fn finished(&mut self, _: &RunResult) {}
}

/// The part of the run that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Connections are being opened.
    #[default]
    Connecting,
    /// Load flows, but is not counted.
    WarmUp,
    /// The measured part.
    Measuring,
    /// The plan has ended; the last answers are awaited.
    Draining,
}

/// The state of a run at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The part under way.
    pub stage: Stage,
    /// `1/12: 4000/s` within `--find-max`, else empty.
    pub label: String,
    /// Time since the start of the part under way.
    pub elapsed_ms: u64,
    /// How much of the measured part is done, 0 to 1.
    pub progress: f64,
    /// Planned rate at this moment; `None` in a closed loop.
    pub target_rate: Option<f64>,
    /// Whole answers a second, over the last second.
    pub rate: f64,
    /// Whole answers so far (the measured part; the warm-up while it lasts).
    pub completed: u64,
    /// Failures so far: no whole answer, or a bad status.
    pub errors: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Median response time over the last second; 0 when there was no answer.
    pub p50_ns: u64,
    /// 99th percentile over the last second.
    pub p99_ns: u64,
    /// Highest over the last second.
    pub max_ns: u64,
    /// Bytes read so far.
    pub bytes_in: u64,
    /// The most frequent cause of failure so far, or empty.
    pub top_error: String,
}
