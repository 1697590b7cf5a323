//! When a request that waits for one node is sent to a second one as well: the first answer wins.
//!
//! "The Tail at Scale" (Dean and Barroso, 2013): a second request after the 95th percentile of the first's times costs five
//! percent more requests, and takes the tail off. It is safe only where it can be taken for a retry, so the same requests
//! may be hedged that may be repeated, within the same budget; and it helps only where nodes have room to spare, so there
//! is none while any of them is out or requests wait for one.

use hdrhistogram::Histogram;

use super::http1::framing::Framing;
use super::http1::request::RequestFacts;
use super::limits::{HEDGE_AFTER_MIN_US, HEDGE_PERIOD_MS, HEDGE_SAMPLES_MIN};

/// `hedge:` of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HedgePolicy {
    /// The quantile of the times to the first byte after which a second node is asked, in thousandths.
    pub after_permille: u32,
}

impl Default for HedgePolicy {
    /// What `hedge: {}` means: after the 95th percentile.
    fn default() -> Self {
        Self { after_permille: 950 }
    }
}

/// May this request be on two nodes at once? Not one that does harm twice (RFC 9110, 9.2.2), and none with a body, or that
/// asks to become something else than an exchange.
pub fn may_be_hedged(request: &RequestFacts) -> bool {
    request.idempotent
        && request.framing == Framing::None
        && !request.upgrade
        && !request.is_connect
        && !request.expects_continue
}

/// How a backend stands when a second node is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Nodes that are ejected.
    pub ejected: usize,
    /// Requests that wait for a node.
    pub waiting: u32,
    /// So few nodes pass that all are used.
    pub panics: bool,
}

impl Standing {
    /// Has it room to spare? One that is short of nodes is slow because it is, and more requests make it slower.
    pub fn is_calm(self) -> bool {
        self.ejected == 0 && self.waiting == 0 && !self.panics
    }
}

/// Does an answer that begins with these bytes win against a node that is still silent? One of a failure does not: without
/// the second request its client would have waited, and got the other one.
pub fn wins(first_bytes: &[u8]) -> bool {
    let status = first_bytes.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    status.is_some_and(|status| matches!(status[0], b'1'..=b'4'))
}

/// What one worker knows of the times to the first byte of one backend: those of the period before, or, in the first one,
/// those so far.
#[derive(Debug)]
pub struct Pace {
    policy: HedgePolicy,
    before: Histogram<u32>,
    now: Histogram<u32>,
    /// When the period began.
    since_ms: u64,
    /// What was found last, and how many samples the period had then.
    found: (Option<u64>, u64),
}

impl Pace {
    /// Of a backend that nothing is known of.
    pub fn new(policy: HedgePolicy) -> Self {
        // The bounds are constants that the library accepts: the only error it has is for impossible ones.
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_US, 2).expect("bounds of the histogram are valid");
        Self { policy, before: histogram(), now: histogram(), since_ms: 0, found: (None, 0) }
    }

    /// A node has begun to answer so long after it was asked; where two were, after the first one was.
    pub fn answered(&mut self, took_us: u64, now_ms: u64) {
        self.turn(now_ms);
        self.now.saturating_record(took_us.max(1));
    }

    /// How long a request waits for the first node before a second one is asked, in microseconds, never less than
    /// [`HEDGE_AFTER_MIN_US`]; `None` while too little is known.
    pub fn after_us(&mut self, now_ms: u64) -> Option<u64> {
        self.turn(now_ms);
        let known = self.before.len() >= HEDGE_SAMPLES_MIN;
        // A period that is over does not change; one that goes on is looked at again when it has half as much more.
        let (found, samples) = self.found;
        let first = found.is_none() && (known || self.now.len() >= HEDGE_SAMPLES_MIN);
        let more = found.is_some() && !known && self.now.len() > samples + samples / 2;
        if first || more {
            let source = if known { &self.before } else { &self.now };
            self.found = (self.quantile(source), self.now.len());
        }
        self.found.0
    }

    fn quantile(&self, of: &Histogram<u32>) -> Option<u64> {
        let quantile = f64::from(self.policy.after_permille) / 1000.0;
        (of.len() >= HEDGE_SAMPLES_MIN).then(|| of.value_at_quantile(quantile).max(HEDGE_AFTER_MIN_US))
    }

    /// Begins a new period where this one is over.
    fn turn(&mut self, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        if elapsed_ms < HEDGE_PERIOD_MS {
            return;
        }
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.reset();
        if elapsed_ms >= 2 * HEDGE_PERIOD_MS {
            self.before.reset();
        }
        self.since_ms = now_ms;
        self.found = (None, 0);
    }
}

/// Times beyond it count as this.
const LONGEST_US: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: RequestFacts = RequestFacts::GET;

    #[test]
    fn only_what_can_be_repeated_and_has_no_body_is_hedged() {
        assert!(may_be_hedged(&GET));
        for never in [
            RequestFacts { idempotent: false, ..GET },
            RequestFacts { framing: Framing::Length(5), ..GET },
            RequestFacts { framing: Framing::Chunked, ..GET },
            RequestFacts { upgrade: true, ..GET },
            RequestFacts { is_connect: true, ..GET },
            RequestFacts { expects_continue: true, ..GET },
        ] {
            assert!(!may_be_hedged(&never), "{never:?}");
        }
    }

    #[test]
    fn a_backend_that_is_short_of_nodes_is_not_asked_for_more() {
        let calm = Standing { ejected: 0, waiting: 0, panics: false };
        assert!(calm.is_calm());
        assert!(!Standing { ejected: 1, ..calm }.is_calm());
        assert!(!Standing { waiting: 1, ..calm }.is_calm());
        assert!(!Standing { panics: true, ..calm }.is_calm());
    }

    #[test]
    fn a_failure_wins_nothing() {
        let answers = ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 404 Not Found", "HTTP/1.1 304", "HTTP/1.1 103 Early"];
        assert!(answers.iter().all(|answer| wins(answer.as_bytes())));
        for answer in ["HTTP/1.1 503 Service Unavailable", "HTTP/1.1 500", "HTTP/1.1 ", "HT", "", "nonsense"]
        {
            assert!(!wins(answer.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn nothing_is_known_of_few_answers_or_of_long_ago() {
        let mut pace = Pace::new(HedgePolicy::default());
        for _ in 1..HEDGE_SAMPLES_MIN {
            pace.answered(9_000, 1);
        }
        assert_eq!(pace.after_us(1), None);
        pace.answered(9_000, 1);
        assert!(pace.after_us(1).is_some());
        assert!(pace.after_us(HEDGE_PERIOD_MS + 1).is_some(), "the period before counts");
        assert_eq!(pace.after_us(3 * HEDGE_PERIOD_MS + 1), None);
    }

    #[test]
    fn backends_that_answer_at_once_are_not_hedged_at_once() {
        let mut pace = Pace::new(HedgePolicy::default());
        (0..1000).for_each(|_| pace.answered(80, 1));
        assert_eq!(pace.after_us(1), Some(HEDGE_AFTER_MIN_US));
    }

    /// What a second request may hide is the time that it saved: the first node's share beyond the quantile stays.
    #[test]
    fn requests_that_were_hedged_do_not_move_the_quantile() {
        let mut pace = Pace::new(HedgePolicy::default());
        for step in 0..20_000_u64 {
            let now_ms = step * 5;
            let took_us = if step % 25 == 0 { 500_000 } else { 5_000 + step % 100 };
            // A second node answers in 5 ms.
            let seen_us = pace.after_us(now_ms).map_or(took_us, |after_us| took_us.min(after_us + 5_000));
            pace.answered(seen_us, now_ms);
        }
        let after_us = pace.after_us(100_000).expect("there were many");
        assert!((5_000..6_000).contains(&after_us), "{after_us}");
    }

    proptest! {
        /// At least as long as `after` says of the samples, and one percent longer at most.
        #[test]
        fn it_waits_for_the_quantile(
            mut times_us in proptest::collection::vec(HEDGE_AFTER_MIN_US..60_000_000, HEDGE_SAMPLES_MIN as usize..400),
            after_permille in prop::sample::select(vec![500_u32, 900, 950, 990, 999]),
        ) {
            let mut pace = Pace::new(HedgePolicy { after_permille });
            times_us.iter().for_each(|&took_us| pace.answered(took_us, 1));
            let found = pace.after_us(1).unwrap();
            times_us.sort_unstable();
            let rank = (times_us.len() * after_permille as usize).div_ceil(1000).max(1);
            let exact = times_us[rank - 1];
            prop_assert!(found >= exact, "{} of {}", found, exact);
            prop_assert!(found <= exact + exact / 100 + 1, "{} of {}", found, exact);
            let longer = times_us.iter().filter(|&&took_us| took_us > found).count();
            prop_assert!(longer <= times_us.len() * (1000 - after_permille as usize) / 1000);
        }

        #[test]
        fn whatever_the_clock_says_it_is_no_trouble(steps in proptest::collection::vec(any::<(u64, u64)>(), 1..300)) {
            let mut pace = Pace::new(HedgePolicy::default());
            for (took_us, now_ms) in steps {
                pace.answered(took_us, now_ms);
                prop_assert!(pace.after_us(now_ms).is_none_or(|after_us| after_us >= HEDGE_AFTER_MIN_US));
            }
        }
    }
}
