//! Which node gets the next request.
//!
//! A strategy sees nodes through [`Nodes`] and random draws through an argument; one file each in `balance/`.

pub mod least_connections;
pub mod round_robin;

use least_connections::LeastConnections;
use round_robin::RoundRobin;

/// The names of `strategy:` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// The node with the fewest requests in flight for its weight.
    LeastConnections,
}

/// The nodes of one backend as a strategy sees them, in an order that is stable between picks.
pub trait Nodes {
    /// How many.
    fn len(&self) -> usize;
    /// The weight of node `at`, at least 1.
    fn weight(&self, at: usize) -> u32;
    /// The exact number of requests in flight on node `at`, over all workers.
    fn in_flight(&self, at: usize) -> u32;
    /// False for a node that must not be picked now: down, draining, full, or already tried for this request.
    fn usable(&self, at: usize) -> bool;
    /// True where there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The state of one backend's strategy on one worker.
#[derive(Debug)]
pub enum Balancer {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`LeastConnections`].
    LeastConnections(LeastConnections),
}

impl Balancer {
    /// A fresh state. `worker` shifts where round robin starts, so that workers do not march in step.
    pub fn new(strategy: Strategy, worker: usize) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin(RoundRobin::new(worker)),
            Strategy::LeastConnections => Self::LeastConnections(LeastConnections),
        }
    }

    /// The node for the next request; `None` where none is usable. `draw` is a uniform random number.
    pub fn pick(&mut self, nodes: &impl Nodes, draw: u64) -> Option<usize> {
        match self {
            Self::RoundRobin(state) => state.pick(nodes),
            Self::LeastConnections(state) => state.pick(nodes, draw),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Nodes that stand still.
    pub(crate) struct Fixed(Vec<(u32, u32, bool)>);

    impl Fixed {
        /// `(weight, in flight)` each.
        pub(crate) fn new(nodes: &[(u32, u32)]) -> Self {
            Self(nodes.iter().map(|&(weight, in_flight)| (weight, in_flight, true)).collect())
        }

        pub(crate) fn unusable(&mut self, at: usize) {
            self.0[at].2 = false;
        }
    }

    impl Nodes for Fixed {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn weight(&self, at: usize) -> u32 {
            self.0[at].0
        }
        fn in_flight(&self, at: usize) -> u32 {
            self.0[at].1
        }
        fn usable(&self, at: usize) -> bool {
            self.0[at].2
        }
    }
}
