//! A node answers everything at once, with an error: the black hole that strategies fall into which go by load alone.

use plimsoll::logic::balance::Strategy;

use crate::seeds::seeds;
use crate::world::{Kind, MS, Plan, SECOND, between, share};

const BREAKS_US: u64 = 3 * SECOND;
const HEALS_US: u64 = 10 * SECOND;

fn plan(strategy: Strategy, seed: u64) -> Plan {
    let mut nodes = vec![Kind::serving_in(5 * MS); 4];
    nodes[2].fails = BREAKS_US..HEALS_US;
    Plan { strategy, nodes, load: 0.6, length_us: 50 * SECOND, tells_cpu: false, seed }
}

#[test]
fn failing_fast_is_not_taken_for_being_fast() {
    for seed in seeds() {
        for strategy in [Strategy::PeakEwma, Strategy::Prequal, Strategy::Compute] {
            let outcomes = plan(strategy, seed).run();
            let settled = between(&outcomes, BREAKS_US + 2 * SECOND..HEALS_US);
            let part = share(&settled, 2);
            assert!(part <= 0.01, "{strategy:?}, seed {seed}: {part:.4} of the requests fail after 2 s");
            let failed = outcomes.iter().filter(|outcome| outcome.failed).count();
            assert!(failed > 0, "{strategy:?}, seed {seed}: the node never failed anything");
        }
    }
}

#[test]
fn a_node_that_heals_is_used_again() {
    for seed in seeds() {
        for strategy in [Strategy::PeakEwma, Strategy::Prequal, Strategy::Compute] {
            let outcomes = plan(strategy, seed).run();
            let part = share(&between(&outcomes, HEALS_US + 30 * SECOND..u64::MAX), 2) * 4.0;
            assert!(
                part > 0.5,
                "{strategy:?}, seed {seed}: {part:.2} of its fair share, 30 s after it healed"
            );
        }
    }
}
