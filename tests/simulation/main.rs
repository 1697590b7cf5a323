//! The real strategies against simulated nodes, under a virtual clock: no socket, no sleep, thousands of runs a minute.
//!
//! Every run comes from one seed, which each failure names: `PLIMSOLL_SEED=17 cargo test --test simulation` runs that
//! one alone. `PLIMSOLL_LONG=1` runs fifty times as many.

mod coming_and_going;
mod equal_shares;
mod failing_node;
mod seeds;
mod slow_node;
mod world;
