//! The telemetry plane: merges what the workers counted, and tells it to whoever asks.
//!
//! [`collector`] owns the numbers, [`admin`] and [`prometheus`] show them, [`access_log`] writes what the workers
//! had to say of each exchange. Nothing here is ever waited for by a worker.

pub mod about;
pub mod access_log;
pub mod admin;
pub mod buckets;
pub mod cells;
pub mod collector;
pub mod exposition;
pub mod history;
pub mod ledger;
mod monitor;
pub mod prometheus;
pub mod window;
