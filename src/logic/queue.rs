//! Where requests wait while every node is at its limit: how many, for how long, and who is next.
//!
//! A queue is there for bursts. As long as it runs empty now and then, the one that came first is served first, and nobody
//! is turned away who can be served in time. A queue that has not been empty for a whole `timeout` is *standing*: more
//! comes than can be served, and every place in it only makes everybody wait. Then it is kept as short as keeps the
//! nodes busy (what drains in [`QUEUE_STANDING_TARGET`], as CoDel keeps a delay below its target; Nichols and Jacobson
//! 2012), and the rest is refused at once. What was let in before that is still served in its order.
//!
//! A short queue before nodes so slow that not even it can be served in time is served newest first: its client is the
//! most likely to be there still. Elsewhere that would only leave those at the bottom behind until their timeout: at three
//! times the capacity, it kept one refusal in sixty waiting for all of it.

use std::time::Duration;

use super::limits::{
    DRAIN_GRANTS_MIN, DRAIN_WINDOW, QUEUE_MAX_DEFAULT, QUEUE_STANDING_MIN, QUEUE_STANDING_TARGET,
    QUEUE_TIMEOUT_DEFAULT,
};

/// `queue:` of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// Requests that may wait.
    pub max: u32,
    /// For how long.
    pub timeout: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { max: QUEUE_MAX_DEFAULT, timeout: QUEUE_TIMEOUT_DEFAULT }
    }
}

/// A queue as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Requests that wait.
    pub waiting: u32,
    /// For how long it has not been empty, in milliseconds.
    pub busy_ms: u64,
    /// Places that become free in a second; `None` where that was not measured yet.
    pub drain_per_s: Option<f64>,
}

/// Who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The one that came first.
    Oldest,
    /// The one that came last.
    Newest,
}

impl QueueSettings {
    /// May one more wait?
    pub fn admits(&self, queue: &Standing) -> bool {
        if queue.waiting >= self.max {
            return false;
        }
        if queue.waiting < QUEUE_STANDING_MIN {
            return true;
        }
        match queue.drain_per_s {
            _ if self.is_standing(queue) => queue.waiting < standing_max(queue.drain_per_s),
            Some(drain_per_s) => self.drains_in_time(queue.waiting + 1, drain_per_s),
            None => true,
        }
    }

    /// Who gets the place that is free.
    pub fn order(&self, queue: &Standing) -> Order {
        let drain_per_s = queue.drain_per_s;
        let short = queue.waiting <= standing_max(drain_per_s);
        let in_time = self.drains_in_time(queue.waiting, drain_per_s.unwrap_or(0.0));
        if self.is_standing(queue) && short && !in_time { Order::Newest } else { Order::Oldest }
    }

    /// Four fifths of the time that there is: what is measured is not what will be.
    fn drains_in_time(&self, waiting: u32, drain_per_s: f64) -> bool {
        f64::from(waiting) <= drain_per_s * self.timeout.as_secs_f64() * 0.8
    }

    fn is_standing(&self, queue: &Standing) -> bool {
        u128::from(queue.busy_ms) > self.timeout.as_millis()
    }
}

/// The length of a standing queue.
fn standing_max(drain_per_s: Option<f64>) -> u32 {
    let busy = drain_per_s.unwrap_or(0.0) * QUEUE_STANDING_TARGET.as_secs_f64();
    // A float becomes the nearest number that there is; not-a-number becomes 0.
    (busy as u32).max(QUEUE_STANDING_MIN)
}

/// Seconds after which those who wait now will have been served: `retry-after` for one that is refused. From 1 to 60.
pub fn retry_after_s(queue: &Standing) -> u32 {
    match queue.drain_per_s {
        Some(drain_per_s) if drain_per_s > 0.0 => {
            ((f64::from(queue.waiting) / drain_per_s).ceil() as u32).clamp(1, 60)
        }
        _ => 1,
    }
}

/// Measures how fast places become free, from a counter of those that were handed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct DrainRate {
    since_ms: u64,
    granted: u64,
    per_s: Option<f64>,
}

impl DrainRate {
    /// Takes a reading: `granted` places were handed over until `now_ms`, and the queue has not been empty since
    /// `busy_since_ms`. Time in which nobody waited says nothing of how fast places become free.
    pub fn observe(
        &mut self,
        granted: u64,
        now_ms: u64,
        busy_since_ms: u64,
        timeout: Duration,
    ) -> Option<f64> {
        if busy_since_ms > self.since_ms || now_ms < self.since_ms {
            (self.since_ms, self.granted) = (busy_since_ms.min(now_ms), granted);
        }
        let (elapsed_ms, more) = (now_ms - self.since_ms, granted.saturating_sub(self.granted));
        let enough = u128::from(elapsed_ms) >= DRAIN_WINDOW.as_millis() && more >= DRAIN_GRANTS_MIN;
        if enough || u128::from(elapsed_ms) >= timeout.as_millis().max(1) {
            self.per_s = Some(more as f64 * 1000.0 / elapsed_ms as f64);
            (self.since_ms, self.granted) = (now_ms, granted);
        }
        self.per_s
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const QUEUE: QueueSettings = QueueSettings { max: 1000, timeout: Duration::from_secs(1) };

    /// A queue before nodes that serve `capacity` requests a second, one by one, under arrivals at `rate` a second for
    /// `seconds`. Returns the waits of those served, of those that timed out, and how many were refused at once.
    struct Run {
        served_ms: Vec<u64>,
        timed_out: usize,
        refused: usize,
    }

    fn run(queue: QueueSettings, capacity: u64, rate: u64, seconds: u64) -> Run {
        let timeout_ms = u64::try_from(queue.timeout.as_millis()).unwrap();
        let (mut waiting, mut drain) = (VecDeque::<u64>::new(), DrainRate::default());
        let (mut granted, mut busy_since_ms, mut credit, mut due) = (0, 0, 0, 0);
        let mut run = Run { served_ms: Vec::new(), timed_out: 0, refused: 0 };
        for now_ms in 0..seconds * 1000 {
            let standing =
                |waiting: &VecDeque<u64>, drain: &mut DrainRate, granted, busy_since_ms| Standing {
                    waiting: u32::try_from(waiting.len()).unwrap(),
                    busy_ms: if waiting.is_empty() { 0 } else { now_ms - busy_since_ms },
                    drain_per_s: drain.observe(granted, now_ms, busy_since_ms, queue.timeout),
                };
            due += rate;
            for _ in 0..due / 1000 {
                let now = standing(&waiting, &mut drain, granted, busy_since_ms);
                if !queue.admits(&now) {
                    run.refused += 1;
                    continue;
                }
                if waiting.is_empty() {
                    busy_since_ms = now_ms;
                }
                waiting.push_back(now_ms);
            }
            due %= 1000;
            while waiting.front().is_some_and(|&since| since + timeout_ms <= now_ms) {
                waiting.pop_front();
                run.timed_out += 1;
            }
            credit = if waiting.is_empty() { 0 } else { credit + capacity };
            while credit >= 1000 && !waiting.is_empty() {
                credit -= 1000;
                let now = standing(&waiting, &mut drain, granted, busy_since_ms);
                let since = match queue.order(&now) {
                    Order::Oldest => waiting.pop_front(),
                    Order::Newest => waiting.pop_back(),
                };
                run.served_ms.push(now_ms - since.unwrap());
                granted += 1;
            }
        }
        run
    }

    #[test]
    fn three_times_the_capacity_is_served_at_capacity_and_the_rest_is_refused_at_once() {
        let mut run = run(QUEUE, 500, 1500, 20);
        run.served_ms.sort_unstable();
        let (served, p99) = (run.served_ms.len(), run.served_ms[run.served_ms.len() * 99 / 100]);
        assert!(served >= 9_900, "{served} of 10000");
        assert!(p99 <= 1000, "{p99} ms");
        // Nobody is left behind at the bottom of it until the timeout.
        assert!(run.refused > 19_000 && run.timed_out == 0, "{} late, {}", run.timed_out, run.refused);
        // Once it stands, waits are those of a short queue.
        assert!(run.served_ms[served / 2] < 100, "{} ms", run.served_ms[served / 2]);
    }

    #[test]
    fn a_burst_that_can_be_served_in_time_is_served_whole_and_in_order() {
        let waiting = |waiting| Standing { waiting, busy_ms: 500, drain_per_s: Some(1000.0) };
        assert!(QUEUE.admits(&waiting(700)));
        assert!(!QUEUE.admits(&waiting(900)));
        assert_eq!(QUEUE.order(&waiting(700)), Order::Oldest);
    }

    #[test]
    fn a_standing_queue_is_served_newest_first_only_where_not_even_it_is_served_in_time() {
        let standing = |drain_per_s| Standing { waiting: 16, busy_ms: 1001, drain_per_s };
        assert_eq!(QUEUE.order(&standing(Some(600.0))), Order::Oldest);
        assert_eq!(QUEUE.order(&standing(Some(10.0))), Order::Newest);
        assert_eq!(QUEUE.order(&standing(None)), Order::Newest);
        assert_eq!(QUEUE.order(&Standing { busy_ms: 1000, ..standing(Some(10.0)) }), Order::Oldest);
    }

    #[test]
    fn no_queue_at_all_admits_nobody() {
        let none = QueueSettings { max: 0, ..QUEUE };
        assert!(!none.admits(&Standing { waiting: 0, busy_ms: 0, drain_per_s: None }));
    }

    #[test]
    fn nodes_that_hang_stop_the_queue_from_growing() {
        let run = run(QUEUE, 0, 100, 10);
        // A second's worth until nothing was seen to drain; then the few that find out whether it still hangs.
        assert!(run.timed_out < 100 + 10 * QUEUE_STANDING_MIN as usize, "{}", run.timed_out);
        assert!(run.refused > 700, "{}", run.refused);
    }

    #[test]
    fn the_wait_of_those_refused_is_measured() {
        let queue = |waiting, drain_per_s| Standing { waiting, busy_ms: 0, drain_per_s };
        assert_eq!(retry_after_s(&queue(1000, Some(100.0))), 10);
        assert_eq!(retry_after_s(&queue(1, Some(100.0))), 1);
        assert_eq!(retry_after_s(&queue(1000, Some(0.001))), 60);
        assert_eq!(retry_after_s(&queue(1000, None)), 1);
    }

    #[test]
    fn idle_time_is_no_part_of_the_rate() {
        let mut drain = DrainRate::default();
        drain.observe(0, 0, 0, QUEUE.timeout);
        assert_eq!(drain.observe(50, 500, 0, QUEUE.timeout), Some(100.0));
        // Empty for an hour, then 20 in 200 ms.
        let again = 3_600_000;
        drain.observe(50, again, again, QUEUE.timeout);
        assert_eq!(drain.observe(70, again + 200, again, QUEUE.timeout), Some(100.0));
    }

    proptest! {
        /// Below capacity nobody is refused, whatever the numbers.
        #[test]
        fn below_capacity_all_are_served(capacity in 50_u64..2000, share in 1_u64..90) {
            let rate = capacity * share / 100;
            let run = run(QUEUE, capacity, rate, 5);
            prop_assert_eq!(run.refused + run.timed_out, 0);
        }

        /// Above it, the nodes are never idle for the queue's sake, and nobody served has waited beyond the timeout.
        #[test]
        fn above_capacity_no_place_is_lost(capacity in 50_u64..2000, factor in 2_u64..10, timeout_ms in 100_u64..3000) {
            let queue = QueueSettings { max: 1000, timeout: Duration::from_millis(timeout_ms) };
            let run = run(queue, capacity, capacity * factor, 10);
            prop_assert!(run.served_ms.len() as u64 * 100 >= capacity * 10 * 95, "{} of {}", run.served_ms.len(), capacity * 10);
            prop_assert!(run.served_ms.iter().all(|&wait| wait <= timeout_ms));
        }

        #[test]
        fn any_reading_is_survived(readings in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..20)) {
            let mut drain = DrainRate::default();
            for (granted, now_ms, busy) in readings {
                let rate = drain.observe(granted, now_ms, busy, QUEUE.timeout);
                let queue = Standing { waiting: 100, busy_ms: busy, drain_per_s: rate };
                let _ = (QUEUE.admits(&queue), QUEUE.order(&queue), retry_after_s(&queue));
            }
        }
    }
}
