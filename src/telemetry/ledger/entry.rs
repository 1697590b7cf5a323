//! What is known of one route, one node, one listener.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use super::second::Pending;
use crate::logic::limits::WINDOW_SECONDS;
use crate::shared::node::Node;
use crate::shared::report::{Durations, NodeCounts, Phases, RouteCounts};
use crate::telemetry::buckets::Buckets;
use crate::telemetry::window::{Quantiles, Window};

/// What requests are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Name of the route; empty where none matched.
    pub route: Arc<str>,
    /// Name of the backend; empty where the balancer answered itself.
    pub backend: Arc<str>,
}

/// Requests under one [`RouteKey`].
#[derive(Debug, Default)]
pub struct RouteLedger {
    /// How many for each status; 0 is a client that left before it got one.
    pub codes: BTreeMap<u16, u64>,
    /// From the request's head to the end of the response, since the start.
    pub durations: Buckets,
    /// The same of late.
    pub window: Window,
    /// Its parts of late.
    pub phases: PhaseWindows,
    pub(super) pending: Pending,
    /// The second of the newest request.
    pub(super) seen_s: u64,
}

/// The parts of durations of late.
#[derive(Debug, Default)]
pub struct PhaseWindows {
    /// Waiting for a node to have room.
    pub queue: Window,
    /// Opening a connection.
    pub connect: Window,
    /// From the request's head to the response's.
    pub first_byte: Window,
}

/// Requests of one node.
#[derive(Debug)]
pub struct NodeLedger {
    /// Whose they are. Gone, when nobody has the node any more: then the entry goes too.
    pub(super) node: Weak<Node>,
    /// From the request sent to the end of the response, since the node is there.
    pub durations: Buckets,
    /// The same of late.
    pub window: Window,
    /// Opening connections, since the node is there.
    pub connects: Buckets,
    /// The parts of its durations of late.
    pub phases: PhaseWindows,
    pub(super) pending: Pending,
    /// `(now_ms, requests_total)` of each second: rates come from the exact counter, not from report times.
    samples: VecDeque<(u64, u64)>,
}

/// Connections of one listener.
#[derive(Debug, Default)]
pub struct ListenerLedger {
    /// Accepted since the start.
    pub accepted: u64,
    /// Open, by worker, as each last said.
    pub(super) open: BTreeMap<usize, u64>,
}

impl ListenerLedger {
    /// Open now, over all workers.
    pub fn open(&self) -> u64 {
        self.open.values().sum()
    }

    /// Open now on this worker.
    pub fn open_on(&self, worker: usize) -> u64 {
        self.open.get(&worker).copied().unwrap_or(0)
    }
}

impl NodeLedger {
    pub(super) fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::downgrade(node),
            durations: Buckets::default(),
            window: Window::default(),
            connects: Buckets::default(),
            phases: PhaseWindows::default(),
            pending: Pending::default(),
            samples: VecDeque::new(),
        }
    }

    pub(super) fn sample(&mut self, requests: u64, now_ms: u64) {
        // One sample stands at or before the window's edge, so that the rate spans the whole window.
        while self.samples.get(1).is_some_and(|&(at_ms, _)| at_ms + WINDOW_SECONDS * 1000 <= now_ms) {
            self.samples.pop_front();
        }
        self.samples.push_back((now_ms, requests));
    }

    /// Requests a second over the window, given the counter as it stands now.
    pub fn rps(&self, requests: u64, now_ms: u64) -> f64 {
        match self.samples.front() {
            Some(&(at_ms, before)) if now_ms > at_ms => {
                requests.saturating_sub(before) as f64 * 1000.0 / (now_ms - at_ms) as f64
            }
            _ => 0.0,
        }
    }

    /// Quantiles of its durations of late.
    pub fn quantiles(&self, now_ms: u64) -> Option<Quantiles> {
        self.window.quantiles(now_ms / 1000)
    }
}

impl RouteLedger {
    /// Requests since the start.
    pub fn requests(&self) -> u64 {
        self.codes.values().sum()
    }
}

impl RouteLedger {
    pub(super) fn add(&mut self, counts: &RouteCounts, now_s: u64) {
        for &(code, count) in &counts.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.seen_s = now_s;
        self.durations.add(&counts.durations);
        self.window.add(&counts.durations, now_s);
        self.phases.add(&counts.phases, now_s);
        self.pending.add(&counts.codes, &counts.durations);
    }

    pub(super) fn forget(&mut self, now_s: u64) {
        self.window.forget(now_s);
        self.phases.forget(now_s);
    }
}

impl NodeLedger {
    pub(super) fn add(&mut self, counts: &NodeCounts, now_s: u64) {
        self.durations.add(&counts.durations);
        self.window.add(&counts.durations, now_s);
        self.connects.add(&counts.connects);
        self.phases.add(&counts.phases, now_s);
        self.phases.connect.add(&counts.connects, now_s);
        self.pending.add(&[], &counts.durations);
    }

    pub(super) fn forget(&mut self, now_s: u64) {
        self.window.forget(now_s);
        self.phases.forget(now_s);
    }
}

impl PhaseWindows {
    fn add(&mut self, phases: &Phases, now_s: u64) {
        let add = |window: &mut Window, durations: &Option<Durations>| {
            durations.iter().for_each(|durations| window.add(durations, now_s));
        };
        add(&mut self.queue, &phases.queue);
        add(&mut self.connect, &phases.connect);
        add(&mut self.first_byte, &phases.first_byte);
    }

    fn forget(&mut self, now_s: u64) {
        [&mut self.queue, &mut self.connect, &mut self.first_byte]
            .into_iter()
            .for_each(|window| window.forget(now_s));
    }
}
