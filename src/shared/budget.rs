//! How often the requests of one backend are tried again, by all workers together.
//!
//! A slot a second for [`RETRY_WINDOW_SECONDS`], each in one word with the second that it is of: so no reader takes old
//! counts for new ones, and nobody has to clear them. A retry is counted first and looked at then: of two workers that ask
//! for the last one, one at most gets it. Where both see the other's they are both refused, and the budget is no less kept.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crossbeam_utils::CachePadded;

use crate::logic::limits::RETRY_WINDOW_SECONDS;
use crate::logic::retry::retries_allowed;

const SLOTS: usize = RETRY_WINDOW_SECONDS as usize;
/// Bits of a slot that hold the count; those above hold the second.
const COUNT_BITS: u32 = 32;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Requests, and tries beyond their first, of the last seconds. Times are those of [`super::clock::now_ms`].
#[derive(Debug, Default)]
pub struct Budget {
    /// Apart from the retries: every worker writes it on every request.
    requests: CachePadded<Slots>,
    retries: CachePadded<Slots>,
}

impl Budget {
    /// A request has come.
    pub fn request(&self, now_ms: u64) {
        self.requests.add(now_ms / 1000);
    }

    /// Takes one retry out of the budget; false where none is left.
    ///
    /// Within any window of ten seconds no more are granted than [`retries_allowed`] says of its requests.
    pub fn spend(&self, permille: u32, now_ms: u64) -> bool {
        let second = now_ms / 1000;
        self.retries.add(second);
        if self.retries.sum(second) <= retries_allowed(self.requests.sum(second), permille) {
            return true;
        }
        self.retries.take_back(second);
        false
    }

    /// Gives one back. A connection that was refused by one node and opened by another has cost nobody anything: only
    /// such retries count as find the next node no better.
    pub fn refund(&self, now_ms: u64) {
        let second = now_ms / 1000;
        // It may have been spent a moment ago, in a second that is over.
        (0..RETRY_WINDOW_SECONDS)
            .map_while(|ago| second.checked_sub(ago))
            .find(|&second| self.retries.take_back(second));
    }
}

#[derive(Debug, Default)]
struct Slots([AtomicU64; SLOTS]);

impl Slots {
    fn at(&self, second: u64) -> &AtomicU64 {
        &self.0[(second % RETRY_WINDOW_SECONDS) as usize]
    }

    /// One more in this second. One whose clock is behind counts in the second that has its place by now.
    fn add(&self, second: u64) {
        let slot = self.at(second);
        let mut word = slot.load(Relaxed);
        loop {
            let next = if second_of(word) < second { second << COUNT_BITS | 1 } else { word + 1 };
            match slot.compare_exchange_weak(word, next, SeqCst, Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// One fewer. False where this second has none, or its slot is another's by now.
    fn take_back(&self, second: u64) -> bool {
        let one_fewer = |word: u64| (second_of(word) == second && count_of(word) > 0).then(|| word - 1);
        self.at(second).fetch_update(SeqCst, Relaxed, one_fewer).is_ok()
    }

    /// What the window that ends with this second holds.
    fn sum(&self, second: u64) -> u64 {
        let words = self.0.iter().map(|slot| slot.load(SeqCst));
        words
            .filter(|&word| second.saturating_sub(second_of(word)) < RETRY_WINDOW_SECONDS)
            .map(count_of)
            .sum()
    }
}

fn second_of(word: u64) -> u64 {
    word >> COUNT_BITS
}

fn count_of(word: u64) -> u64 {
    word & COUNT_MASK
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;
    use crate::logic::limits::RETRIES_AT_ONCE_MIN;

    fn granted(budget: &Budget, times: usize, now_ms: u64) -> usize {
        (0..times).filter(|_| budget.spend(200, now_ms)).count()
    }

    #[test]
    fn three_at_once_whatever_the_traffic_and_again_when_the_window_has_passed() {
        let budget = Budget::default();
        assert_eq!(granted(&budget, 10, 1), 3);
        assert_eq!(granted(&budget, 10, 9_999), 0);
        assert_eq!(granted(&budget, 10, 10_000), 3);
    }

    #[test]
    fn one_of_two_nodes_down_costs_no_budget() {
        let budget = Budget::default();
        for n in 0..1000 {
            budget.request(n);
            assert!(budget.spend(200, n));
            budget.refund(n);
        }
    }

    #[test]
    fn what_was_spent_in_the_second_before_is_given_back_too() {
        let budget = Budget::default();
        assert_eq!(granted(&budget, 3, 5_999), 3);
        budget.refund(6_001);
        assert_eq!(granted(&budget, 3, 6_001), 1);
    }

    /// Four workers that spend all they can get: not one more than what the requests of all of them together allow.
    #[test]
    fn workers_that_spend_at_once_stay_within_one_budget() {
        const EACH: u64 = 20_000;
        let (budget, spent, start) = (Budget::default(), AtomicU64::new(0), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..EACH {
                        budget.request(5_000);
                        (0..2).for_each(|_| {
                            spent.fetch_add(u64::from(budget.spend(200, 5_000)), SeqCst);
                        });
                    }
                });
            }
        });
        let allowed = retries_allowed(4 * EACH, 200);
        let spent = spent.load(SeqCst);
        assert!(spent <= allowed, "{spent} of {allowed}");
        // And what was refused meanwhile for nothing is still there.
        assert_eq!(spent + granted(&budget, 4 * EACH as usize, 5_000) as u64, allowed);
    }

    proptest! {
        /// Every node refuses, or every node breaks: what reaches the nodes stays within 1.2 of the requests.
        #[test]
        fn no_storm_with_every_node_down(
            gaps_ms in proptest::collection::vec(0_u64..400, 1..2000),
            permille in 0_u32..=1000,
        ) {
            let budget = Budget::default();
            let (mut now_ms, mut retries, mut windows) = (0, 0, std::collections::BTreeMap::new());
            for gap in &gaps_ms {
                now_ms += gap;
                budget.request(now_ms);
                // It would go on for as long as it may.
                while budget.spend(permille, now_ms) {
                    retries += 1;
                }
                windows.insert(now_ms / 10_000, ());
            }
            let allowed = gaps_ms.len() as u64 * u64::from(permille) / 1000
                + (windows.len() as u64 + 1) * RETRIES_AT_ONCE_MIN * 2;
            prop_assert!(retries <= allowed, "{} retries, {} requests", retries, gaps_ms.len());
        }

        #[test]
        fn a_clock_that_stands_or_jumps_is_no_trouble(times in proptest::collection::vec(0_u64..1 << 41, 1..50)) {
            let budget = Budget::default();
            for now_ms in times {
                budget.request(now_ms);
                budget.spend(200, now_ms);
                budget.refund(now_ms);
            }
        }
    }
}
