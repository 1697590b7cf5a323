//! A worker in its steady state allocates nothing for a request: all that it needs is pooled.
//!
//! Needs the library's counting allocator: `cargo test --features count-allocations --test allocations`, which
//! scripts/test.sh runs. One test, so that no other worker allocates meanwhile.

#[cfg(feature = "count-allocations")]
mod steady_state;

#[cfg(not(feature = "count-allocations"))]
#[test]
#[ignore = "needs an allocator that counts: `cargo test --features count-allocations --test allocations`"]
fn a_request_allocates_nothing() {}
