//! When a node that fails its requests is left out, for how long, and how many may be at once.
//!
//! ```text
//!   open --failures in a row, or too many of all--> ejected --time--> on trial --good--> open
//!                                                      ^                  |
//!                                                      +-----bad----------+   (for twice as long)
//! ```
//!
//! The idea is Envoy's outlier detection; two things differ: nodes come back by one trial request in place of all at
//! once, and a worker ejects at the failure itself, not at the next look of some timer.

use std::time::Duration;

use super::limits::{EJECTION_MAX, OUTLIER_REQUESTS_MIN};

/// `outlier:` of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row that eject a node, at least 1.
    pub consecutive_failures: u32,
    /// The share of failures among the requests of a window that ejects it, in hundredths of a percent; above 100 %
    /// is never.
    pub failure_rate: u32,
    /// For how long, the first time.
    pub ejection: Duration,
    /// The share of the backend's nodes that may be ejected at once, in hundredths of a percent.
    pub max_ejected: u32,
}

impl Policy {
    /// How many of so many nodes may be ejected at once: rounded down, so that the last node never is.
    pub fn ejected_most(&self, nodes: usize) -> u32 {
        let most = (nodes as u64) * u64::from(self.max_ejected) / 10_000;
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// Has a node failed too large a share of what it got in one window? Few requests prove nothing.
    pub fn fails_too_often(&self, requests: u64, failures: u64) -> bool {
        requests >= OUTLIER_REQUESTS_MIN && failures * 10_000 >= requests * u64::from(self.failure_rate)
    }
}

/// How long the `times`-th ejection in a row lasts: each twice as long as the one before, up to [`EJECTION_MAX`] or
/// `base`, whichever is longer.
pub fn ejection(base: Duration, times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(EJECTION_MAX.max(base))
}

/// Is this answer the node's failure? 501 and 505 speak of the request, and any node would give them.
pub fn is_failure(status: u16) -> bool {
    status >= 500 && !matches!(status, 501 | 505)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        consecutive_failures: 5,
        failure_rate: 5000,
        ejection: Duration::from_secs(30),
        max_ejected: 5000,
    };

    #[test]
    fn half_of_the_nodes_is_rounded_down() {
        let most = |nodes| POLICY.ejected_most(nodes);
        assert_eq!([0, 1, 2, 3, 4, 5].map(most), [0, 0, 1, 1, 2, 2]);
        assert_eq!(Policy { max_ejected: 10_000, ..POLICY }.ejected_most(3), 3);
    }

    #[test]
    fn each_ejection_is_twice_the_last_up_to_a_limit() {
        let seconds = |times| ejection(Duration::from_secs(30), times).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 40].map(seconds), [30, 60, 120, 240, 300, 300]);
        assert_eq!(ejection(Duration::from_secs(600), 3), Duration::from_secs(600));
    }

    #[test]
    fn a_rate_needs_requests_enough_to_be_one() {
        assert!(!POLICY.fails_too_often(OUTLIER_REQUESTS_MIN - 1, OUTLIER_REQUESTS_MIN - 1));
        assert!(POLICY.fails_too_often(100, 50));
        assert!(!POLICY.fails_too_often(100, 49));
        assert!(!Policy { failure_rate: u32::MAX, ..POLICY }.fails_too_often(100, 100));
    }

    #[test]
    fn what_the_request_asked_for_is_no_failure() {
        assert_eq!(
            [200, 404, 499, 500, 501, 502, 503, 504, 505].map(is_failure),
            [false, false, false, true, false, true, true, true, false]
        );
    }

    proptest! {
        #[test]
        fn ejections_never_shrink_and_are_bounded(base_ms in 50_u64..1_000_000, times in 0_u32..100) {
            let base = Duration::from_millis(base_ms);
            prop_assert!(ejection(base, times) <= ejection(base, times + 1));
            prop_assert!(ejection(base, times) >= base);
            prop_assert!(ejection(base, times) <= EJECTION_MAX.max(base));
        }
    }
}
