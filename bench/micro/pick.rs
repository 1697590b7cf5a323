//! Picking a node among 3, 100 and 1,000, all usable and evenly loaded: the most expensive case of a full scan.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use plimsoll::logic::balance::{Ask, Balancer, Strategy};
use plimsoll::logic::latency::Sample;
use plimsoll::shared::clock;

use crate::even::Even;

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
