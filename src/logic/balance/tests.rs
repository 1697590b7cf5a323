//! Nodes that stand still, and what holds for every strategy.

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::{Strategy, *};

/// Nodes that stand still.
#[derive(Debug)]
pub(crate) struct Fixed {
    nodes: Vec<FixedNode>,
    table: Option<HashTable>,
}

#[derive(Debug)]
struct FixedNode {
    weight: u32,
    in_flight: u32,
    usable: bool,
    reading: Reading,
    cpu: Option<f64>,
}

impl Fixed {
    /// `(weight, in flight)` each.
    pub(crate) fn new(nodes: &[(u32, u32)]) -> Self {
        let node = |&(weight, in_flight): &(u32, u32)| FixedNode {
            weight,
            in_flight,
            usable: true,
            reading: Reading::default(),
            cpu: None,
        };
        Self { nodes: nodes.iter().map(node).collect(), table: None }
    }

    /// Idle nodes of these weights.
    pub(crate) fn weighing(weights: &[u32]) -> Self {
        Self::new(&weights.iter().map(|&weight| (weight, 0)).collect::<Vec<_>>())
    }

    /// Idle nodes of these weights, with a table.
    pub(crate) fn hashing(weights: &[u32]) -> Self {
        let ids: Vec<_> = (0..weights.len()).map(|at| format!("api/10.0.0.{at}:80")).collect();
        let nodes: Vec<_> = ids.iter().map(String::as_str).zip(weights.iter().copied()).collect();
        Self { table: HashTable::new(&nodes), ..Self::weighing(weights) }
    }

    pub(crate) fn unusable(&mut self, at: usize) {
        self.nodes[at].usable = false;
    }

    pub(crate) fn usable_again(&mut self, at: usize) {
        self.nodes[at].usable = true;
    }

    pub(crate) fn set_weight(&mut self, at: usize, weight: u32) {
        self.nodes[at].weight = weight;
    }

    pub(crate) fn set_in_flight(&mut self, at: usize, in_flight: u32) {
        self.nodes[at].in_flight = in_flight;
    }

    pub(crate) fn begin(&mut self, at: usize) {
        self.nodes[at].in_flight += 1;
    }

    /// Latencies in microseconds; 0 is unknown.
    pub(crate) fn answers_in(&mut self, latencies_us: &[f64]) {
        for (node, &latency_us) in self.nodes.iter_mut().zip(latencies_us) {
            node.reading.latency_us = Some(latency_us).filter(|&latency_us| latency_us > 0.0);
        }
    }

    /// Shares of their requests that fail.
    pub(crate) fn fails(&mut self, shares: &[f64]) {
        for (node, &share) in self.nodes.iter_mut().zip(shares) {
            node.reading.failing = share;
        }
    }

    /// Shares of their CPUs.
    pub(crate) fn is_busy(&mut self, shares: &[f64]) {
        for (node, &share) in self.nodes.iter_mut().zip(shares) {
            node.cpu = Some(share);
        }
    }
}

impl Nodes for Fixed {
    fn len(&self) -> usize {
        self.nodes.len()
    }
    fn weight(&self, at: usize) -> u32 {
        self.nodes[at].weight
    }
    fn weight_max(&self) -> u32 {
        self.nodes.iter().map(|node| node.weight).max().unwrap_or(1)
    }
    fn in_flight(&self, at: usize) -> u32 {
        self.nodes[at].in_flight
    }
    fn usable(&self, at: usize) -> bool {
        self.nodes[at].usable
    }
    fn reading(&self, at: usize, _now_us: u64) -> Reading {
        self.nodes[at].reading
    }
    fn cpu(&self, at: usize, _now_us: u64) -> Option<f64> {
        self.nodes[at].cpu
    }
    fn table(&self) -> Option<&HashTable> {
        self.table.as_ref()
    }
}

/// A request without a key.
pub(crate) fn ask(draw: u64) -> Ask {
    Ask { draw, key: None, now_us: 0 }
}

/// A request with this key.
pub(crate) fn keyed(key: u64) -> Ask {
    Ask { draw: 0, key: Some(key), now_us: 0 }
}

/// The share of each of `nodes` in so many picks.
pub(crate) fn shares(picks: usize, nodes: usize, mut pick: impl FnMut() -> Option<usize>) -> Vec<f64> {
    let mut counts = vec![0_u32; nodes];
    for _ in 0..picks {
        counts[pick().unwrap()] += 1;
    }
    counts.iter().map(|&count| f64::from(count) / picks as f64).collect()
}

fn any_nodes() -> impl Generator<Value = Fixed> {
    let node = (1_u32..=20, 0_u32..50, any::<bool>(), 0_u32..3, 0.0..=1.0_f64);
    proptest::collection::vec(node, 0..40).prop_map(|all| {
        let weights: Vec<_> = all.iter().map(|node| node.0).collect();
        let mut nodes = Fixed::hashing(&weights);
        for (at, (_, in_flight, usable, known, share)) in all.into_iter().enumerate() {
            nodes.set_in_flight(at, in_flight);
            nodes.nodes[at].usable = usable;
            nodes.nodes[at].reading.latency_us = (known > 0).then_some(1_000.0 * share + 1.0);
            nodes.nodes[at].reading.failing = share;
            nodes.nodes[at].cpu = (known > 1).then_some(share);
        }
        nodes
    })
}

proptest! {
    /// The first promise of all: a node is found where there is one, and it is one that may be used.
    #[test]
    fn a_usable_node_is_picked_wherever_there_is_one(
        nodes in any_nodes().no_shrink(),
        draws in proptest::collection::vec(any::<u64>(), 1..50),
    ) {
        let any_usable = (0..nodes.len()).any(|at| nodes.usable(at));
        for strategy in Strategy::ALL {
            let mut balancer = Balancer::new(strategy, 1);
            for &draw in &draws {
                let picked = balancer.pick(&nodes, &Ask { draw, key: Some(draw), now_us: 1 });
                prop_assert_eq!(picked.is_some(), any_usable, "{:?}", strategy);
                prop_assert!(picked.is_none_or(|at| nodes.usable(at)), "{:?}", strategy);
            }
        }
    }

    /// The same world and the same draws: the same picks. What a simulation prints can be replayed.
    #[test]
    fn picks_repeat(nodes in any_nodes().no_shrink(), draws in proptest::collection::vec(any::<u64>(), 1..50)) {
        for strategy in Strategy::ALL {
            let run = || {
                let mut balancer = Balancer::new(strategy, 0);
                draws.iter().map(|&draw| balancer.pick(&nodes, &ask(draw))).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(), run(), "{:?}", strategy);
        }
    }
}

/// Requests come one by one, and each stays in flight while the next `concurrency` come: what each node got.
fn closed_loop(strategy: Strategy, nodes: &mut Fixed, concurrency: usize, picks: usize) -> Vec<f64> {
    let mut balancer = Balancer::new(strategy, 0);
    let mut draws = sample::Draws::new(42);
    let mut in_flight = std::collections::VecDeque::new();
    let len = nodes.len();
    shares(picks, len, || {
        let ask = Ask { draw: draws.next_draw(), key: Some(draws.next_draw()), now_us: 1 };
        let at = balancer.pick(nodes, &ask)?;
        nodes.begin(at);
        in_flight.push_back(at);
        if in_flight.len() > concurrency {
            let ended = in_flight.pop_front()?;
            nodes.nodes[ended].in_flight -= 1;
        }
        Some(at)
    })
}

/// Strategies that share by weight among nodes that are equal otherwise.
const SHARING: [Strategy; 8] = [
    Strategy::RoundRobin,
    Strategy::LeastConnections,
    Strategy::Random,
    Strategy::TwoChoices,
    Strategy::PeakEwma,
    Strategy::IpHash,
    Strategy::ConsistentHash,
    Strategy::Compute,
];

#[test]
fn equal_nodes_get_equal_shares() {
    for strategy in SHARING {
        for (count, concurrency) in [(3, 30), (10, 100), (40, 400)] {
            let mut nodes = Fixed::hashing(&vec![1; count]);
            nodes.answers_in(&vec![1_000.0; count]);
            nodes.is_busy(&vec![0.5; count]);
            let shares = closed_loop(strategy, &mut nodes, concurrency, 40_000);
            let fair = 1.0 / count as f64;
            let least = shares.iter().fold(f64::MAX, |least, &share| least.min(share / fair));
            assert!(least > 0.9, "{strategy:?} with {count} nodes: {shares:?}");
        }
    }
}

#[test]
fn shares_follow_weights() {
    for strategy in SHARING {
        for repeated in [1, 10] {
            let weights: Vec<u32> = [1, 2, 3, 4].repeat(repeated);
            let mut nodes = Fixed::hashing(&weights);
            nodes.answers_in(&vec![1_000.0; weights.len()]);
            nodes.is_busy(&vec![0.5; weights.len()]);
            let shares = closed_loop(strategy, &mut nodes, 100 * repeated, 60_000);
            for (share, weight) in shares.iter().zip(&weights) {
                let fair = f64::from(*weight) / (10 * repeated) as f64;
                assert!((0.85..1.15).contains(&(share / fair)), "{strategy:?}: {shares:?}");
            }
        }
    }
}

#[test]
fn names_are_those_of_the_file() {
    let mut names = Strategy::ALL.map(Strategy::name);
    names.sort_unstable();
    let expected = [
        "compute",
        "consistent_hash",
        "first",
        "ip_hash",
        "least_connections",
        "peak_ewma",
        "prequal",
        "random",
        "round_robin",
        "two_choices",
    ];
    assert_eq!(names, expected);
}
