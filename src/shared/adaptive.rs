//! What all workers see of a node together, for its adaptive limit (see `logic::concurrency`).

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::logic::concurrency::{AdaptiveSettings, Estimate, Window, is_enough};
use crate::logic::limits::ADAPTIVE_WINDOW;

/// The counts of one window, and the limit that came of those before.
///
/// A worker whose answer finds a window over closes it: it alone, because it alone moves the window's beginning. An
/// answer that is counted in that moment may fall between two windows, which changes no mean by much.
#[derive(Debug)]
pub struct Adaptive {
    began: Instant,
    /// The bounds in one word, which a reload changes: the lower one above the higher; 0 where nothing is found out.
    bounds: AtomicU64,
    limit: AtomicU32,
    window: CachePadded<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    since_us: AtomicU64,
    requests: AtomicU64,
    sum_us: AtomicU64,
    idle_requests: AtomicU64,
    idle_sum_us: AtomicU64,
    in_flight_most: AtomicU32,
    /// The estimate: two floats as bits, written by whoever closes a window.
    idle_us: AtomicU64,
    limit: AtomicU64,
}

impl Adaptive {
    /// Of a node of which nothing is known.
    pub fn new(settings: AdaptiveSettings) -> Self {
        Self {
            began: Instant::now(),
            bounds: AtomicU64::new(word_of(settings)),
            limit: AtomicU32::new(u32::MAX),
            window: CachePadded::default(),
        }
    }

    /// Stays between these bounds from now on, with all that was learned so far; `None` finds out nothing more.
    pub fn set(&self, settings: Option<AdaptiveSettings>) {
        self.bounds.store(settings.map_or(0, word_of), Relaxed);
        let Some(AdaptiveSettings { min, max }) = settings else { return };
        let bounded = |limit: u32| (limit != u32::MAX).then(|| limit.clamp(min, max.max(min)));
        let _ = self.limit.fetch_update(Relaxed, Relaxed, bounded);
    }

    /// The bounds; `None` where nothing is found out.
    pub fn settings(&self) -> Option<AdaptiveSettings> {
        let word = self.bounds.load(Relaxed);
        let [min, max] = [(word >> 32) as u32, word as u32];
        (word != 0).then_some(AdaptiveSettings { min, max })
    }

    /// Requests that the node may have in flight now.
    pub fn in_flight_max(&self) -> u32 {
        match self.settings() {
            Some(_) => self.limit.load(Relaxed),
            None => u32::MAX,
        }
    }

    /// The node has answered. `in_flight`: how many there were on it when this request began, itself too.
    pub fn answered(&self, took_us: u64, in_flight: u32) {
        let window = &*self.window;
        window.requests.fetch_add(1, Relaxed);
        window.sum_us.fetch_add(took_us, Relaxed);
        if in_flight <= 1 {
            window.idle_requests.fetch_add(1, Relaxed);
            window.idle_sum_us.fetch_add(took_us, Relaxed);
        }
        window.in_flight_most.fetch_max(in_flight, Relaxed);
        self.close_if_over();
    }

    fn close_if_over(&self) {
        let window = &*self.window;
        let now_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let since_us = window.since_us.load(Acquire);
        let Some(settings) = self.settings() else { return };
        let is_over = u128::from(now_us.saturating_sub(since_us)) >= ADAPTIVE_WINDOW.as_micros();
        if !is_over || !is_enough(window.requests.load(Relaxed)) {
            return;
        }
        // Acquire and release: who closes the next one sees the estimate that this one leaves.
        if window.since_us.compare_exchange(since_us, now_us, AcqRel, Relaxed).is_err() {
            return;
        }
        let seen = Window {
            requests: window.requests.swap(0, Relaxed),
            sum_us: window.sum_us.swap(0, Relaxed),
            idle_requests: window.idle_requests.swap(0, Relaxed),
            idle_sum_us: window.idle_sum_us.swap(0, Relaxed),
            in_flight_most: window.in_flight_most.swap(0, Relaxed),
        };
        let before = Estimate {
            idle_us: f64::from_bits(window.idle_us.load(Acquire)),
            limit: f64::from_bits(window.limit.load(Acquire)),
        };
        let after = before.after(&seen, settings);
        window.idle_us.store(after.idle_us.to_bits(), Release);
        window.limit.store(after.limit.to_bits(), Release);
        self.limit.store(after.in_flight_max(), Relaxed);
    }
}

fn word_of(AdaptiveSettings { min, max }: AdaptiveSettings) -> u64 {
    u64::from(min) << 32 | u64::from(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_bounds_hold_at_once_and_none_is_no_limit() {
        let adaptive = Adaptive::new(AdaptiveSettings { min: 1, max: 1000 });
        assert_eq!(adaptive.in_flight_max(), u32::MAX, "nothing was learned yet");
        adaptive.limit.store(400, Relaxed);
        adaptive.set(Some(AdaptiveSettings { min: 2, max: 50 }));
        assert_eq!(adaptive.in_flight_max(), 50);
        assert_eq!(adaptive.settings(), Some(AdaptiveSettings { min: 2, max: 50 }));
        adaptive.set(Some(AdaptiveSettings { min: 80, max: 90 }));
        assert_eq!(adaptive.in_flight_max(), 80);
        adaptive.set(None);
        assert_eq!((adaptive.in_flight_max(), adaptive.settings()), (u32::MAX, None));
        adaptive.set(Some(AdaptiveSettings { min: 1, max: 1000 }));
        assert_eq!(adaptive.in_flight_max(), 80, "what was learned is still known");
    }
}
