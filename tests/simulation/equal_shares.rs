//! Equal nodes get equal shares, and nodes of different weight get what their weights say.

use plimsoll::logic::balance::Strategy;

use crate::seeds::seeds;
use crate::world::{Kind, MS, Plan, SECOND, share};

/// All but the one that packs.
const SPREADING: [Strategy; 9] = [
    Strategy::RoundRobin,
    Strategy::LeastConnections,
    Strategy::Random,
    Strategy::TwoChoices,
    Strategy::PeakEwma,
    Strategy::IpHash,
    Strategy::ConsistentHash,
    Strategy::Compute,
    Strategy::Prequal,
];

#[test]
fn equal_nodes_get_equal_shares_under_load() {
    for seed in seeds() {
        for strategy in SPREADING {
            for count in [3, 20] {
                let nodes = vec![Kind::serving_in(10 * MS); count];
                let plan = Plan { strategy, nodes, load: 0.7, length_us: 10 * SECOND, tells_cpu: true, seed };
                let outcomes = plan.run();
                let fair = 1.0 / count as f64;
                let least = (0..count).map(|node| share(&outcomes, node) / fair).fold(f64::MAX, f64::min);
                // Service times are exponential: estimates of latency differ by chance, and those that go by them too.
                let bound = match strategy {
                    Strategy::Prequal => 0.6,
                    Strategy::PeakEwma => 0.7,
                    _ => 0.85,
                };
                assert!(
                    least > bound,
                    "{strategy:?}, {count} nodes, seed {seed}: {least:.2} of the fair share"
                );
            }
        }
    }
}

#[test]
fn least_connections_starves_nobody() {
    for seed in seeds() {
        let nodes = vec![Kind::serving_in(10 * MS); 10];
        let strategy = Strategy::LeastConnections;
        let plan = Plan { strategy, nodes, load: 0.7, length_us: 20 * SECOND, tells_cpu: false, seed };
        let outcomes = plan.run();
        let least = (0..10).map(|node| share(&outcomes, node) * 10.0).fold(f64::MAX, f64::min);
        assert!(least > 0.9, "seed {seed}: {least:.3} of the fair share");
    }
}

#[test]
fn nodes_that_can_do_more_get_more_by_their_weights() {
    for seed in seeds() {
        for strategy in SPREADING.into_iter().filter(|&strategy| strategy != Strategy::Prequal) {
            let sized = |weight: u32| Kind { weight, places: 4 * weight, ..Kind::serving_in(10 * MS) };
            let nodes = vec![sized(1), sized(2), sized(3)];
            let plan = Plan { strategy, nodes, load: 0.7, length_us: 10 * SECOND, tells_cpu: true, seed };
            let outcomes = plan.run();
            for (node, weight) in [1.0, 2.0, 3.0].into_iter().enumerate() {
                let share = share(&outcomes, node) / (weight / 6.0);
                assert!((0.8..1.2).contains(&share), "{strategy:?}, seed {seed}: {share:.2} of {weight}/6");
            }
        }
    }
}
