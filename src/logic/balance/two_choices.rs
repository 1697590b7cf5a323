//! Two choices: of two nodes that are drawn by weight, the one with the smaller (requests in flight) / weight.
//!
//! "The Power of Two Choices in Randomized Load Balancing" (Mitzenmacher 2001): the longest queue of n nodes falls from
//! log n / log log n to log log n, at the price of one more draw. A tie goes to the node that was drawn first, so that
//! idle nodes share by weight.

use super::choice::two;
use super::sample::Draws;
use super::{Ask, Nodes};

/// Has no state.
#[derive(Debug, Default)]
pub struct TwoChoices;

impl TwoChoices {
    /// The less loaded of two.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        let (one, other) = two(nodes, &mut Draws::new(ask.draw))?;
        Some(match other {
            Some(other) if is_less_loaded(nodes, other, one) => other,
            _ => one,
        })
    }
}

/// a/b < c/d is a*d < c*b: exact, without dividing.
fn is_less_loaded(nodes: &impl Nodes, one: usize, other: usize) -> bool {
    let load = |at| u64::from(nodes.in_flight(at));
    let weight = |at| u64::from(nodes.weight(at).max(1));
    load(one) * weight(other) < load(other) * weight(one)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, ask, shares};
    use super::*;

    #[test]
    fn the_busiest_of_all_is_never_picked() {
        let nodes = Fixed::new(&[(1, 3), (1, 9), (1, 0), (1, 4)]);
        let shares = shares_of(&nodes);
        assert_eq!(shares[1], 0.0, "{shares:?}");
        // The idlest wins every pair that it is in: half of them.
        assert!((shares[2] - 0.5).abs() < 0.02, "{shares:?}");
    }

    #[test]
    fn idle_nodes_share_by_weight() {
        let shares = shares_of(&Fixed::weighing(&[1, 3]));
        assert!((shares[1] - 0.75).abs() < 0.02, "{shares:?}");
    }

    fn shares_of(nodes: &Fixed) -> Vec<f64> {
        let mut draw = 0;
        shares(20_000, nodes.len(), || {
            draw += 1;
            TwoChoices.pick(nodes, &ask(draw))
        })
    }
}
