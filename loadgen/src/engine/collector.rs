//! Merges the tallies of all threads into seconds, sums and the live view. No I/O, no clock.

use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

use super::job::Job;
use super::second::{OpenSecond, add, merge};
use super::tally::{CauseCount, Counts, Tally, ThreadState};
use super::worker::TICK_NS;
use crate::fault::{Cause, Fault};
use crate::result::distribution::empty_histogram;
use crate::result::live::{Snapshot, Stage};
use crate::result::{Distribution, ErrorGroup, Second, Totals};

const SECOND_NS: u64 = 1_000_000_000;
/// A last second shorter than this is joined to the one before it: its rate would be noise.
const SLIVER_MS: u64 = 100;
/// Ticks in the window of the live view: one second.
const WINDOW: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Collector {
    open_loop: bool,
    warmup_ns: u64,
    end_ns: u64,
    requests: Option<u64>,
    curve: Option<crate::schedule::RateCurve>,
    counts: Counts,
    response: Histogram<u64>,
    service: Histogram<u64>,
    connect: Histogram<u64>,
    lag: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    nodes: BTreeMap<String, u64>,
    causes: Vec<CauseCount>,
    seconds: Vec<OpenSecond>,
    threads: Vec<ThreadTimes>,
    pages: VecDeque<Page>,
    label: String,
    opening: Option<String>,
}

/// A thread's states at the start of the measured part and last.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTimes {
    /// At the start.
    pub first: ThreadState,
    /// At the end.
    pub last: ThreadState,
}

/// One tick of the live view.
#[derive(Debug)]
struct Page {
    answers: u64,
    from_ns: u64,
    times: Histogram<u64>,
}

impl Collector {
    /// An empty collector for a job.
    #[must_use]
    pub fn new(job: &Job, threads: usize) -> Self {
        Self {
            open_loop: job.load.is_some(),
            warmup_ns: job.warmup_ns,
            end_ns: job.end_ns,
            requests: job.left.as_ref().map(|left| left.load(std::sync::atomic::Ordering::Relaxed)),
            curve: job.load.as_ref().map(|load| load.curve.clone()),
            counts: Counts::default(),
            response: empty_histogram(),
            service: empty_histogram(),
            connect: empty_histogram(),
            lag: empty_histogram(),
            statuses: BTreeMap::new(),
            nodes: BTreeMap::new(),
            causes: Vec::new(),
            seconds: Vec::new(),
            threads: vec![ThreadTimes::default(); threads],
            pages: VecDeque::from([Page::new(0)]),
            label: String::new(),
            opening: None,
        }
    }

    /// Names the run in the live view.
    pub fn set_label(&mut self, label: &str) {
        label.clone_into(&mut self.label);
    }

    /// Remembers connections that could not be opened before the run.
    pub fn note_opening(&mut self, open: usize, failed: usize, fault: Option<Fault>) {
        self.opening = fault.map(|fault| {
            let all = open + failed;
            format!("{failed} of {all} connections could not be opened before the run: {fault}.")
        });
    }

    /// The sentence about that, if there is one.
    #[must_use]
    pub fn opening_note(&self) -> Option<&str> {
        self.opening.as_deref()
    }

    /// Merges a tally.
    pub fn add(&mut self, tally: &Tally) {
        let times = if self.open_loop { &tally.response } else { &tally.service };
        self.counts.add(&tally.counts);
        add(&mut self.response, times);
        add(&mut self.service, &tally.service);
        add(&mut self.connect, &tally.connect);
        add(&mut self.lag, &tally.lag);
        if let Some(page) = self.pages.back_mut() {
            page.answers += tally.counts.completed + tally.counts.warm;
            add(&mut page.times, times);
        }
        self.add_names(tally);
        self.add_second(tally, times);
    }

    fn add_names(&mut self, tally: &Tally) {
        for (status, &count) in tally.statuses.iter().enumerate().filter(|&(_, &count)| count > 0) {
            *self.statuses.entry(status as u16).or_default() += count;
        }
        for (node, count) in tally.nodes.iter().filter(|(_, count)| *count > 0) {
            *self.nodes.entry(String::from_utf8_lossy(node).into_owned()).or_default() += count;
        }
        for cause in &tally.causes {
            match self.causes.iter_mut().find(|known| known.cause == cause.cause) {
                Some(known) => {
                    known.count += cause.count;
                    known.first_ns = known.first_ns.min(cause.first_ns);
                    known.last_ns = known.last_ns.max(cause.last_ns);
                }
                None => self.causes.push(cause.clone()),
            }
        }
    }

    /// A tally belongs to the second in which its middle lies: its end may be a little late.
    fn add_second(&mut self, tally: &Tally, times: &Histogram<u64>) {
        let state = tally.thread;
        let times_of_thread = &mut self.threads[state.index];
        let before = std::mem::replace(&mut times_of_thread.last, state);
        // The end of a run is not its beginning, however short it was.
        let measured =
            state.at_ns > self.warmup_ns && (state.last || state.at_ns >= self.warmup_ns + TICK_NS / 2);
        if !measured {
            times_of_thread.first = state;
        }
        let middle_ns = state.at_ns.saturating_sub(TICK_NS / 2);
        let index = (middle_ns.saturating_sub(self.warmup_ns) / SECOND_NS) as usize;
        let threads = self.threads.len();
        while self.seconds.len() <= index {
            if let Some(full) = self.seconds.len().checked_sub(2) {
                self.seconds[full].close();
            }
            self.seconds.push(OpenSecond::new(threads));
        }
        let second = &mut self.seconds[index];
        second.counts.add(&tally.counts);
        second.add_times(times);
        second.in_flight[state.index] = state.in_flight;
        second.worst_lag_ns = second.worst_lag_ns.max(tally.lag.max());
        if measured {
            second.cpu_ns += state.cpu_ns.saturating_sub(before.cpu_ns);
        }
    }

    /// Begins the next tick of the live view.
    pub fn turn_page(&mut self) {
        let now_ns = self.threads.first().map_or(0, |times| times.last.at_ns);
        self.pages.push_back(Page::new(now_ns));
        if self.pages.len() > WINDOW {
            self.pages.pop_front();
        }
    }

    /// The state of things.
    #[must_use]
    pub fn snapshot(&self, stage: Stage) -> Snapshot {
        let now_ns = self.threads.first().map_or(0, |times| times.last.at_ns);
        let measured_ns = now_ns.saturating_sub(self.warmup_ns);
        let mut recent = empty_histogram();
        self.pages.iter().for_each(|page| add(&mut recent, &page.times));
        let answers: u64 = self.pages.iter().map(|page| page.answers).sum();
        let from_ns = self.pages.front().map_or(0, |page| page.from_ns);
        let quantile = |q| if recent.is_empty() { 0 } else { recent.value_at_quantile(q) };
        Snapshot {
            stage,
            label: self.label.clone(),
            elapsed_ms: if stage == Stage::WarmUp { now_ns } else { measured_ns } / 1_000_000,
            progress: self.progress(measured_ns),
            target_rate: self.curve.as_ref().map(|curve| curve.rate_at(measured_ns as f64 / 1e9)),
            rate: answers as f64 * 1e9 / now_ns.saturating_sub(from_ns).max(1) as f64,
            completed: if stage == Stage::WarmUp { self.counts.warm } else { self.counts.completed },
            errors: self.counts.failed + self.counts.bad_status,
            in_flight: self.threads.iter().map(|times| times.last.in_flight).sum(),
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            max_ns: recent.max(),
            bytes_in: self.counts.bytes_in,
            top_error: self.top_cause().map_or_else(String::new, |cause| cause.cause.words()),
        }
    }

    fn progress(&self, measured_ns: u64) -> f64 {
        let planned_ns = self.end_ns - self.warmup_ns.min(self.end_ns);
        let by_time = measured_ns as f64 / planned_ns.max(1) as f64;
        let by_number = self.requests.map_or(0.0, |all| self.counts.sent as f64 / all.max(1) as f64);
        by_time.max(by_number).min(1.0)
    }

    fn top_cause(&self) -> Option<&CauseCount> {
        self.causes.iter().max_by_key(|cause| cause.count)
    }

    /// Sums of the measured part.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let counts = &self.counts;
        Totals {
            scheduled: counts.scheduled,
            sent: counts.sent,
            completed: counts.completed,
            bad_status: counts.bad_status,
            failed: counts.failed,
            late: counts.late,
            dropped: counts.dropped,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            connects: counts.connects,
        }
    }

    /// End of the last thread's work, from the start of the measured part.
    #[must_use]
    pub fn worked_ns(&self) -> u64 {
        let end_ns = self.threads.iter().map(|times| times.last.at_ns).max().unwrap_or(0);
        end_ns.saturating_sub(self.warmup_ns)
    }

    /// End of a measured part of this length, from the start of the run.
    #[must_use]
    pub fn end_ns(&self, elapsed_ns: u64) -> u64 {
        self.warmup_ns.saturating_add(elapsed_ns)
    }

    /// What the threads used.
    #[must_use]
    pub fn threads(&self) -> &[ThreadTimes] {
        &self.threads
    }

    /// Response times.
    #[must_use]
    pub fn response(&self) -> Distribution {
        Distribution::from_histogram(&self.response)
    }

    /// Service times.
    #[must_use]
    pub fn service(&self) -> Distribution {
        Distribution::from_histogram(&self.service)
    }

    /// Connect times.
    #[must_use]
    pub fn connect(&self) -> Distribution {
        Distribution::from_histogram(&self.connect)
    }

    /// The generator's own lags.
    #[must_use]
    pub fn lag(&self) -> &Histogram<u64> {
        &self.lag
    }

    /// Answers by status.
    #[must_use]
    pub fn statuses(&self) -> &BTreeMap<u16, u64> {
        &self.statuses
    }

    /// Answers by node.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<String, u64> {
        &self.nodes
    }

    /// Failures, most frequent first.
    #[must_use]
    pub fn errors(&self) -> Vec<ErrorGroup> {
        let offset_ms = |at_ns: u64| at_ns.saturating_sub(self.warmup_ns) / 1_000_000;
        let mut groups: Vec<ErrorGroup> = self
            .causes
            .iter()
            .map(|cause| ErrorGroup {
                cause: cause.cause.words(),
                count: cause.count,
                first_ms: offset_ms(cause.first_ns),
                last_ms: offset_ms(cause.last_ns),
                example: cause.example.clone(),
            })
            .collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cause.cmp(&b.cause)));
        groups
    }

    /// How often a cause of failure was counted.
    #[must_use]
    pub fn count_of(&self, cause: Cause) -> u64 {
        self.causes.iter().find(|known| known.cause == cause).map_or(0, |known| known.count)
    }

    /// The time axis of a measured part of this length.
    #[must_use]
    pub fn seconds(&self, elapsed_ms: u64) -> Vec<Second> {
        let count = elapsed_ms.saturating_sub(SLIVER_MS).div_ceil(1000).max(1) as usize;
        let mut seconds: Vec<Second> =
            self.seconds.iter().enumerate().map(|(index, second)| second.finish(index)).collect();
        // What arrived in a last sliver of time belongs to the second before it.
        while seconds.len() > count {
            let Some(sliver) = seconds.pop() else { break };
            if let Some(last) = seconds.last_mut() {
                merge(last, &sliver);
            }
        }
        while seconds.len() < count {
            seconds.push(Second { start_ms: seconds.len() as u64 * 1000, ..Second::default() });
        }
        for second in &mut seconds {
            second.length_ms = 1000;
        }
        if let Some(last) = seconds.last_mut() {
            last.length_ms = elapsed_ms.saturating_sub(last.start_ms).max(1);
        }
        for second in &mut seconds {
            second.cpu_percent = second.cpu_percent / second.length_ms as f64 / 1e4;
        }
        seconds
    }
}

impl Page {
    fn new(from_ns: u64) -> Self {
        Self { answers: 0, from_ns, times: empty_histogram() }
    }
}

impl Counts {
    /// Adds all fields.
    pub fn add(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.completed += other.completed;
        self.bad_status += other.bad_status;
        self.failed += other.failed;
        self.late += other.late;
        self.dropped += other.dropped;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.connects += other.connects;
        self.warm += other.warm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::tests::closed_job as job;
    use crate::honesty;

    /// A tally of ten answers that ends at a moment.
    fn tally(at_ns: u64, cpu_ns: u64) -> Tally {
        let mut tally = Tally::default();
        tally.thread = ThreadState { at_ns, cpu_ns, ..tally.thread };
        tally.counts.completed = 10;
        tally.service.record_n(1_000_000, 10).unwrap();
        tally
    }

    /// A thread serves run after run, so its CPU time does not begin at nothing.
    #[test]
    fn only_the_cpu_of_the_measured_part_counts() {
        for warmup_ns in [0, SECOND_NS] {
            let mut collector = Collector::new(&job(warmup_ns), 1);
            let before_ns = 50 * SECOND_NS;
            for tick in 0..=12 {
                // A little late, as ticks are, and with a tenth of a core.
                collector.add(&tally(tick * TICK_NS + tick * 1000, before_ns + tick * TICK_NS / 10));
            }
            let health = honesty::examine(&collector, 3 * SECOND_NS - warmup_ns);
            assert!((health.cpu_percent - 10.0).abs() < 0.1, "{}", health.cpu_percent);
            let seconds = collector.seconds(3000 - warmup_ns / 1_000_000);
            assert!(seconds.iter().all(|second| (second.cpu_percent - 10.0).abs() < 0.1), "{seconds:?}");
        }
    }

    /// With a few milliseconds of work there are two tallies, the one before it and the one after it.
    #[test]
    fn a_short_run_has_its_real_figures() {
        for warmup_ns in [0, SECOND_NS] {
            let mut collector = Collector::new(&job(warmup_ns), 1);
            collector.add(&tally(warmup_ns, 7 * SECOND_NS));
            let mut last = tally(warmup_ns + 60_000_000, 7 * SECOND_NS + 30_000_000);
            last.thread.last = true;
            collector.add(&last);
            let health = honesty::examine(&collector, 60_000_000);
            assert!((health.cpu_percent - 50.0).abs() < 0.1, "{}", health.cpu_percent);
            assert!((collector.seconds(60)[0].cpu_percent - 50.0).abs() < 0.1);
            // A plan that goes on when the last request is answered gives the thread nothing more to do.
            let health = honesty::examine(&collector, 600_000_000);
            assert!((health.busiest_thread_percent - 5.0).abs() < 0.1, "{}", health.busiest_thread_percent);
        }
    }

    #[test]
    fn seconds_have_no_gaps_and_lose_nothing() {
        let mut collector = Collector::new(&job(0), 1);
        for at_ns in [TICK_NS, 4 * TICK_NS, 13 * TICK_NS, 13 * TICK_NS + 20_000_000] {
            collector.add(&tally(at_ns, 0));
        }
        let seconds = collector.seconds(3270);
        assert_eq!(seconds.iter().map(|second| second.completed).collect::<Vec<_>>(), [20, 0, 0, 20]);
        assert_eq!(
            seconds.iter().map(|second| second.length_ms).collect::<Vec<_>>(),
            [1000, 1000, 1000, 270]
        );
        assert_eq!(seconds[3].response.count(), 20);
        let joined = collector.seconds(3050);
        assert_eq!(joined.iter().map(|second| second.completed).collect::<Vec<_>>(), [20, 0, 20]);
        assert_eq!((joined[2].length_ms, joined[2].response.count()), (1050, 20));
    }
}
