//! Micro-benchmarks of the decisions that every request takes: `cargo bench --bench micro [filter]`.

use criterion::{Criterion, criterion_group, criterion_main};

mod even;
mod pick;
mod route;
mod steps;

/// As in the program: some steps allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each step of an ordinary request.
fn steps(criterion: &mut Criterion) {
    for (name, mut step) in steps::all() {
        criterion.bench_function(&name, |bencher| bencher.iter(&mut step));
    }
}

criterion_group!(decisions, steps, route::find, pick::every_strategy, pick::sample);
criterion_main!(decisions);
