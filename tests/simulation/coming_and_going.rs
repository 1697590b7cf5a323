//! A node goes, and comes back while the others are at work.

use plimsoll::logic::balance::Strategy;

use crate::seeds::seeds;
use crate::world::{Kind, MS, Outcome, Plan, SECOND, between, share};

const GOES_US: u64 = 3 * SECOND;
const COMES_US: u64 = 6 * SECOND;

fn plan(strategy: Strategy, count: usize, seed: u64) -> Plan {
    let mut nodes = vec![Kind::serving_in(10 * MS); count];
    nodes[1].out = GOES_US..COMES_US;
    Plan { strategy, nodes, load: 0.5, length_us: 15 * SECOND, tells_cpu: true, seed }
}

#[test]
fn a_node_that_is_out_gets_nothing_and_one_that_is_back_gets_its_share() {
    for seed in seeds() {
        for strategy in Strategy::ALL {
            for count in [4, 24] {
                let outcomes = plan(strategy, count, seed).run();
                assert_eq!(
                    share(&between(&outcomes, GOES_US..COMES_US), 1),
                    0.0,
                    "{strategy:?}, seed {seed}"
                );
                // The first node of `first` takes it all, here as everywhere.
                let expected = if strategy == Strategy::First { -1.0 } else { 0.5 };
                let part = share(&between(&outcomes, COMES_US + 2 * SECOND..u64::MAX), 1) * count as f64;
                assert!(
                    part > expected,
                    "{strategy:?}, {count} nodes, seed {seed}: {part:.2} of its fair share"
                );
            }
        }
    }
}

/// The most requests that a node had at the same time.
fn most_at_once(outcomes: &[Outcome], node: usize, time_us: std::ops::Range<u64>) -> i64 {
    let there = between(outcomes, time_us).into_iter().filter(|outcome| outcome.node == node);
    let mut steps: Vec<_> = there
        .flat_map(|outcome| [(outcome.began_us, 1_i64), (outcome.began_us + outcome.took_us, -1)])
        .collect();
    steps.sort_unstable();
    let mut now = 0;
    steps
        .into_iter()
        .map(|(_, step)| {
            now += step;
            now
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn nobody_storms_a_node_that_comes_back() {
    for seed in seeds() {
        for strategy in [Strategy::LeastConnections, Strategy::PeakEwma, Strategy::Compute, Strategy::Prequal]
        {
            let outcomes = plan(strategy, 4, seed).run();
            let first_moment = COMES_US..COMES_US + 300 * MS;
            let newcomer = most_at_once(&outcomes, 1, first_moment.clone());
            let others = [0, 2, 3].map(|node| most_at_once(&outcomes, node, first_moment.clone()));
            let busiest = others.into_iter().max().unwrap_or(0);
            // Its reading of the CPU is that of an idle node for another second: the formula gives it up to that much more.
            let bound = if strategy == Strategy::Compute { 2 * busiest + 3 } else { busiest + 3 };
            assert!(
                newcomer <= bound,
                "{strategy:?}, seed {seed}: {newcomer} at once, the others {others:?}"
            );
        }
    }
}
