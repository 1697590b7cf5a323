//! How things are called in answers: as they are written in the file.

use std::time::Instant;

use crate::logic::balance::Strategy;
use crate::logic::route::{Action, HostPattern, Route};
use crate::shared::clock;
use crate::shared::node::Node;
use crate::shared::run_state::Phase;
use crate::shared::snapshot::Snapshot;

pub(in crate::telemetry) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
    }
}

pub(in crate::telemetry) fn strategy(strategy: Strategy) -> &'static str {
    strategy.name()
}

pub(in crate::telemetry) fn host(host: &HostPattern) -> String {
    match host {
        HostPattern::Any => "*".to_owned(),
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Suffix(suffix) => format!("*{suffix}"),
    }
}

pub(in crate::telemetry) fn action(route: &Route) -> &'static str {
    match route.action {
        Action::Forward { .. } => "forward",
        Action::Redirect { .. } => "redirect",
        Action::Respond { .. } => "respond",
    }
}

/// Name of the backend that a route leads to.
pub(in crate::telemetry) fn backend_of<'a>(route: &Route, snapshot: &'a Snapshot) -> Option<&'a str> {
    match route.action {
        Action::Forward { backend, .. } => {
            snapshot.backends.get(usize::from(backend.0)).map(|backend| &*backend.name)
        }
        _ => None,
    }
}

/// A container by the twelve letters that people know it by; a process by its whole name.
pub(in crate::telemetry) fn unit(unit: &str) -> &str {
    unit.get(..12).unwrap_or(unit)
}

/// How busy a node's machine is, in percent with two digits; `None` where it does not tell, or has not of late.
pub(in crate::telemetry) fn cpu_percent(node: &Node) -> Option<f64> {
    node.cpu(clock::micros(Instant::now())).map(|share| (share * 10_000.0).round() / 100.0)
}
