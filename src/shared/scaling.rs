//! What everybody may know of how a backend's nodes are started and stopped.

/// Of one backend with a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaling {
    /// What starts and stops them: `docker`, `process`.
    pub fleet: &'static str,
    /// The fewest nodes.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// How many there should be.
    pub wanted: u32,
    /// How many take requests.
    pub running: u32,
    /// An operator paused the decisions.
    pub paused: bool,
    /// No node takes requests, and none is out of order: requests wait for one to start.
    pub asleep: bool,
    /// None will, within the patience of a request that comes now.
    pub hopeless: bool,
    /// When a request that was refused may come again, in seconds.
    pub retry_after_s: u32,
    /// How many of those that wait a node takes at once, where it has no limit of its own below that.
    pub places: u32,
}
