//! How many requests are let through in time: the generic cell rate algorithm (ITU-T I.371, annex A).
//!
//! All that is remembered of a client is one number, the *theoretical arrival time*: when its next request would be due
//! if it kept exactly to the rate. A request may come earlier than that by as much as the burst is worth. A time that
//! has passed says no more than no time at all, so an entry of a table is free again by itself.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// `rate_limit:` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// How many, in which time.
    pub rate: Rate,
    /// Who shares a limit.
    pub key: RateKey,
}

/// Who shares a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// Each address; of IPv6 each network of 64 bits, because a single host has all addresses of one.
    ClientIp,
    /// Each value of this header field (name in lower case). Requests without it share one limit.
    Header(Box<str>),
    /// All requests of the route.
    Route,
}

/// A rate and the burst beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Between two requests, at least 1 ns.
    emission_ns: u64,
    /// How far ahead of its time a request may come.
    tolerance_ns: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is let through, and this is the theoretical arrival time from now on.
    Pass(u64),
    /// It is refused; it would be let through after so many nanoseconds, if nobody else came.
    Refuse {
        /// The wait.
        wait_ns: u64,
    },
}

impl Rate {
    /// `requests` in each `per`, and `burst` more that may come at once.
    pub fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let per_ns = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let emission_ns = (per_ns / u64::from(requests.max(1))).max(1);
        Self { emission_ns, tolerance_ns: emission_ns.saturating_mul(u64::from(burst)) }
    }

    /// Judges a request at `now_ns`, given the theoretical arrival time as it stands (0 for a client without a past).
    pub fn judge(self, arrival_ns: u64, now_ns: u64) -> Verdict {
        let due_ns = arrival_ns.max(now_ns);
        let ahead_ns = due_ns - now_ns;
        if ahead_ns > self.tolerance_ns {
            return Verdict::Refuse { wait_ns: ahead_ns - self.tolerance_ns };
        }
        Verdict::Pass(due_ns.saturating_add(self.emission_ns))
    }
}

/// Seconds for `retry-after`: rounded up, because a client that comes a moment too early is refused again.
pub fn retry_after_s(wait_ns: u64) -> u32 {
    u32::try_from(wait_ns.div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1)
}

/// What an address is limited by.
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of these arrivals pass.
    fn passed(rate: Rate, arrivals: &[u64]) -> u64 {
        let mut arrival_ns = 0;
        let passes = arrivals.iter().filter(|&&now_ns| match rate.judge(arrival_ns, now_ns) {
            Verdict::Pass(next) => {
                arrival_ns = next;
                true
            }
            Verdict::Refuse { .. } => false,
        });
        passes.count() as u64
    }

    #[test]
    fn a_burst_at_once_then_the_rate() {
        let rate = Rate::new(10, SECOND, 5);
        assert_eq!(passed(rate, &[7; 100]), 6);
        let every_ms: Vec<_> = (0..10_000).map(|ms| ms * 1_000_000).collect();
        assert_eq!(passed(rate, &every_ms), 5 + 100);
    }

    #[test]
    fn the_wait_is_the_time_until_it_would_pass() {
        let rate = Rate::new(1, Duration::from_secs(10), 0);
        let Verdict::Pass(next) = rate.judge(0, 5) else { panic!() };
        let Verdict::Refuse { wait_ns } = rate.judge(next, 6) else { panic!() };
        assert!(matches!(rate.judge(next, 6 + wait_ns - 1), Verdict::Refuse { .. }));
        assert!(matches!(rate.judge(next, 6 + wait_ns), Verdict::Pass(_)));
        assert_eq!(retry_after_s(wait_ns), 10);
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit_and_mapped_ones_are_ipv4() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8:0:0:ffff::9"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }

    proptest! {
        /// In no stretch of time more than the rate and the burst.
        #[test]
        fn never_more_than_the_rate_and_the_burst(
            requests in 1_u32..1000, per_ms in 1_u64..10_000, burst in 0_u32..50,
            gaps in proptest::collection::vec(0_u64..5_000_000, 1..500),
        ) {
            let rate = Rate::new(requests, Duration::from_millis(per_ms), burst);
            let arrivals: Vec<_> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(*now) }).collect();
            let span = arrivals[arrivals.len() - 1] - arrivals[0];
            prop_assert!(passed(rate, &arrivals) <= u64::from(burst) + 1 + span / rate.emission_ns);
        }

        /// Who keeps to the rate is never refused.
        #[test]
        fn who_keeps_to_the_rate_passes(requests in 1_u32..1000, per_ms in 1_u64..10_000, count in 1_u64..200) {
            let rate = Rate::new(requests, Duration::from_millis(per_ms), 0);
            let arrivals: Vec<_> = (0..count).map(|n| n * rate.emission_ns).collect();
            prop_assert_eq!(passed(rate, &arrivals), count);
        }

        #[test]
        fn no_number_overflows(arrival in any::<u64>(), now in any::<u64>(), requests in any::<u32>(), burst in any::<u32>()) {
            Rate::new(requests, Duration::MAX, burst).judge(arrival, now);
        }
    }
}
