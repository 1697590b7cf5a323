//! The control plane: knows the world, and publishes what the workers may use of it.

pub mod autoscaler;
pub mod dns;
pub mod docker;
pub mod fleet;
pub mod no_engine;
pub mod process_fleet;
pub mod registry;
pub mod reload;

mod left_out;
mod names;
mod probe;
