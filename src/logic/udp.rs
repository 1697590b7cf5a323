//! Datagrams: which of them belong together, and for how long.

pub mod sessions;
pub mod train;
