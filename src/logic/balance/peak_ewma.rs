//! Peak EWMA: the node where (latency) x (in flight + 1) / weight is smallest.
//!
//! The latency is the estimate of [`crate::logic::latency`]: it follows a peak at once, forgets it with a time constant of
//! ten seconds, decays while the node is idle, and grows with the share of requests that fail. Two nodes of different
//! speed end up with the same product, so each gets what it can serve (Finagle 2015; linkerd's default).

use super::choice::Candidates;
use super::sample::Draws;
use super::{Ask, Nodes};

/// Has no state: the estimates belong to the nodes, where all workers write them.
#[derive(Debug, Default)]
pub struct PeakEwma;

impl PeakEwma {
    /// All of a few nodes, two of many.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        let mut draws = Draws::new(ask.draw);
        let candidates = Candidates::new(nodes, &mut draws);
        candidates.cheapest(nodes, &mut draws, |at, load| cost(nodes, at, load, ask.now_us))
    }
}

/// What one more request would cost on this node.
pub(super) fn cost(nodes: &impl Nodes, at: usize, load: f64, now_us: u64) -> f64 {
    nodes.reading(at, now_us).cost_us(nodes.in_flight(at)) * load
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, ask, shares};
    use super::*;

    #[test]
    fn a_slow_node_waits_until_the_fast_ones_are_as_dear() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 3), (1, 5)]);
        nodes.answers_in(&[5_000.0, 1_000.0, 1_000.0]);
        // 5, 4 and 6 milliseconds.
        assert_eq!(PeakEwma.pick(&nodes, &ask(1)), Some(1));
        nodes.set_in_flight(1, 5);
        assert_eq!(PeakEwma.pick(&nodes, &ask(1)), Some(0));
    }

    #[test]
    fn weights_divide_the_cost() {
        let mut nodes = Fixed::new(&[(1, 1), (3, 4)]);
        nodes.answers_in(&[1_000.0, 1_000.0]);
        // 2 against 5/3.
        assert_eq!(PeakEwma.pick(&nodes, &ask(1)), Some(1));
    }

    #[test]
    fn a_new_node_is_tried_by_one_request_and_then_waited_for() {
        let mut nodes = Fixed::new(&[(1, 7), (1, 0)]);
        nodes.answers_in(&[1_000.0, 0.0]);
        assert_eq!(PeakEwma.pick(&nodes, &ask(1)), Some(1));
        nodes.set_in_flight(1, 1);
        assert_eq!(PeakEwma.pick(&nodes, &ask(1)), Some(0));
    }

    #[test]
    fn the_dearest_of_many_is_never_picked() {
        let mut nodes = Fixed::new(&[(1, 2); 50]);
        let mut latencies = [1_000.0; 50];
        latencies[9] = 1_001.0;
        nodes.answers_in(&latencies);
        let mut draw = 0;
        let shares = shares(10_000, 50, || {
            draw += 1;
            PeakEwma.pick(&nodes, &ask(draw))
        });
        assert_eq!(shares[9], 0.0);
    }
}
