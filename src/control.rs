//! The control plane: knows the world, and publishes what the workers may use of it.

pub mod dns;
pub mod fleet;
pub mod process_fleet;
pub mod registry;
