//! The page of `/metrics`: which families there are, and where their numbers come from.
//!
//! Labels come from the configuration and from node addresses, never from a request.

use std::sync::Arc;
use std::time::Duration;

use super::about::About;
use super::access_log::LogCounters;
use super::exposition::{Dialect, Exposition, Kind};
use super::ledger::{Ledger, RouteKey};
use crate::shared::node::NodeState;
use crate::shared::snapshot::Snapshot;

/// All that the page tells of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The numbers.
    pub ledger: &'a Ledger,
    /// The nodes.
    pub snapshot: &'a Snapshot,
    /// The process.
    pub about: &'a About,
    /// How long it runs.
    pub uptime: Duration,
    /// The access log's writer, where there is one.
    pub log: Option<&'a LogCounters>,
    /// The monitor.
    pub monitor: &'a MonitorNumbers,
}

/// What the monitor counts.
#[derive(Debug, Default)]
pub struct MonitorNumbers {
    /// Viewers now.
    pub viewers: usize,
    /// Frames that viewers were too slow for.
    pub frames_lost: u64,
    /// Events that nobody took in time.
    pub events_dropped: u64,
    /// Log lines for viewers that nobody took in time.
    pub lines_dropped: u64,
    /// Decisions of the autoscaler: backend, direction, reason, how many.
    pub scale_events: Vec<(Arc<str>, &'static str, &'static str, u64)>,
    /// Backend, and how many requests were in flight on nodes that ended.
    pub cut: Vec<(Arc<str>, u64)>,
}

/// The whole page.
pub fn render(source: Source<'_>, dialect: Dialect) -> String {
    let mut page = Exposition::new(dialect);
    process(&mut page, source);
    requests(&mut page, source.ledger);
    nodes(&mut page, source.snapshot);
    queues(&mut page, source.snapshot);
    replicas(&mut page, source.snapshot);
    listeners(&mut page, source);
    totals(&mut page, source.ledger);
    monitor(&mut page, source.monitor);
    cuts(&mut page, source);
    dropped(&mut page, source);
    page.finish()
}

fn process(page: &mut Exposition, Source { about, uptime, .. }: Source<'_>) {
    page.family("plimsoll_build", Kind::Info, "Version and I/O driver of the running process.")
        .sample(&[("version", about.version), ("driver", &about.driver)], 1);
    page.family("plimsoll_workers", Kind::Gauge, "Worker threads.").sample(&[], about.workers);
    page.family("plimsoll_uptime_seconds", Kind::Gauge, "Seconds since the process started.")
        .sample(&[], uptime.as_secs_f64());
}

fn requests(page: &mut Exposition, ledger: &Ledger) {
    let help = "Requests that ended, by status; code 0 is a client that left before it got one.";
    let mut family = page.family("plimsoll_requests", Kind::Counter, help);
    for (key, route) in ledger.routes() {
        for (code, count) in &route.codes {
            let [listener, name, backend] = labels(key);
            family.sample(&[listener, name, backend, ("code", &code.to_string())], count);
        }
    }
    let help = "From a request's head to the end of its response.";
    let mut family = page.family("plimsoll_request_duration_seconds", Kind::Histogram, help);
    ledger.routes().for_each(|(key, route)| family.histogram(&labels(key), &route.durations));

    let help = "Opening a connection to a node.";
    let mut family = page.family("plimsoll_upstream_connect_seconds", Kind::Histogram, help);
    ledger.connects().for_each(|(backend, connects)| family.histogram(&[("backend", backend)], connects));

    let help = "Waiting for a node that has room, those requests too that were not served.";
    let mut family = page.family("plimsoll_queue_seconds", Kind::Histogram, help);
    ledger.queues().for_each(|(backend, waits)| family.histogram(&[("backend", backend)], waits));
    let help = "From a request's head to that of its response.";
    let mut family = page.family("plimsoll_first_byte_seconds", Kind::Histogram, help);
    ledger.first_bytes().for_each(|(backend, waits)| family.histogram(&[("backend", backend)], waits));
}

fn labels(key: &RouteKey) -> [(&str, &str); 3] {
    [("listener", &key.listener), ("route", &key.route), ("backend", &key.backend)]
}

fn nodes(page: &mut Exposition, snapshot: &Snapshot) {
    let nodes: Vec<_> = snapshot
        .backends
        .iter()
        .flat_map(|backend| &backend.nodes)
        .map(|entry| (entry, entry.node.address.to_string()))
        .collect();
    let mut family = page.family("plimsoll_in_flight", Kind::Gauge, "Requests in flight on a node now.");
    for (entry, address) in &nodes {
        family.sample(&[("backend", &entry.node.backend), ("node", address)], entry.node.in_flight());
    }
    let mut family = page.family("plimsoll_node_up", Kind::Gauge, "1 where a node takes requests, else 0.");
    for (entry, address) in &nodes {
        let up = u8::from(entry.state == NodeState::Serving);
        family.sample(&[("backend", &entry.node.backend), ("node", address)], up);
    }
}

fn queues(page: &mut Exposition, snapshot: &Snapshot) {
    let help = "Requests that wait for a node that has room.";
    let mut family = page.family("plimsoll_queued", Kind::Gauge, help);
    for queue in snapshot.backends.iter().filter_map(|backend| backend.queue.as_ref()) {
        family.sample(&[("backend", queue.backend())], queue.waiting());
    }
}

/// How many nodes of each backend are in each state; states that no node is in are 0, so that none ends in the middle of a
/// graph.
fn replicas(page: &mut Exposition, snapshot: &Snapshot) {
    let mut family = page.family("plimsoll_replicas", Kind::Gauge, "Nodes of a backend, by state.");
    for backend in &snapshot.backends {
        for state in NodeState::ALL {
            let count = backend.nodes.iter().filter(|entry| entry.state == state).count();
            family.sample(&[("backend", &backend.name), ("state", state.name())], count);
        }
    }
}

fn monitor(page: &mut Exposition, monitor: &MonitorNumbers) {
    page.family("plimsoll_viewers", Kind::Gauge, "Viewers of the monitor now.").sample(&[], monitor.viewers);
    let help = "Decisions of the autoscaler, by direction and by the rule that fired.";
    let mut family = page.family("plimsoll_scale_events", Kind::Counter, help);
    for (backend, direction, reason, count) in &monitor.scale_events {
        family.sample(&[("backend", backend), ("direction", direction), ("reason", reason)], count);
    }
}

/// Of every backend with a fleet, so that a count begins at 0.
fn cuts(page: &mut Exposition, Source { snapshot, monitor, .. }: Source<'_>) {
    let help = "Requests that were in flight on a node of a fleet when it ended.";
    let mut family = page.family("plimsoll_fleet_cut_requests", Kind::Counter, help);
    for backend in snapshot.backends.iter().filter(|backend| backend.scaling.is_some()) {
        let known = monitor.cut.iter().find(|(name, _)| *name == backend.name);
        family.sample(&[("backend", &backend.name)], known.map_or(0, |(_, count)| *count));
    }
}

fn listeners(page: &mut Exposition, Source { ledger, snapshot, .. }: Source<'_>) {
    let of = |name| ledger.listener(name).map_or((0, 0), |listener| (listener.open(), listener.accepted));
    let mut family =
        page.family("plimsoll_connections", Kind::Gauge, "Client connections that are open now.");
    snapshot.listeners.iter().for_each(|name| family.sample(&[("listener", name)], of(name).0));
    let help = "Client connections that were accepted.";
    let mut family = page.family("plimsoll_connections_accepted", Kind::Counter, help);
    snapshot.listeners.iter().for_each(|name| family.sample(&[("listener", name)], of(name).1));
}

fn totals(page: &mut Exposition, ledger: &Ledger) {
    let totals = ledger.totals();
    let help = "Bytes read from clients (in) and written to them (out).";
    let mut family = page.family("plimsoll_bytes", Kind::Counter, help);
    family.sample(&[("direction", "in")], totals.bytes_in);
    family.sample(&[("direction", "out")], totals.bytes_out);
    for (name, help, value) in [
        ("plimsoll_retries", "Attempts beyond a request's first.", totals.retries),
        ("plimsoll_hedges", "Requests that were sent to a second node as well.", totals.hedges),
        ("plimsoll_hedges_won", "Those of them that the second node answered first.", totals.hedges_won),
        ("plimsoll_rate_limited", "Requests that a rate limit refused.", totals.rate_limited),
        ("plimsoll_panics", "Client connections lost to a bug of the balancer.", totals.panics),
        (
            "plimsoll_accept_errors",
            "Failures to accept for want of file descriptors or memory.",
            totals.accept_errors,
        ),
        (
            "plimsoll_datagrams_dropped",
            "Datagrams that found no node, no room for a session, or no room in the kernel.",
            totals.datagrams_dropped,
        ),
    ] {
        page.family(name, Kind::Counter, help).sample(&[], value);
    }
}

fn dropped(page: &mut Exposition, Source { ledger, log, monitor, .. }: Source<'_>) {
    let totals = ledger.totals();
    let help = "What was not told: log lines that the writer had no room for or could not write, \
                reports of workers that came late (their counts are in the next one), events, lines and frames \
                that viewers of the monitor did not get.";
    let mut family = page.family("plimsoll_telemetry_dropped", Kind::Counter, help);
    family.sample(&[("kind", "log_line")], totals.log_lines_dropped);
    family.sample(&[("kind", "log_line_unwritten")], log.map_or(0, LogCounters::lost));
    family.sample(&[("kind", "report")], totals.reports_dropped);
    family.sample(&[("kind", "event")], monitor.events_dropped);
    family.sample(&[("kind", "viewer_line")], monitor.lines_dropped);
    family.sample(&[("kind", "viewer_frame")], monitor.frames_lost);
    page.family("plimsoll_log_lines", Kind::Counter, "Access log lines that were written.")
        .sample(&[], log.map_or(0, LogCounters::written));
}
