//! Picking a node among 3, 100 and 1,000, all usable and evenly loaded: the most expensive case of a full scan.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use plimsoll::logic::balance::{Balancer, Nodes, Strategy};

/// Smooth weighted round robin.
pub(crate) fn round_robin(criterion: &mut Criterion) {
    picks(criterion, "pick/round_robin", Strategy::RoundRobin);
}

/// Least connections.
pub(crate) fn least_connections(criterion: &mut Criterion) {
    picks(criterion, "pick/least_connections", Strategy::LeastConnections);
}

fn picks(criterion: &mut Criterion, name: &str, strategy: Strategy) {
    let mut group = criterion.benchmark_group(name);
    for size in [3, 100, 1000] {
        let nodes = Even(vec![(1, 4); size]);
        let mut balancer = Balancer::new(strategy, 0);
        let mut draw = 0_u64;
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                balancer.pick(black_box(&nodes), draw)
            });
        });
    }
    group.finish();
}

/// Weight and requests in flight of each node.
struct Even(Vec<(u32, u32)>);

impl Nodes for Even {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, at: usize) -> u32 {
        self.0[at].0
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.0[at].1
    }

    fn usable(&self, _at: usize) -> bool {
        true
    }
}
