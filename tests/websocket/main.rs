//! The monitor's websocket of the real binary: the protocol by a second implementation, hostile and slow viewers, many of
//! them, and numbers that agree with those of who made the load.

#[path = "../harness/harness.rs"]
mod harness;

mod agreement;
mod commands;
mod events;
mod hostile;
mod many;
mod protocol;
mod rig;
mod terminal;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
