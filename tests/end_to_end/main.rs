//! The real binary in hard times: nodes that die, clients that leave, dawdle or flood, too few descriptors, panics,
//! signals. Raw sockets on both sides, on both I/O drivers; waits for conditions, never for a while.

#[path = "../harness/harness.rs"]
mod harness;

mod aborts;
mod access_log;
mod balancing;
mod commands;
mod descriptors;
mod drain;
mod health;
mod kernel;
mod listening;
mod mortal;
mod names;
mod nodes;
mod numbers;
mod panics;
mod parking;
mod reload;
mod rig;
mod skew;
mod slow_clients;
mod slow_readers;
mod storm;
mod traffic;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
