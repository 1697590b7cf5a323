//! Micro-benchmarks of the decisions that every request takes: `cargo bench --bench micro [filter]`.

use criterion::{criterion_group, criterion_main};

mod pick;
mod route;

criterion_group!(decisions, route::find, pick::every_strategy, pick::sample);
criterion_main!(decisions);
