//! The real binary in hard times: nodes that die, clients that leave, dawdle or flood, too few descriptors, panics,
//! signals. Raw sockets on both sides, on both I/O drivers; waits for conditions, never for a while.

#[path = "../harness/harness.rs"]
mod harness;

mod aborts;
mod access_log;
mod amplification;
mod balancing;
mod clients;
mod commands;
mod descriptors;
mod drain;
mod fleet;
mod health;
mod hedging;
mod hold;
mod kernel;
mod listening;
mod mortal;
mod names;
mod nodes;
mod numbers;
mod operator;
mod overload;
mod panics;
mod parking;
mod queues;
mod rates;
mod reload;
mod retries;
mod rig;
mod sandbox;
mod shells;
mod skew;
mod slow_clients;
mod slow_readers;
mod storm;
mod traffic;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
