//! What all tasks of one thread share: the clock, the tally, the end of the run.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::job::Job;
use super::seat::Order;
use super::tally::{LATE_NS, Tally};
use crate::dialogue::Head;
use crate::fault::{Cause, Fault};
use crate::result::distribution::HIGHEST_NS;

/// The system may wake a sleeper this late; the rest before the start is waited for actively.
const WAKE: Duration = Duration::from_micros(200);

/// See the module.
#[derive(Debug)]
pub struct Context {
    /// The run.
    pub job: Arc<Job>,
    /// Which of its threads this is.
    pub thread: usize,
    epoch: Cell<Instant>,
    tally: RefCell<Box<Tally>>,
    in_flight: Cell<u64>,
    spun_ns: Cell<u64>,
    moves: Cell<u64>,
    stopping: Cell<bool>,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// What was ordered.
    pub order: Order,
    /// When it was begun.
    pub at_ns: u64,
    /// It counts: it was intended after the warm-up.
    measured: bool,
}

impl Context {
    /// A thread's share of a run.
    #[must_use]
    pub fn new(job: Arc<Job>, thread: usize) -> Self {
        Self {
            job,
            thread,
            epoch: Cell::new(Instant::now()),
            tally: RefCell::default(),
            in_flight: Cell::default(),
            spun_ns: Cell::default(),
            moves: Cell::default(),
            stopping: Cell::default(),
        }
    }

    /// Sets the zero of the clock, which still lies ahead: until then it stands.
    pub fn set_zero(&self, epoch: Instant) {
        self.epoch.set(epoch);
    }

    /// Waits for the zero of the clock, with all that the thread has to do: what was sent before would have its time
    /// cut short.
    pub fn await_zero(&self) {
        let left = self.epoch.get().saturating_duration_since(Instant::now());
        std::thread::sleep(left.saturating_sub(WAKE));
        let from = Instant::now();
        while Instant::now() < self.epoch.get() {
            std::hint::spin_loop();
        }
        self.spun(from.elapsed().as_nanos() as u64);
    }

    /// Nanoseconds since the start of the run.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.epoch.get().elapsed().as_nanos() as u64
    }

    /// Counts time that the thread was awake for nothing but the next send.
    pub fn spun(&self, took_ns: u64) {
        self.spun_ns.set(self.spun_ns.get() + took_ns);
    }

    /// Counts on with every request that begins or ends: where it stands still, the thread had nothing to do.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves.get()
    }

    /// No further request is to be begun.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// Whether no further request is to be begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Takes one measured request out of those that are left (`-n`, closed loop).
    #[must_use]
    pub fn may_begin(&self, now_ns: u64) -> bool {
        let Some(left) = self.job.left.as_ref().filter(|_| now_ns >= self.job.warmup_ns) else {
            return true;
        };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Counts a request as begun.
    pub fn begin(&self, order: Order) -> Begun {
        let at_ns = self.now_ns();
        let measured = order.intended_ns >= self.job.warmup_ns;
        self.in_flight.set(self.in_flight.get() + 1);
        self.moves.set(self.moves.get() + 1);
        if measured {
            self.count_begun(&order, at_ns);
        }
        Begun { order, at_ns, measured }
    }

    fn count_begun(&self, order: &Order, at_ns: u64) {
        let mut tally = self.tally.borrow_mut();
        tally.counts.sent += 1;
        if self.job.load.is_none() {
            tally.counts.scheduled += 1;
            return;
        }
        tally.counts.late += u64::from(at_ns - order.intended_ns.min(at_ns) > LATE_NS);
        tally.lag.saturating_record(at_ns.saturating_sub(order.possible_ns).max(1));
    }

    /// Counts a whole answer.
    pub fn answered(&self, begun: Begun, head: Option<&Head>) {
        let now_ns = self.ended(begun);
        let mut tally = self.tally.borrow_mut();
        if !begun.measured {
            tally.counts.warm += 1;
            return;
        }
        tally.counts.completed += 1;
        self.record_times(&mut tally, begun, now_ns);
        let Some(head) = head else { return };
        tally.count_answer(head.status, &head.node);
        if !self.job.is_ok(head.status) {
            tally.counts.bad_status += 1;
            tally.count_fault(now_ns, Fault::new(Cause::Status(head.status), ""));
        }
    }

    /// Counts a request without a whole answer. One that timed out leaves the time that it had waited.
    pub fn failed(&self, begun: Begun, fault: Fault) {
        let now_ns = self.ended(begun);
        if !begun.measured {
            return;
        }
        let mut tally = self.tally.borrow_mut();
        if matches!(fault.cause, Cause::Timeout | Cause::ConnectTimeout) {
            self.record_times(&mut tally, begun, now_ns);
        }
        tally.counts.failed += 1;
        tally.count_fault(now_ns, fault);
    }

    fn ended(&self, _: Begun) -> u64 {
        self.in_flight.set(self.in_flight.get() - 1);
        self.moves.set(self.moves.get() + 1);
        self.now_ns()
    }

    fn record_times(&self, tally: &mut Tally, begun: Begun, now_ns: u64) {
        let span = |from_ns: u64| now_ns.saturating_sub(from_ns).clamp(1, HIGHEST_NS);
        tally.service.saturating_record(span(begun.at_ns));
        if self.job.load.is_some() {
            tally.response.saturating_record(span(begun.order.intended_ns));
        }
    }

    /// Counts a request that was due but never begun. It leaves the time that it had waited. False when it
    /// does not count.
    #[must_use]
    pub fn dropped(&self, intended_ns: u64) -> bool {
        let measured = intended_ns >= self.job.warmup_ns;
        if measured {
            let waited_ns = self.now_ns().saturating_sub(intended_ns);
            let mut tally = self.tally.borrow_mut();
            tally.counts.dropped += 1;
            tally.response.saturating_record(waited_ns.clamp(1, HIGHEST_NS));
        }
        measured
    }

    /// Enters the cause of dropped requests: how many there were, and when the first and the last were due.
    pub fn blame_dropped(&self, count: u64, due_ns: (u64, u64)) {
        if count > 0 {
            let fault = Fault::new(Cause::NeverSent, "no connection was free");
            self.tally.borrow_mut().count_faults(count, due_ns, fault);
        }
    }

    /// Counts requests that came due.
    pub fn scheduled(&self, count: u64) {
        self.tally.borrow_mut().counts.scheduled += count;
    }

    /// Counts an opened connection.
    pub fn connected(&self, took_ns: u64) {
        let mut tally = self.tally.borrow_mut();
        tally.counts.connects += 1;
        tally.connect.saturating_record(took_ns.clamp(1, HIGHEST_NS));
    }

    /// Counts bytes of measured requests.
    pub fn moved(&self, begun: &Begun, bytes_in: u64, bytes_out: u64) {
        if begun.measured {
            let mut tally = self.tally.borrow_mut();
            tally.counts.bytes_in += bytes_in;
            tally.counts.bytes_out += bytes_out;
        }
    }

    /// Exchanges the tally for an empty one.
    #[must_use]
    pub fn take_tally(&self, empty: Box<Tally>) -> Box<Tally> {
        let mut tally = self.tally.replace(empty);
        tally.thread.index = self.thread;
        tally.thread.at_ns = self.now_ns();
        tally.thread.in_flight = self.in_flight.get();
        tally.thread.spun_ns = self.spun_ns.get();
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::tests::closed_job;

    /// A thread that went on at once would read a clock that stands at nothing until its zero.
    #[test]
    fn the_clock_runs_when_the_start_is_over() {
        let context = Context::new(Arc::new(closed_job(0)), 0);
        let epoch = Instant::now() + Duration::from_millis(5);
        context.set_zero(epoch);
        assert_eq!(context.now_ns(), 0);
        context.await_zero();
        assert!(Instant::now() >= epoch && context.now_ns() > 0);
    }
}
