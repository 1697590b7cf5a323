//! Consistent hashing with bounded loads: a key has a node, unless that carries more than 1.25 of its share already.
//!
//! "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam 2016): a node takes no more than
//! ⌈1.25 (m + 1) w / W⌉ of the m requests in flight, where w / W is its share of the weights. A key whose node is full goes
//! to the next one that it leads to, always the same: so a hot key spreads over a few nodes in place of crushing one.

use super::ip_hash::{by_key, idlest};
use super::sample::Draws;
use super::{Ask, Nodes};
use crate::logic::limits::{BOUNDED_LOAD_PERCENT, FULL_SCAN_MAX};

/// Knows how much is in flight on all nodes together: exactly for a few, and for many as of the last pick but some.
#[derive(Debug, Default)]
pub struct ConsistentHash {
    in_flight: u64,
    weight: u64,
    /// Picks before both are added up anew.
    fresh_for: usize,
}

impl ConsistentHash {
    /// The first usable node that the key leads to and that has room. A request without a key goes anywhere.
    pub fn pick(&mut self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        self.add_up(nodes);
        let key = ask.key.unwrap_or(ask.draw);
        let room = |at| u64::from(nodes.in_flight(at)) < self.capacity(u64::from(nodes.weight(at).max(1)));
        by_key(nodes, key, room).or_else(|| idlest(nodes, &mut Draws::new(key)))
    }

    /// What a node of this weight may carry, this request too.
    fn capacity(&self, weight: u64) -> u64 {
        ((self.in_flight + 1) * weight * BOUNDED_LOAD_PERCENT).div_ceil(self.weight.max(1) * 100)
    }

    /// A sum over n nodes every n/16 picks costs each pick as much as one over 16.
    fn add_up(&mut self, nodes: &impl Nodes) {
        if let Some(fresh_for) = self.fresh_for.checked_sub(1) {
            self.fresh_for = fresh_for;
            return;
        }
        (self.in_flight, self.weight) = (0, 0);
        for at in (0..nodes.len()).filter(|&at| nodes.usable(at)) {
            self.in_flight += u64::from(nodes.in_flight(at));
            self.weight += u64::from(nodes.weight(at).max(1));
        }
        self.fresh_for = nodes.len() / (FULL_SCAN_MAX + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::table::hash;
    use super::super::tests::{Fixed, keyed};
    use super::*;

    #[test]
    fn a_hot_key_spills_over_and_comes_back() {
        let mut nodes = Fixed::hashing(&[1; 4]);
        let mut balancer = ConsistentHash::default();
        let hot = keyed(hash(b"/hot"));
        let home = balancer.pick(&nodes, &hot).unwrap();
        for _ in 0..100 {
            let at = balancer.pick(&nodes, &hot).unwrap();
            nodes.begin(at);
        }
        // All of the hundred at once are one key's, and no node has more than 1.25 of a quarter.
        let loads: Vec<_> = (0..4).map(|at| nodes.in_flight(at)).collect();
        assert!(loads.iter().all(|&load| load <= 32), "{loads:?}");
        (0..4).for_each(|at| nodes.set_in_flight(at, 0));
        assert_eq!(balancer.pick(&nodes, &hot), Some(home));
    }

    #[test]
    fn without_a_key_requests_go_everywhere() {
        let nodes = Fixed::hashing(&[1; 4]);
        let mut balancer = ConsistentHash::default();
        let mut seen = [false; 4];
        for draw in 0..200 {
            let ask = Ask { draw, key: None, now_us: 0 };
            seen[balancer.pick(&nodes, &ask).unwrap()] = true;
        }
        assert_eq!(seen, [true; 4]);
    }

    proptest! {
        /// Keys come as they come and requests end as they end: the bound holds at every pick.
        #[test]
        fn no_node_is_ever_given_more_than_its_bound(
            weights in proptest::collection::vec(1_u32..10, 1..=FULL_SCAN_MAX),
            requests in proptest::collection::vec((0_u64..5, any::<u16>()), 1..400),
        ) {
            let mut nodes = Fixed::hashing(&weights);
            let mut balancer = ConsistentHash::default();
            let total: u32 = weights.iter().sum();
            for (key, ends) in requests {
                let at = balancer.pick(&nodes, &keyed(hash(&key.to_le_bytes()))).unwrap();
                nodes.begin(at);
                let sum: u32 = (0..weights.len()).map(|at| nodes.in_flight(at)).sum();
                let bound = (f64::from(sum) * 1.25 * f64::from(weights[at]) / f64::from(total)).ceil();
                prop_assert!(f64::from(nodes.in_flight(at)) <= bound, "{} of {sum}, bound {bound}", nodes.in_flight(at));
                let ended = usize::from(ends) % weights.len();
                if ends % 3 == 0 && nodes.in_flight(ended) > 0 {
                    nodes.set_in_flight(ended, nodes.in_flight(ended) - 1);
                }
            }
        }
    }
}
