//! One node is five times slower than the others, which nobody has told the balancer.

use plimsoll::logic::balance::Strategy;

use crate::seeds::seeds;
use crate::world::{Kind, MS, Plan, SECOND, between, p99_us, share};

const SERVICE_US: u64 = 10 * MS;
const SLOWER: u64 = 5;

fn plan(strategy: Strategy, count: usize, seed: u64) -> Plan {
    let mut nodes = vec![Kind::serving_in(SERVICE_US); count];
    nodes[0].service_us *= SLOWER;
    Plan { strategy, nodes, load: 0.7, length_us: 12 * SECOND, tells_cpu: true, seed }
}

/// The p99 once the strategy has had time to learn.
fn settled_p99_us(strategy: Strategy, count: usize, seed: u64) -> u64 {
    p99_us(&between(&plan(strategy, count, seed).run(), 4 * SECOND..u64::MAX))
}

#[test]
fn strategies_that_look_keep_the_p99_far_below_those_that_do_not() {
    for seed in seeds() {
        for count in [3, 10] {
            let blind = settled_p99_us(Strategy::RoundRobin, count, seed);
            for strategy in
                [Strategy::LeastConnections, Strategy::PeakEwma, Strategy::Compute, Strategy::Prequal]
            {
                let p99_us = settled_p99_us(strategy, count, seed);
                assert!(
                    p99_us * 3 < blind,
                    "{strategy:?}, {count} nodes, seed {seed}: {p99_us} us, round robin {blind} us"
                );
            }
        }
    }
}

#[test]
fn those_that_measure_beat_those_that_count() {
    for count in [3, 10, 20] {
        let sum = |strategy| seeds().map(|seed| settled_p99_us(strategy, count, seed)).sum::<u64>();
        let counted = sum(Strategy::LeastConnections);
        for strategy in [Strategy::PeakEwma, Strategy::Prequal] {
            let measured = sum(strategy);
            println!(
                "{count} nodes: p99 of {strategy:?} is {:.2} of least connections'",
                measured as f64 / counted as f64
            );
            assert!(
                measured < counted,
                "{strategy:?}, {count} nodes: {measured} us, least connections {counted} us"
            );
        }
    }
}

#[test]
fn the_slow_node_is_not_given_up() {
    for seed in seeds() {
        for strategy in [Strategy::PeakEwma, Strategy::Prequal] {
            // At nearly the whole capacity it is needed.
            let outcomes = Plan { load: 0.95, ..plan(strategy, 3, seed) }.run();
            let part = share(&outcomes, 0);
            assert!(part > 0.01, "{strategy:?}, seed {seed}: {part:.4} of the requests");
        }
    }
}
