//! Starts of one backend's nodes: how long they take, and when to try again after they failed.

use std::time::Duration;

use crate::logic::limits::{START_RETRY_MAX, START_RETRY_MIN};

/// What is assumed of an image that was never started.
const FIRST_GUESS: Duration = Duration::from_secs(3);

/// The starts of one spec.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Starts {
    boot: Option<Duration>,
    failures: u32,
    /// Nodes in a row that came up and fell soon after.
    falls: u32,
    blocked_until: Option<Duration>,
}

impl Starts {
    /// A node took requests this long after it was ordered.
    pub fn succeeded(&mut self, took: Duration) {
        // A quarter of what is new: one slow start is no rule.
        self.boot = Some(self.boot.map_or(took, |before| (before * 3 + took) / 4));
        self.failures = 0;
        self.blocked_until = None;
    }

    /// A start failed: the next one waits, twice as long as the one before. Nodes that were started together fail
    /// together, and count once.
    pub fn failed(&mut self, now: Duration) {
        if !self.is_blocked(now) {
            self.failures = self.failures.saturating_add(1);
            self.block(now);
        }
    }

    /// A node took requests, and ended or failed soon after: the same, until one lasts.
    pub fn fell(&mut self, now: Duration) {
        if !self.is_blocked(now) {
            self.falls = self.falls.saturating_add(1);
            self.block(now);
        }
    }

    /// A node has served for a while.
    pub fn lasted(&mut self) {
        self.falls = 0;
    }

    /// Does the next start wait still?
    pub fn is_blocked(&self, now: Duration) -> bool {
        self.blocked_until.is_some_and(|until| until > now)
    }

    fn block(&mut self, now: Duration) {
        self.blocked_until = self.pause().map(|pause| now + pause);
    }

    /// Another image or an operator: what failed before says nothing any more.
    pub fn forgive(&mut self) {
        (self.failures, self.falls) = (0, 0);
        self.blocked_until = None;
    }

    /// How long a node takes to boot.
    pub fn boot(&self) -> Duration {
        self.boot.unwrap_or(FIRST_GUESS)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures.saturating_add(self.falls)
    }

    /// The pause after the last failure.
    pub fn pause(&self) -> Option<Duration> {
        let last = self.failures().checked_sub(1)?;
        Some(START_RETRY_MIN.saturating_mul(1 << last.min(16)).min(START_RETRY_MAX))
    }

    /// No start before then.
    pub fn blocked_until(&self) -> Option<Duration> {
        self.blocked_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_a_success() {
        let mut starts = Starts::default();
        let mut now = SECOND;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            starts.failed(now);
            let until = starts.blocked_until().unwrap();
            pauses.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        starts.succeeded(SECOND);
        assert_eq!((starts.failures(), starts.blocked_until(), starts.boot()), (0, None, SECOND));
    }

    #[test]
    fn falls_count_until_a_node_lasts() {
        let mut starts = Starts::default();
        starts.fell(SECOND);
        starts.succeeded(SECOND);
        assert_eq!((starts.failures(), starts.blocked_until()), (1, None));
        starts.fell(SECOND * 4);
        assert_eq!((starts.failures(), starts.blocked_until()), (2, Some(SECOND * 6)));
        starts.lasted();
        assert_eq!((starts.failures(), starts.pause()), (0, None));
    }

    #[test]
    fn nodes_that_fail_together_count_once() {
        let mut starts = Starts::default();
        (0..8).for_each(|_| starts.failed(SECOND));
        assert_eq!(starts.failures(), 1);
    }
}
