//! Picking a node among 3, 100 and 1,000, all usable and evenly loaded: the most expensive case of a full scan.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use plimsoll::logic::balance::table::HashTable;
use plimsoll::logic::balance::{Ask, Balancer, Nodes, Strategy};
use plimsoll::logic::latency::{Reading, Sample};
use plimsoll::shared::clock;
use plimsoll::shared::node::{Node, NodeAddress, Origin};

/// Every strategy, on nodes as the workers have them: with atomics on lines of their own.
pub(crate) fn every_strategy(criterion: &mut Criterion) {
    for strategy in Strategy::ALL {
        let mut group = criterion.benchmark_group(format!("pick/{}", strategy.name()));
        for size in [3, 100, 1000] {
            let nodes = Even::new(size);
            let mut balancer = Balancer::new(strategy, 0);
            let mut draw = 0_u64;
            let now_us = clock::micros(Instant::now() + Duration::from_secs(1));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    balancer.pick(black_box(&nodes), &Ask { draw, key: Some(draw), now_us })
                });
            });
        }
        group.finish();
    }
}

/// What a strategy that measures adds to the end of every request.
pub(crate) fn sample(criterion: &mut Criterion) {
    let nodes = Even::new(1);
    let mut now_us = 1_000_000;
    criterion.bench_function("pick/sample", |bencher| {
        bencher.iter(|| {
            now_us += 25;
            nodes.nodes[0].sample(black_box(Sample::Answered(1_200)), now_us);
        });
    });
}

/// Nodes with four requests each.
struct Even {
    nodes: Vec<Arc<Node>>,
    table: Option<HashTable>,
}

impl Even {
    fn new(size: usize) -> Self {
        let node = |number: usize| {
            let address = NodeAddress::Unresolved(format!("node-{number}:80").into());
            let node = Arc::new(Node::new("bench".into(), address, Origin::Static));
            (0..4).for_each(|_| node.begin());
            node.sample(Sample::Answered(1_000), clock::micros(Instant::now()));
            node.set_cpu(0.5, Instant::now());
            node
        };
        let nodes: Vec<_> = (0..size).map(node).collect();
        let weighed: Vec<_> = nodes.iter().map(|node| (&*node.id, 1)).collect();
        let table = HashTable::new(&weighed);
        Self { nodes, table }
    }
}

impl Nodes for Even {
    fn len(&self) -> usize {
        self.nodes.len()
    }

    fn weight(&self, _at: usize) -> u32 {
        1
    }

    fn weight_max(&self) -> u32 {
        1
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.nodes[at].in_flight()
    }

    fn usable(&self, _at: usize) -> bool {
        true
    }

    fn reading(&self, at: usize, now_us: u64) -> Reading {
        self.nodes[at].reading(now_us)
    }

    fn cpu(&self, at: usize, now_us: u64) -> Option<f64> {
        self.nodes[at].cpu(now_us)
    }

    fn table(&self) -> Option<&HashTable> {
        self.table.as_ref()
    }
}
