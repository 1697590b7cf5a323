//! The fleet on a real Docker engine: the real binary, real containers of `loadgen node`.
//!
//! `scripts/test.sh --only docker` gives them an engine and the image; without both, each test says that it was skipped.

#[path = "../harness/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the rig of all end to end tests: these use a part of it")]
#[path = "../end_to_end/rig.rs"]
mod rig;
#[allow(dead_code, reason = "as the rig")]
#[path = "../end_to_end/traffic.rs"]
mod traffic;

mod adoption;
mod deaths;
mod failing;
mod faults;
mod faulty;
mod health;
mod labels;
mod numbers;
mod rolls;
mod yard;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
