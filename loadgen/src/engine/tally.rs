//! What one thread counts between two reports to the coordinator.
//!
//! A tally is moved, not shared: the thread fills one while the coordinator merges the last one and gives it
//! back empty. So nothing is locked, and nothing is sent a request.

use hdrhistogram::Histogram;

use crate::fault::{Cause, Fault};
use crate::result::distribution::empty_histogram;

/// How many nodes are told apart a thread; answers of further ones count as `(others)`.
const NODES_MAX: usize = 1000;
/// How many causes of failure are told apart.
const CAUSES_MAX: usize = 200;
/// Sends later than this after their intended time count as late.
pub const LATE_NS: u64 = 1_000_000;
/// One above the highest status code.
const STATUSES: usize = 1000;

/// Failures of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseCount {
    /// The cause.
    pub cause: Cause,
    /// How often.
    pub count: u64,
    /// First, from the start of the run.
    pub first_ns: u64,
    /// Last.
    pub last_ns: u64,
    /// One in full.
    pub example: String,
}

/// Plain sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names and meanings are those of result::Totals")]
pub struct Counts {
    pub scheduled: u64,
    pub sent: u64,
    pub completed: u64,
    pub bad_status: u64,
    pub failed: u64,
    pub late: u64,
    pub dropped: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connects: u64,
    /// Whole answers to requests of the warm-up.
    pub warm: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Plain sums.
    pub counts: Counts,
    /// Response times; stays empty in a closed loop, where they are the service times.
    pub response: Histogram<u64>,
    /// Service times.
    pub service: Histogram<u64>,
    /// Connect times.
    pub connect: Histogram<u64>,
    /// The generator's own lags.
    pub lag: Histogram<u64>,
    /// Answers by status code.
    pub statuses: Vec<u64>,
    /// Answers by node.
    pub nodes: Vec<(Box<[u8]>, u64)>,
    /// Failures by cause.
    pub causes: Vec<CauseCount>,
    /// The thread at the end of this tally.
    pub thread: ThreadState,
}

/// A thread's state at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadState {
    /// Which thread.
    pub index: usize,
    /// The moment, from the start of the run.
    pub at_ns: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// CPU time since the thread began.
    pub cpu_ns: u64,
    /// Of it, time spent waiting actively for the moment of a send.
    pub spun_ns: u64,
    /// Time since the thread began in which it was ready to run but had no core.
    pub starved_ns: u64,
    /// This is the thread's last tally.
    pub last: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            response: empty_histogram(),
            service: empty_histogram(),
            connect: empty_histogram(),
            lag: empty_histogram(),
            statuses: vec![0; STATUSES],
            nodes: Vec::new(),
            causes: Vec::new(),
            thread: ThreadState::default(),
        }
    }
}

impl Tally {
    /// Empties it, keeping its memory (and the names of the nodes).
    pub fn clear(&mut self) {
        self.counts = Counts::default();
        for histogram in [&mut self.response, &mut self.service, &mut self.connect, &mut self.lag] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
        self.statuses.fill(0);
        self.nodes.iter_mut().for_each(|(_, count)| *count = 0);
        self.causes.clear();
    }

    /// Counts an answer's status and node.
    pub fn count_answer(&mut self, status: u16, node: &[u8]) {
        if let Some(count) = self.statuses.get_mut(usize::from(status)) {
            *count += 1;
        }
        if !node.is_empty() {
            self.count_node(node);
        }
    }

    fn count_node(&mut self, node: &[u8]) {
        let place = self.nodes.iter().position(|(name, _)| **name == *node);
        if let Some(place) = place.or((self.nodes.len() > NODES_MAX).then_some(NODES_MAX)) {
            self.nodes[place].1 += 1;
            return;
        }
        let name = if self.nodes.len() < NODES_MAX { node } else { b"(others)" };
        self.nodes.push((name.into(), 1));
    }

    /// Counts a failure.
    pub fn count_fault(&mut self, at_ns: u64, fault: Fault) {
        self.count_faults(1, (at_ns, at_ns), fault);
    }

    /// Counts several failures of the same kind, with the times of the first and the last.
    pub fn count_faults(&mut self, count: u64, (first_ns, last_ns): (u64, u64), fault: Fault) {
        let known = self.causes.iter_mut().find(|known| known.cause == fault.cause);
        if let Some(known) = known {
            known.count += count;
            known.first_ns = known.first_ns.min(first_ns);
            known.last_ns = known.last_ns.max(last_ns);
        } else if self.causes.len() < CAUSES_MAX {
            let (cause, example) = (fault.cause, fault.detail);
            self.causes.push(CauseCount { cause, count, first_ns, last_ns, example });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_grouped_with_first_and_last_time() {
        let mut tally = Tally::default();
        for at in [5, 7, 9] {
            tally.count_fault(at, Fault::new(Cause::Reset, format!("at {at}")));
        }
        tally.count_fault(8, Fault::new(Cause::Status(503), ""));
        assert_eq!(tally.causes.len(), 2);
        let reset = &tally.causes[0];
        assert_eq!((reset.count, reset.first_ns, reset.last_ns, &*reset.example), (3, 5, 9, "at 5"));
    }

    #[test]
    fn nodes_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..NODES_MAX + 500 {
            tally.count_answer(200, format!("node-{number}").as_bytes());
        }
        assert_eq!(tally.nodes.len(), NODES_MAX + 1);
        assert_eq!(tally.nodes[NODES_MAX].1, 500);
        assert_eq!(tally.statuses[200], (NODES_MAX + 500) as u64);
    }

    #[test]
    fn a_cleared_tally_counts_from_zero() {
        let mut tally = Tally::default();
        tally.count_answer(200, b"a");
        tally.service.record(5).unwrap();
        tally.clear();
        assert_eq!((tally.statuses[200], tally.nodes[0].1, tally.service.len()), (0, 0, 0));
    }
}
