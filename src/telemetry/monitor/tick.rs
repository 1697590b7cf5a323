//! The numbers of a second, as viewers get them and as the history keeps them.

mod fields;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::next_step::next_step;
use super::{Monitor, State, now_ms};
use crate::shared::report::Totals;
use crate::shared::scaling::Scaling;
use crate::shared::snapshot::{Backend, Entry, Snapshot};
use crate::telemetry::access_log::LogCounters;
use crate::telemetry::admin::words;
use crate::telemetry::collector::View;
use crate::telemetry::history::{Name, Sample};
use crate::telemetry::ledger::{Pending, Second};
use crate::telemetry::window::{self, Quantiles};
use fields::{
    BackendFields, Dropped, Flow, ListenerFields, NodeFields, Phases, QuantileFields, RouteFields, Tick,
    TotalFields,
};

/// What stood at the end of the second before.
#[derive(Debug, Default)]
pub(super) struct Before {
    at: Option<Instant>,
    totals: Totals,
    accepted: HashMap<Arc<str>, u64>,
    /// Requests and errors of each node.
    nodes: HashMap<Arc<str>, (u64, u64)>,
    /// What a viewer has to hear a snapshot for: the snapshot's generation, the configuration, the newest reload.
    shape: (u64, String, Option<u64>),
}

/// All that a tick is made of.
struct Present<'a> {
    view: &'a View<'a>,
    snapshot: &'a Snapshot,
    second: &'a Second,
    before: &'a Before,
    /// Since the second before, at least a little.
    elapsed_s: f64,
}

/// Ends a second: the tick is put into `state`, and a row into the history. True where what viewers know of the
/// configuration is not true any more.
pub(super) fn close(monitor: &Monitor, state: &mut State) -> bool {
    let admin = &monitor.0.admin;
    let snapshot = admin.published.current();
    let mut view = admin.collector.view();
    let second = view.ledger.take_second();
    let now = Instant::now();
    let elapsed_s = state.before.at.map_or(1.0, |at| (now - at).as_secs_f64()).max(0.001);
    let present =
        Present { view: &view, snapshot: &snapshot, second: &second, before: &state.before, elapsed_s };
    let at_ms = now_ms();
    let total = second.sum(|_| true);
    let tick = present.tick(monitor, at_ms, &total);
    // Our own types serialise: they have string keys, and floats that are finite or null.
    let text = serde_json::to_string(&tick).unwrap_or_else(|_| "{}".into());
    let (whole, named) = present.samples(&total);
    let after = present.after(admin, now);
    drop(view);
    state.tick = text;
    state.history.close_second(at_ms, &whole, named);
    let changed = state.before.at.is_some() && state.before.shape != after.shape;
    state.before = after;
    changed
}

impl<'a> Present<'a> {
    fn tick(&self, monitor: &Monitor, at_ms: u64, total: &Pending) -> Tick<'a> {
        let admin = &monitor.0.admin;
        let backends: Vec<_> = self.snapshot.backends.iter().map(|backend| self.backend(backend)).collect();
        Tick {
            at_ms,
            phase: words::phase(admin.run_state.phase()),
            uptime_ms: u64::try_from(admin.collector.uptime().as_millis()).unwrap_or(u64::MAX),
            viewers: monitor.viewers(),
            totals: self.totals(monitor, total),
            latency: total.whole.heat(),
            listeners: self.snapshot.listeners.iter().map(|name| self.listener(name)).collect(),
            routes: self.routes(),
            flows: self.flows(),
            nodes: self.nodes(&backends),
            backends,
        }
    }

    fn totals(&self, monitor: &Monitor, total: &Pending) -> TotalFields {
        let ledger = &self.view.ledger;
        let totals = ledger.totals();
        let before = self.before.totals;
        let codes = || ledger.routes().flat_map(|(_, route)| &route.codes);
        let listeners = || self.snapshot.listeners.iter().filter_map(|name| ledger.listener(name));
        let accepted: u64 = listeners().map(|listener| listener.accepted).sum();
        let accepted_before: u64 = self.before.accepted.values().sum();
        TotalFields {
            rps: self.rate(total.classes.sum()),
            classes: total.classes,
            quantiles: total.whole.quantiles().into(),
            in_flight: self.entries().map(|entry| u64::from(entry.node.in_flight())).sum(),
            queued: self.snapshot.backends.iter().map(|backend| queued(backend)).sum(),
            connections: listeners().map(|listener| listener.open()).sum(),
            connections_by_worker: ledger.open_by_worker(),
            connects_per_s: self.rate(accepted.saturating_sub(accepted_before)),
            bytes_in_per_s: self.rate(totals.bytes_in - before.bytes_in),
            bytes_out_per_s: self.rate(totals.bytes_out - before.bytes_out),
            retries_per_s: self.rate(totals.retries - before.retries),
            requests_total: codes().map(|(_, count)| count).sum(),
            errors_total: codes().filter(|(code, _)| **code >= 500).map(|(_, count)| count).sum(),
            retries_total: totals.retries,
            hedges_total: totals.hedges,
            hedges_won_total: totals.hedges_won,
            bytes_in_total: totals.bytes_in,
            bytes_out_total: totals.bytes_out,
            dropped: dropped(monitor, totals),
        }
    }

    fn listener(&self, name: &'a Arc<str>) -> ListenerFields<'a> {
        let known = self.view.ledger.listener(name);
        let accepted = known.map_or(0, |listener| listener.accepted);
        let before = self.before.accepted.get(name).copied().unwrap_or(0);
        ListenerFields {
            name,
            rps: self.rate(self.second.sum(|key| key.listener == *name).classes.sum()),
            connections: known.map_or(0, |listener| listener.open()),
            accepted_per_s: self.rate(accepted.saturating_sub(before)),
        }
    }

    fn routes(&self) -> Vec<RouteFields<'a>> {
        let fields = |route: &'a crate::logic::route::Route| {
            let known =
                || self.view.ledger.routes().filter(|(key, _)| key.route == route.name).map(|(_, of)| of);
            let codes = || known().flat_map(|of| &of.codes);
            let pending = self.second.sum(|key| key.route == route.name);
            RouteFields {
                name: &route.name,
                backend: words::backend_of(route, self.snapshot),
                rps: self.rate(pending.classes.sum()),
                classes: pending.classes,
                quantiles: self.merged(known().map(|of| &of.window)),
                phases: Phases {
                    queue: self.pair(known().map(|of| &of.phases.queue)),
                    connect: self.pair(known().map(|of| &of.phases.connect)),
                    first_byte: self.pair(known().map(|of| &of.phases.first_byte)),
                },
                requests_total: codes().map(|(_, count)| count).sum(),
                errors_total: codes().filter(|(code, _)| **code >= 500).map(|(_, count)| count).sum(),
            }
        };
        self.snapshot.routes.iter().map(|(_, route)| fields(route)).collect()
    }

    fn flows(&self) -> Vec<Flow> {
        let flow = |(key, pending): (&crate::telemetry::ledger::RouteKey, &Pending)| Flow {
            listener: key.listener.to_string(),
            route: key.route.to_string(),
            backend: key.backend.to_string(),
            rps: self.rate(pending.classes.sum()),
            errors_per_s: self.rate(pending.classes.server_error),
        };
        self.second.routes.iter().map(flow).collect()
    }

    fn backend(&self, backend: &'a Backend) -> BackendFields<'a> {
        let known = || backend.nodes.iter().filter_map(|entry| self.view.ledger.node(&entry.node.id));
        let since: Vec<_> = backend.nodes.iter().map(|entry| self.since(entry)).collect();
        let mut states = std::collections::BTreeMap::new();
        backend.nodes.iter().for_each(|entry| *states.entry(entry.state.name()).or_default() += 1);
        BackendFields {
            name: &backend.name,
            rps: self.rate(since.iter().map(|(requests, _)| requests).sum()),
            errors_per_s: self.rate(since.iter().map(|(_, errors)| errors).sum()),
            in_flight: backend.nodes.iter().map(|entry| u64::from(entry.node.in_flight())).sum(),
            queued: queued(backend),
            serving: states.get("serving").copied().unwrap_or(0),
            nodes: backend.nodes.len(),
            quantiles: self.merged(known().map(|of| &of.window)),
            phases: Phases {
                queue: self.pair(known().map(|of| &of.phases.queue)),
                connect: self.pair(known().map(|of| &of.phases.connect)),
                first_byte: self.pair(known().map(|of| &of.phases.first_byte)),
            },
            states,
            scaling: backend.scaling.map(|scaling| scaling_fields(&scaling, backend)),
            trouble: backend.trouble.as_deref(),
        }
    }

    fn nodes(&self, backends: &[BackendFields<'_>]) -> Vec<NodeFields<'a>> {
        let of_backend = |(backend, fields): (&'a Arc<Backend>, &BackendFields<'_>)| {
            let all = fields.rps;
            backend.nodes.iter().map(move |entry| self.node(entry, all)).collect::<Vec<_>>()
        };
        self.snapshot.backends.iter().zip(backends).flat_map(of_backend).collect()
    }

    fn node(&self, entry: &'a Entry, backend_rps: f64) -> NodeFields<'a> {
        let node = &*entry.node;
        let known = || self.view.ledger.node(&node.id).into_iter();
        let (requests, errors) = self.since(entry);
        let rps = self.rate(requests);
        NodeFields {
            id: &node.id,
            backend: &node.backend,
            address: node.address.to_string(),
            origin: node.origin.name(),
            state: entry.state.name(),
            reason: &entry.reason,
            next: next_step(entry.state, &node.address, node.in_flight()),
            since_ms: entry.since_ms,
            weight: entry.weight,
            in_flight: node.in_flight(),
            queued: 0,
            rps,
            share: (backend_rps > 0.0).then(|| round(rps / backend_rps, 1000.0)),
            errors_per_s: self.rate(errors),
            requests_total: node.requests_total(),
            errors_total: node.errors_total(),
            quantiles: self.merged(known().map(|of| &of.window)),
            phases: Phases {
                queue: self.pair(known().map(|of| &of.phases.queue)),
                connect: self.pair(known().map(|of| &of.phases.connect)),
                first_byte: self.pair(known().map(|of| &of.phases.first_byte)),
            },
            cpu_percent: words::cpu_percent(node),
            container: entry.unit.as_deref().map(words::unit),
        }
    }

    /// What the history keeps.
    fn samples(&self, total: &Pending) -> (Sample, Vec<(Name, Sample)>) {
        let in_flight = |backend: &Backend| -> u64 {
            backend.nodes.iter().map(|entry| u64::from(entry.node.in_flight())).sum()
        };
        let backends = &self.snapshot.backends;
        let all = Sample::new(
            total,
            backends.iter().map(|backend| in_flight(backend)).sum(),
            backends.iter().map(|backend| queued(backend)).sum(),
            None,
        );
        let routes = self.snapshot.routes.iter().map(|(_, route)| {
            let pending = self.second.sum(|key| key.route == route.name);
            (Name::Route(Arc::clone(&route.name)), Sample::new(&pending, 0, 0, None))
        });
        let of_backends = backends.iter().map(|backend| {
            let pending = self.second.sum(|key| key.backend == backend.name);
            let sample = Sample::new(&pending, in_flight(backend), queued(backend), None);
            (Name::Backend(Arc::clone(&backend.name)), sample)
        });
        let nothing = Pending::default();
        let nodes = self.entries().map(|entry| {
            let pending = self.second.nodes.get(&entry.node.id).unwrap_or(&nothing);
            let in_flight = entry.node.in_flight().into();
            let sample = Sample::new(pending, in_flight, 0, words::cpu_percent(&entry.node));
            (Name::Node(Arc::clone(&entry.node.id)), sample)
        });
        (all, routes.chain(of_backends).chain(nodes).collect())
    }

    fn after(&self, admin: &crate::telemetry::admin::Admin, now: Instant) -> Before {
        let ledger = &self.view.ledger;
        let accepted =
            |name: &Arc<str>| (Arc::clone(name), ledger.listener(name).map_or(0, |of| of.accepted));
        let node = |entry: &Entry| {
            (Arc::clone(&entry.node.id), (entry.node.requests_total(), entry.node.errors_total()))
        };
        let configuration = admin.configuration.borrow();
        let reload = configuration.last_reload.as_ref().map(|reload| reload.at_ms);
        Before {
            at: Some(now),
            totals: ledger.totals(),
            accepted: self.snapshot.listeners.iter().map(accepted).collect(),
            nodes: self.entries().map(node).collect(),
            shape: (self.snapshot.generation, configuration.hash.clone(), reload),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.snapshot.backends.iter().flat_map(|backend| &backend.nodes)
    }

    /// Requests and errors of a node since the second before. A new one began with nothing.
    fn since(&self, entry: &Entry) -> (u64, u64) {
        let (requests, errors) = self.before.nodes.get(&entry.node.id).copied().unwrap_or_default();
        let node = &entry.node;
        (node.requests_total().saturating_sub(requests), node.errors_total().saturating_sub(errors))
    }

    /// A second of the number, with two digits: more would be noise.
    fn rate(&self, number: u64) -> f64 {
        round(number as f64 / self.elapsed_s, 100.0)
    }

    fn merged<'w>(&self, windows: impl Iterator<Item = &'w window::Window>) -> QuantileFields {
        window::merged(windows, self.view.now_ms / 1000).into()
    }

    fn pair<'w>(&self, windows: impl Iterator<Item = &'w window::Window>) -> Option<fields::Pair> {
        let quantiles: Option<Quantiles> = window::merged(windows, self.view.now_ms / 1000);
        quantiles.map(Into::into)
    }
}

fn scaling_fields(scaling: &Scaling, backend: &Backend) -> fields::Scaling {
    let holding = backend.queue.as_ref().filter(|queue| queue.is_holding());
    fields::Scaling {
        wanted: scaling.wanted,
        running: scaling.running,
        min: scaling.min,
        max: scaling.max,
        paused: scaling.paused,
        held: holding.map_or(0, |queue| queue.waiting().into()),
    }
}

/// Requests that wait for a node of this backend.
fn queued(backend: &Backend) -> u64 {
    backend.queue.as_ref().map_or(0, |queue| queue.waiting().into())
}

fn round(number: f64, digits: f64) -> f64 {
    (number * digits).round() / digits
}

fn dropped(monitor: &Monitor, totals: Totals) -> Dropped {
    let admin = &monitor.0.admin;
    let unwritten = admin.log.as_deref().map_or(0, LogCounters::lost);
    Dropped {
        log_lines: totals.log_lines_dropped + unwritten,
        reports: totals.reports_dropped,
        events: admin.events.dropped(),
        tap_lines: admin.tap.dropped(),
        frames: monitor.frames_lost(),
    }
}
