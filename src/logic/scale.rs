//! Scaling: how many nodes a backend should have, what becomes of each, and which requests wait for one.
//!
//! Times are counted from one fixed moment of the caller's choice (`Duration`), so that whole days can be simulated.

pub mod decide;
pub mod hold;
pub mod lifecycle;
pub mod processor;
pub mod starts;
pub mod window;

use std::time::Duration;

/// `scale:` of a backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleSettings {
    /// The fewest nodes, `0..=max`; 0 stops the last one when it is idle.
    pub min: u32,
    /// The most nodes, `1..=NODES_MAX`.
    pub max: u32,
    /// What one node should carry; the hungriest of those given decides.
    pub target: Target,
    /// Where requests wait while nodes start.
    pub hold: HoldSettings,
    /// Without a request before the last node is stopped.
    pub idle: Duration,
    /// How it grows.
    pub up: Pace,
    /// How it shrinks.
    pub down: Pace,
}

/// What one node should carry.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Target {
    /// Requests in flight that a node takes without one waiting for another, at least 1. Room for the noise of arrivals
    /// is kept beside it: see [`decide`](decide::decide).
    pub in_flight: Option<f64>,
    /// Requests a second, above 0.
    pub rps: Option<f64>,
    /// Its share of the cores that it may use, above 0 and at most 1.
    pub cpu: Option<f64>,
    /// The time within which 99 of 100 requests are answered.
    pub p99: Option<Duration>,
}

/// `scale.hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldSettings {
    /// Requests that may wait.
    pub max: u32,
    /// For how long.
    pub timeout: Duration,
}

/// `scale.up`, `scale.down`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How long a need, or its absence, is looked at: 1 s to `SCALE_WINDOW_MAX`.
    pub window: Duration,
    /// Between two steps.
    pub cooldown: Duration,
    /// The largest step, as a share of the nodes that there are; one node is always allowed.
    pub step: f64,
}

impl Default for ScaleSettings {
    fn default() -> Self {
        Self {
            min: 1,
            max: 8,
            target: Target { in_flight: Some(20.0), ..Target::default() },
            hold: HoldSettings::default(),
            idle: Duration::from_secs(300),
            up: Pace { window: Duration::from_secs(6), cooldown: Duration::ZERO, step: 1.0 },
            down: Pace { window: Duration::from_secs(60), cooldown: Duration::from_secs(30), step: 0.5 },
        }
    }
}

impl Default for HoldSettings {
    fn default() -> Self {
        Self { max: 1000, timeout: Duration::from_secs(30) }
    }
}
