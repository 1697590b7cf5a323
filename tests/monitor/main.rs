//! The monitor page in a real browser (headless Chromium, through chromedriver) before the real binary under load.
//!
//! Pictures of it are kept in `target/monitor/`, for people to look at. Where there is no browser the tests say so, and prove
//! nothing.

#[path = "../harness/harness.rs"]
mod harness;

mod acting;
mod browser;
mod looks;
mod operating;
mod relay;
mod scene;
mod strangers;
mod watching;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
