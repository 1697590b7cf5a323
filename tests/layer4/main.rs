//! The real binary before nodes that speak no HTTP: raw sockets on both sides, on both I/O drivers. Waits for conditions,
//! never for a while.

#[path = "../harness/harness.rs"]
mod harness;

mod bulk;
mod datagrams;
mod dialling;
mod dns;
mod endings;
mod names;
mod nodes;
mod postgres;
mod proxied;
mod reload;
mod rig;
mod telling;
mod trouble;
mod udp;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
