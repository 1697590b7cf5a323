//! What tests of the real binary stand on: the process, scripted origins, raw clients, and a strict reader of
//! messages. Shared by several test programs through `#[path]`.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test program that includes the harness uses a part of it"
)]

pub(crate) mod balancer;
pub(crate) mod client;
pub(crate) mod gate;
pub(crate) mod message;
pub(crate) mod origin;
pub(crate) mod site;
pub(crate) mod stage;

use std::time::{Duration, Instant};

/// How long any test waits for anything before it fails: long, because machines that run tests are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `condition` gives something; fails the test, saying `what`, where it never does.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
