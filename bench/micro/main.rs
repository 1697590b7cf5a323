//! Micro-benchmarks of the decisions that every request takes: `cargo bench --bench micro [filter]`.

use criterion::{criterion_group, criterion_main};

mod pick;
mod route;

criterion_group!(decisions, route::find, pick::round_robin, pick::least_connections);
criterion_main!(decisions);
