//! Smooth weighted round robin: a node of weight 5 beside two of weight 1 is picked `a a b a c a a`, not `a a a a a b c`.

use super::Nodes;

/// A retry sees fewer nodes, and so a smaller weight: what is within a few of its rounds is kept.
const ROUNDS_KEPT: i64 = 4;

/// Each pick raises every usable node's credit by its weight, takes the highest, and charges it the total.
///
/// The algorithm is nginx's (Maxim Dounin, 2012); it keeps the exact ratio of the weights over every full round.
#[derive(Debug)]
pub struct RoundRobin {
    /// One entry a node; a node that is new starts at zero.
    credits: Vec<i64>,
    /// The weights together, at the last pick.
    total: i64,
    /// Where ties begin, so that workers which start together do not send their first requests to one node.
    start: usize,
}

impl RoundRobin {
    /// `start` shifts which of equal nodes comes first.
    pub fn new(start: usize) -> Self {
        Self { credits: Vec::new(), total: 0, start }
    }

    /// The next node in turn.
    pub fn pick(&mut self, nodes: &impl Nodes) -> Option<usize> {
        let len = nodes.len();
        if self.credits.len() != len {
            self.credits.clear();
            self.credits.resize(len, 0);
        }
        let mut total = 0;
        let mut best: Option<usize> = None;
        for step in 0..len {
            let at = (self.start + step) % len;
            if !nodes.usable(at) {
                continue;
            }
            let weight = i64::from(nodes.weight(at).max(1));
            total += weight;
            self.credits[at] += weight;
            if best.is_none_or(|best| self.credits[at] > self.credits[best]) {
                best = Some(at);
            }
        }
        let picked = best?;
        self.credits[picked] -= total;
        self.forget_heavier(total);
        Some(picked)
    }
}

impl RoundRobin {
    /// Credits are a round's weight at most. Where the weights have become smaller (a slow start counts in thousandths, an
    /// operator changes one), what is left of the larger ones would keep a node waiting for thousands of rounds.
    fn forget_heavier(&mut self, total: i64) {
        if total < self.total {
            let most = total.saturating_mul(ROUNDS_KEPT);
            self.credits.iter_mut().for_each(|credit| *credit = (*credit).clamp(-most, most));
        }
        self.total = total;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixed;
    use super::*;

    #[test]
    fn weights_are_kept_smoothly() {
        let nodes = Fixed::new(&[(5, 0), (1, 0), (1, 0)]);
        let mut robin = RoundRobin::new(0);
        let picks: Vec<_> = (0..14).map(|_| robin.pick(&nodes).unwrap()).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_start_at_different_nodes() {
        let nodes = Fixed::new(&[(1, 0), (1, 0), (1, 0)]);
        let firsts: Vec<_> = (0..3).map(|worker| RoundRobin::new(worker).pick(&nodes).unwrap()).collect();
        assert_eq!(firsts, [0, 1, 2]);
    }

    #[test]
    fn a_node_that_comes_back_does_not_catch_up() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 0)]);
        let mut robin = RoundRobin::new(0);
        nodes.unusable(0);
        for _ in 0..100 {
            assert_eq!(robin.pick(&nodes), Some(1));
        }
        let nodes = Fixed::new(&[(1, 0), (1, 0)]);
        let first_ten = (0..10).filter(|_| robin.pick(&nodes) == Some(0)).count();
        assert_eq!(first_ten, 5);
    }

    #[test]
    fn weights_that_become_smaller_leave_nobody_waiting() {
        let heavy = Fixed::new(&[(1000, 0), (1000, 0), (100, 0)]);
        let light = Fixed::new(&[(1, 0), (1, 0), (1, 0)]);
        for before in 1..40 {
            let mut robin = RoundRobin::new(0);
            (0..before).for_each(|_| assert!(robin.pick(&heavy).is_some()));
            (0..12).for_each(|_| assert!(robin.pick(&light).is_some()));
            let mut counts = [0; 3];
            (0..30).for_each(|_| counts[robin.pick(&light).unwrap()] += 1);
            assert!(counts.iter().all(|count| (8..=12).contains(count)), "after {before}: {counts:?}");
        }
    }

    #[test]
    fn no_usable_node_is_none() {
        let mut nodes = Fixed::new(&[(1, 0)]);
        nodes.unusable(0);
        assert_eq!(RoundRobin::new(0).pick(&nodes), None);
        assert_eq!(RoundRobin::new(3).pick(&Fixed::new(&[])), None);
    }
}
