//! How many requests a node can have in flight before they only wait for one another: found out, not configured.
//!
//! A node that is asked more than it can do answers more slowly and no more often. So what it takes with little to do is
//! compared with what it takes now: as long as the two are alike there is room for more, and where they are not there
//! is too much (the gradient of Netflix's concurrency-limits). Those measure the first by driving the limit down from
//! time to time, and with it the traffic. Here it comes from moments in which a request was alone on its node by
//! itself; a node that never has one keeps what is known of it. Nothing is known at first: then there is no limit, and the first one is the highest.

use super::limits::{ADAPTIVE_SAMPLES_MIN, ADAPTIVE_TOLERANCE};

/// `adaptive_limit:` of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// The limit never falls below this; at least 1.
    pub min: u32,
    /// Nor does it rise above this.
    pub max: u32,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Microseconds that a request takes which is alone on the node; 0 while nothing is known.
    pub idle_us: f64,
    /// Requests that it may have in flight; 0 while there is no limit.
    pub limit: f64,
}

/// What was seen of a node for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Requests that it answered.
    pub requests: u64,
    /// Microseconds that they took together.
    pub sum_us: u64,
    /// Those of them that were alone.
    pub idle_requests: u64,
    /// What these took together.
    pub idle_sum_us: u64,
    /// The most that it had in flight.
    pub in_flight_most: u32,
}

impl Estimate {
    /// What is known after one more window. One with fewer than [`ADAPTIVE_SAMPLES_MIN`] requests should wait for more.
    #[must_use]
    pub fn after(self, window: &Window, settings: AdaptiveSettings) -> Self {
        let idle_us = self.idle_after(window);
        if idle_us == 0.0 || window.requests == 0 {
            return Self { idle_us, ..self };
        }
        let (min, max) = (f64::from(settings.min), f64::from(settings.max.max(settings.min)));
        let now_us = window.sum_us as f64 / window.requests as f64;
        let gradient = (ADAPTIVE_TOLERANCE * idle_us / now_us.max(1.0)).clamp(0.5, 1.0);
        let most = f64::from(window.in_flight_most);
        let limit = if self.limit == 0.0 { max } else { self.limit };
        // Where there is too much already, a limit far above it only has a long way to fall.
        let limit = if gradient < 1.0 { limit.min(most * 2.0).max(min) } else { limit };
        // The root is the room to try more in: large enough to grow by, and small beside the limit.
        let wanted = limit * gradient + limit.sqrt();
        let used = most * 2.0 >= limit;
        // A limit that nobody comes near says nothing of whether a higher one were good.
        let next = if wanted > limit && !used { limit } else { limit + (wanted - limit) * 0.2 };
        Self { idle_us, limit: next.clamp(min, max) }
    }

    /// Requests that may be in flight now.
    pub fn in_flight_max(self) -> u32 {
        if self.limit == 0.0 { u32::MAX } else { self.limit as u32 }
    }

    /// Falls fast and rises slowly: nothing makes a request faster than an idle node, and much makes it slower.
    fn idle_after(self, window: &Window) -> f64 {
        if window.idle_requests == 0 {
            return self.idle_us;
        }
        let seen_us = (window.idle_sum_us as f64 / window.idle_requests as f64).max(1.0);
        let weight = match self.idle_us {
            0.0 => 1.0,
            known if seen_us < known => 0.5,
            _ => 0.05,
        };
        self.idle_us + (seen_us - self.idle_us) * weight
    }
}

/// Is there enough in a window to learn from?
pub fn is_enough(requests: u64) -> bool {
    requests >= ADAPTIVE_SAMPLES_MIN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: AdaptiveSettings = AdaptiveSettings { min: 1, max: 1000 };

    /// A node that serves `slots` requests at once, each in `service_us`, with as many in flight as it may have, of
    /// `offered`. (the estimate after so many windows, the smallest limit on the way once there was one)
    fn run(
        mut estimate: Estimate,
        slots: f64,
        service_us: f64,
        offered: f64,
        windows: usize,
    ) -> (Estimate, f64) {
        let mut least = f64::MAX;
        for _ in 0..windows {
            let in_flight = offered.min(f64::from(estimate.in_flight_max()));
            let latency_us = service_us * (in_flight / slots).max(1.0);
            let idle_requests = if in_flight <= 1.0 { 100 } else { 0 };
            estimate = estimate.after(
                &Window {
                    requests: 100,
                    sum_us: (latency_us * 100.0) as u64,
                    idle_requests,
                    idle_sum_us: (latency_us * idle_requests as f64) as u64,
                    in_flight_most: in_flight as u32,
                },
                SETTINGS,
            );
            if estimate.limit > 0.0 {
                least = least.min(estimate.limit);
            }
        }
        (estimate, least)
    }

    #[test]
    fn a_node_of_ten_slots_gets_what_keeps_it_busy_and_not_much_more() {
        let quiet = run(Estimate::default(), 10.0, 5_000.0, 1.0, 20).0;
        let (loaded, least) = run(quiet, 10.0, 5_000.0, 500.0, 400);
        assert!((10.0..45.0).contains(&loaded.limit), "{loaded:?}");
        // It never went down to measure.
        assert!(least > loaded.limit * 0.9 && (loaded.idle_us - 5_000.0).abs() < 1.0, "{least} {loaded:?}");
        let (later, least) = run(loaded, 10.0, 5_000.0, 500.0, 1000);
        assert!(least > loaded.limit * 0.9, "{least} after {loaded:?}");
        assert!((later.limit - loaded.limit).abs() < 1.0);
    }

    #[test]
    fn a_node_that_becomes_slow_gets_less_and_gets_it_back() {
        let quiet = run(Estimate::default(), 10.0, 5_000.0, 1.0, 20).0;
        let loaded = run(quiet, 10.0, 5_000.0, 500.0, 400).0;
        let slow = run(loaded, 2.0, 5_000.0, 500.0, 400).0;
        assert!(slow.limit < loaded.limit * 0.7, "{slow:?} after {loaded:?}");
        let again = run(slow, 10.0, 5_000.0, 500.0, 400).0;
        assert!((again.limit - loaded.limit).abs() < 1.0, "{again:?}");
    }

    #[test]
    fn without_an_idle_moment_there_is_no_limit() {
        let never = run(Estimate::default(), 10.0, 5_000.0, 50.0, 100).0;
        assert_eq!((never, never.in_flight_max()), (Estimate::default(), u32::MAX));
    }

    #[test]
    fn a_limit_that_nobody_comes_near_stays_where_it_is() {
        let quiet = run(Estimate::default(), 10.0, 5_000.0, 1.0, 100).0;
        assert_eq!(quiet.in_flight_max(), SETTINGS.max);
        let loaded = run(quiet, 10.0, 5_000.0, 500.0, 400).0;
        let unchanged = run(loaded, 10.0, 5_000.0, 1.0, 1000).0;
        assert!((unchanged.limit - loaded.limit).abs() < 1e-9, "{unchanged:?} {loaded:?}");
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            windows in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>()), 1..50),
            min in 1_u32..100, max in 1_u32..5000,
        ) {
            let mut estimate = Estimate::default();
            for (requests, sum_us, idle_requests, idle_sum_us, in_flight_most) in windows {
                let window = Window { requests, sum_us, idle_requests, idle_sum_us, in_flight_most };
                estimate = estimate.after(&window, AdaptiveSettings { min, max });
                let limit = estimate.in_flight_max();
                prop_assert!(limit == u32::MAX || (min..=max.max(min)).contains(&limit), "{:?}", estimate);
            }
        }
    }
}
