//! Compute: the node with the most CPU to spare for what is in flight.
//!
//! ```text
//!             in flight + 1          1        busy: the share of its CPU that the node uses, at most 0.95
//!   cost = ------------------- x ---------,
//!           weight (1 - busy)    (1 - f)²     f: the share of requests that it fails, at most 0.97
//! ```
//!
//! `1 / (1 - busy)` is how much longer work takes on a server that is busy for that share of the time (the waiting of an
//! M/M/1 queue). The reading is a second or two old, the requests in flight are exact now: so nodes do not all get, and
//! then all lose, the traffic at each new reading, as they would by the reading alone. A node that fails has little to do,
//! and would be the cheapest if its failures did not count.
//!
//! Where one of the nodes that are compared has no reading (or none of the last ten seconds), they are compared by latency
//! instead, as [`super::peak_ewma`] does: a share of a CPU and microseconds cannot be weighed against each other.

use super::choice::Candidates;
use super::sample::Draws;
use super::{Ask, Nodes, peak_ewma};

/// Has no state.
#[derive(Debug, Default)]
pub struct Compute;

impl Compute {
    /// All of a few nodes, two of many.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        let mut draws = Draws::new(ask.draw);
        let candidates = Candidates::new(nodes, &mut draws);
        let all_are_read = candidates.all(|at| nodes.cpu(at, ask.now_us).is_some());
        candidates.cheapest(nodes, &mut draws, |at, load| match nodes.cpu(at, ask.now_us) {
            Some(busy) if all_are_read => {
                let failing = nodes.reading(at, ask.now_us).failing_factor();
                failing * load / (1.0 - busy.clamp(0.0, BUSY_MAX))
            }
            _ => peak_ewma::cost(nodes, at, load, ask.now_us),
        })
    }
}

/// So that a node which is quite busy is twenty times as dear, and not infinitely.
const BUSY_MAX: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, ask};
    use super::*;

    #[test]
    fn spare_cpu_and_requests_in_flight_count_together() {
        let mut nodes = Fixed::new(&[(1, 1), (1, 4), (1, 11)]);
        nodes.is_busy(&[0.9, 0.2, 0.5]);
        // 2/0.1, 5/0.8, 12/0.5.
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(1));
        // Within one reading the requests in flight move on to the next one.
        nodes.set_in_flight(1, 17);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(0));
    }

    #[test]
    fn a_node_that_is_busy_for_others_still_gets_its_part() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 30)]);
        nodes.is_busy(&[1.0, 0.0]);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(0));
    }

    #[test]
    fn a_node_that_fails_is_not_cheap_for_having_little_to_do() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 5)]);
        nodes.is_busy(&[0.01, 0.6]);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(0));
        nodes.fails(&[0.9]);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(1));
    }

    #[test]
    fn without_a_reading_latency_decides() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 0)]);
        nodes.answers_in(&[9_000.0, 1_000.0]);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(1));
        // One reading alone compares with nothing.
        nodes.is_busy(&[0.0]);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(1));
        nodes.is_busy(&[0.0, 0.5]);
        assert_eq!(Compute.pick(&nodes, &ask(1)), Some(0));
    }
}
