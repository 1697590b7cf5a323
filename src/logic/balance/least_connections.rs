//! Least connections: the node with the smallest (in flight + 1) / weight, ties at random.
//!
//! Up to [`FULL_SCAN_MAX`] nodes all of them are looked at; with more, two that are drawn by weight without replacement.
//! The counters are exact over all workers, so nothing has to be estimated or synchronised.

use super::choice::{load_with_one_more, scan};
use super::sample::Draws;
use super::two_choices::TwoChoices;
use super::{Ask, Nodes};
use crate::logic::limits::FULL_SCAN_MAX;

/// Has no state of its own: the exact counters of the nodes are all it needs.
#[derive(Debug, Default)]
pub struct LeastConnections;

impl LeastConnections {
    /// Among the nodes that share the minimum each is as likely as the other.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        if nodes.len() > FULL_SCAN_MAX {
            return TwoChoices.pick(nodes, ask);
        }
        let usable = (0..nodes.len()).filter(|&at| nodes.usable(at));
        scan(usable, &mut Draws::new(ask.draw), |at| load_with_one_more(nodes, at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, ask, shares};
    use super::*;

    #[test]
    fn the_least_loaded_for_its_weight_is_picked() {
        let nodes = Fixed::new(&[(1, 3), (2, 4), (1, 2)]);
        // 4/1, 5/2, 3/1.
        assert_eq!(LeastConnections.pick(&nodes, &ask(7)), Some(1));
    }

    #[test]
    fn ties_are_shared_evenly_whatever_their_weights() {
        // 1/1, 3/3: the same load for their weight.
        let nodes = Fixed::new(&[(1, 0), (3, 2), (1, 0)]);
        let mut draw = 0;
        let shares = shares(30_000, 3, || {
            draw += 1;
            LeastConnections.pick(&nodes, &ask(draw))
        });
        assert!(shares.iter().all(|share| (0.31..0.36).contains(share)), "{shares:?}");
    }

    #[test]
    fn an_unusable_node_is_never_picked() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 50)]);
        nodes.unusable(0);
        assert_eq!(LeastConnections.pick(&nodes, &ask(1)), Some(1));
        nodes.unusable(1);
        assert_eq!(LeastConnections.pick(&nodes, &ask(1)), None);
    }

    #[test]
    fn among_many_nodes_the_busiest_gets_nothing() {
        let mut all = vec![(1, 5); 100];
        all[42].1 = 6;
        let nodes = Fixed::new(&all);
        assert!((0..5_000).all(|draw| LeastConnections.pick(&nodes, &ask(draw)) != Some(42)));
    }
}
