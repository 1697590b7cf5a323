//! Which node gets the next request.
//!
//! A strategy sees the nodes through [`Nodes`], and the request, the time and chance through [`Ask`]; one file each in
//! `balance/`. What several of them share has files too: drawing by weight ([`sample`]), the cheapest of some
//! ([`choice`]), the table of the hashing ones ([`table`]).

pub mod choice;
pub mod compute;
pub mod consistent_hash;
pub mod first;
pub mod ip_hash;
pub mod key;
pub mod least_connections;
pub mod peak_ewma;
pub mod prequal;
pub mod random;
pub mod round_robin;
pub mod sample;
pub mod sticky;
pub mod table;
pub mod two_choices;

use compute::Compute;
use consistent_hash::ConsistentHash;
use first::First;
use ip_hash::IpHash;
use least_connections::LeastConnections;
use peak_ewma::PeakEwma;
use prequal::Prequal;
use random::Random;
use round_robin::RoundRobin;
use table::HashTable;
use two_choices::TwoChoices;

use super::latency::Reading;

/// The names of `strategy:` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// The node with the fewest requests in flight for its weight.
    LeastConnections,
    /// By weight and chance alone.
    Random,
    /// The less loaded of two that are drawn.
    TwoChoices,
    /// The lowest latency for what is in flight.
    PeakEwma,
    /// The client's address decides, and nothing else.
    IpHash,
    /// A key of the request decides, while its node carries no more than 1.25 of its share.
    ConsistentHash,
    /// The node's own CPU reading and what is in flight.
    Compute,
    /// The first that may take it: the fewest nodes work.
    First,
    /// Hot ones are left out, then the lowest latency.
    Prequal,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RoundRobin,
        Self::LeastConnections,
        Self::Random,
        Self::TwoChoices,
        Self::PeakEwma,
        Self::IpHash,
        Self::ConsistentHash,
        Self::Compute,
        Self::First,
        Self::Prequal,
    ];

    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::Random => "random",
            Self::TwoChoices => "two_choices",
            Self::PeakEwma => "peak_ewma",
            Self::IpHash => "ip_hash",
            Self::ConsistentHash => "consistent_hash",
            Self::Compute => "compute",
            Self::First => "first",
            Self::Prequal => "prequal",
        }
    }

    /// Does it go by [`Ask::key`] and [`Nodes::table`]?
    pub fn hashes(self) -> bool {
        matches!(self, Self::IpHash | Self::ConsistentHash)
    }

    /// Does it go by [`Nodes::reading`]?
    pub fn measures(self) -> bool {
        matches!(self, Self::PeakEwma | Self::Compute | Self::Prequal)
    }
}

/// The nodes of one backend as a strategy sees them, in an order that is stable between picks.
pub trait Nodes {
    /// How many.
    fn len(&self) -> usize;
    /// The weight of node `at`, at least 1.
    fn weight(&self, at: usize) -> u32;
    /// The largest weight of all, at least 1.
    fn weight_max(&self) -> u32;
    /// The exact number of requests in flight on node `at`, over all workers.
    fn in_flight(&self, at: usize) -> u32;
    /// False for a node that must not be picked now: down, draining, full, or already tried for this request.
    fn usable(&self, at: usize) -> bool;
    /// What is known of its latency at this time. Asked by strategies that [measure](Strategy::measures) alone.
    fn reading(&self, at: usize, now_us: u64) -> Reading;
    /// The share of its CPU that the node is using, 0 to 1; `None` without a fresh reading.
    fn cpu(&self, at: usize, now_us: u64) -> Option<f64>;
    /// Where keys lead. Asked by strategies that [hash](Strategy::hashes) alone; `None` where nobody built one.
    fn table(&self) -> Option<&HashTable>;
    /// True where there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a pick goes by beside the nodes.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// A uniform random number.
    pub draw: u64,
    /// The hash of what the request is to be told by; `None` for one that has no such thing.
    pub key: Option<u64>,
    /// Microseconds on the clock of [`Nodes::reading`].
    pub now_us: u64,
}

/// The state of one backend's strategy on one worker.
#[derive(Debug)]
pub enum Balancer {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`LeastConnections`].
    LeastConnections(LeastConnections),
    /// See [`Random`].
    Random(Random),
    /// See [`TwoChoices`].
    TwoChoices(TwoChoices),
    /// See [`PeakEwma`].
    PeakEwma(PeakEwma),
    /// See [`IpHash`].
    IpHash(IpHash),
    /// See [`ConsistentHash`].
    ConsistentHash(ConsistentHash),
    /// See [`Compute`].
    Compute(Compute),
    /// See [`First`].
    First(First),
    /// See [`Prequal`].
    Prequal(Prequal),
}

impl Balancer {
    /// A fresh state. `worker` shifts where round robin starts, so that workers do not march in step.
    pub fn new(strategy: Strategy, worker: usize) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin(RoundRobin::new(worker)),
            Strategy::LeastConnections => Self::LeastConnections(LeastConnections),
            Strategy::Random => Self::Random(Random),
            Strategy::TwoChoices => Self::TwoChoices(TwoChoices),
            Strategy::PeakEwma => Self::PeakEwma(PeakEwma),
            Strategy::IpHash => Self::IpHash(IpHash),
            Strategy::ConsistentHash => Self::ConsistentHash(ConsistentHash::default()),
            Strategy::Compute => Self::Compute(Compute),
            Strategy::First => Self::First(First),
            Strategy::Prequal => Self::Prequal(Prequal),
        }
    }

    /// The node for the next request; `None` where none is usable.
    pub fn pick(&mut self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        match self {
            Self::RoundRobin(state) => state.pick(nodes),
            Self::LeastConnections(state) => state.pick(nodes, ask),
            Self::Random(state) => state.pick(nodes, ask),
            Self::TwoChoices(state) => state.pick(nodes, ask),
            Self::PeakEwma(state) => state.pick(nodes, ask),
            Self::IpHash(state) => state.pick(nodes, ask),
            Self::ConsistentHash(state) => state.pick(nodes, ask),
            Self::Compute(state) => state.pick(nodes, ask),
            Self::First(state) => state.pick(nodes),
            Self::Prequal(state) => state.pick(nodes, ask),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
