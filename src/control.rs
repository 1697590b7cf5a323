//! The control plane: knows the world, and publishes what the workers may use of it.

pub mod dns;
pub mod registry;
pub mod reload;

mod names;
mod probe;
