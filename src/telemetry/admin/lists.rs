//! The lists of the contract: nodes, backends, routes, listeners.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{Admin, words};
use crate::logic::route::Route;
use crate::shared::node::NodeState;
use crate::shared::snapshot::{Backend, Entry, Snapshot};
use crate::telemetry::about::Bound;
use crate::telemetry::collector::View;
use crate::telemetry::ledger::{Ledger, NodeLedger};
use crate::telemetry::window::{self, Quantiles};

/// `GET /api/v1/nodes`: one node. Null is what this version cannot know.
#[derive(Debug, Serialize)]
struct NodeView<'a> {
    id: &'a str,
    backend: &'a str,
    address: String,
    origin: &'static str,
    state: &'static str,
    reason: &'a str,
    since_ms: u64,
    weight: u32,
    in_flight: u32,
    queued: u32,
    rps: f64,
    requests_total: u64,
    errors_total: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
    cpu_percent: Option<f64>,
    container: Option<&'a str>,
}

pub(super) async fn nodes(State(admin): State<Arc<Admin>>) -> Response {
    admin.collector.flush().await;
    let snapshot = admin.published.current();
    let view = admin.collector.view();
    let nodes: Vec<_> =
        snapshot.backends.iter().flat_map(|backend| &backend.nodes).map(|entry| node(entry, &view)).collect();
    super::json(StatusCode::OK, &nodes)
}

fn node<'a>(entry: &'a Entry, view: &View<'_>) -> NodeView<'a> {
    let node = &*entry.node;
    let quantiles = view.ledger.node(&node.id).and_then(|of| of.quantiles(view.now_ms));
    NodeView {
        id: &node.id,
        backend: &node.backend,
        address: node.address.to_string(),
        origin: node.origin.name(),
        state: entry.state.name(),
        reason: &entry.reason,
        since_ms: entry.since_ms,
        weight: entry.weight,
        in_flight: node.in_flight(),
        queued: 0,
        rps: rps(entry, view),
        requests_total: node.requests_total(),
        errors_total: node.errors_total(),
        p50_us: quantiles.map(|of| of.p50_us),
        p99_us: quantiles.map(|of| of.p99_us),
        p999_us: quantiles.map(|of| of.p999_us),
        cpu_percent: words::cpu_percent(node),
        container: entry.unit.as_deref().map(words::unit),
    }
}

/// Two digits: more would be noise.
fn rps(entry: &Entry, view: &View<'_>) -> f64 {
    let rate = |of: &NodeLedger| of.rps(entry.node.requests_total(), view.now_ms);
    (view.ledger.node(&entry.node.id).map_or(0.0, rate) * 100.0).round() / 100.0
}

/// `GET /api/v1/backends`: one backend, its nodes added up.
#[derive(Debug, Serialize)]
struct BackendView<'a> {
    name: &'a str,
    strategy: &'static str,
    nodes: usize,
    serving: usize,
    in_flight: u64,
    rps: f64,
    requests_total: u64,
    errors_total: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
    /// Why its nodes are not started or stopped as they should be, and what comes next.
    trouble: Option<&'a str>,
}

pub(super) async fn backends(State(admin): State<Arc<Admin>>) -> Response {
    admin.collector.flush().await;
    let snapshot = admin.published.current();
    let view = admin.collector.view();
    let backends: Vec<_> = snapshot.backends.iter().map(|backend| self::backend(backend, &view)).collect();
    super::json(StatusCode::OK, &backends)
}

fn backend<'a>(backend: &'a Backend, view: &View<'_>) -> BackendView<'a> {
    let nodes = &backend.nodes;
    let windows = nodes.iter().filter_map(|entry| view.ledger.node(&entry.node.id)).map(|of| &of.window);
    let quantiles = window::merged(windows, view.now_ms / 1000);
    BackendView {
        name: &backend.name,
        strategy: words::strategy(backend.strategy),
        nodes: nodes.len(),
        serving: nodes.iter().filter(|entry| entry.state == NodeState::Serving).count(),
        in_flight: nodes.iter().map(|entry| u64::from(entry.node.in_flight())).sum(),
        // The sum of nothing is -0.0.
        rps: nodes.iter().map(|entry| rps(entry, view)).sum::<f64>() + 0.0,
        requests_total: nodes.iter().map(|entry| entry.node.requests_total()).sum(),
        errors_total: nodes.iter().map(|entry| entry.node.errors_total()).sum(),
        p50_us: quantiles.map(|of| of.p50_us),
        p99_us: quantiles.map(|of| of.p99_us),
        p999_us: quantiles.map(|of| of.p999_us),
        trouble: backend.trouble.as_deref(),
    }
}

/// `GET /api/v1/routes`: one route, most specific first: the order in which they are tried.
#[derive(Debug, Serialize)]
struct RouteView<'a> {
    name: &'a str,
    /// `*` is any.
    host: String,
    path: String,
    /// Empty is any.
    methods: &'a [Box<str>],
    /// Names of the fields that must be present; their values may be secrets.
    headers: Vec<&'a str>,
    /// Null is every http listener.
    listeners: Option<Vec<&'a str>>,
    action: &'static str,
    backend: Option<&'a str>,
    requests_total: u64,
    /// Requests that ended in a 5xx.
    errors_total: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
}

pub(super) async fn routes(State(admin): State<Arc<Admin>>) -> Response {
    admin.collector.flush().await;
    let snapshot = admin.published.current();
    let view = admin.collector.view();
    let routes: Vec<_> =
        snapshot.routes.iter().map(|(_, route)| self::route(route, &snapshot, &view)).collect();
    super::json(StatusCode::OK, &routes)
}

fn route<'a>(route: &'a Route, snapshot: &'a Snapshot, view: &View<'_>) -> RouteView<'a> {
    let matcher = &route.matcher;
    let of_route = || view.ledger.routes().filter(|(key, _)| key.route == route.name).map(|(_, of)| of);
    let quantiles: Option<Quantiles> = window::merged(of_route().map(|of| &of.window), view.now_ms / 1000);
    let codes = || of_route().flat_map(|of| &of.codes);
    RouteView {
        name: &route.name,
        host: words::host(&matcher.host),
        path: matcher.path.to_string(),
        methods: &matcher.methods,
        headers: matcher.fields.iter().map(|(name, _)| &**name).collect(),
        listeners: matcher.listeners.as_ref().map(|listeners| {
            listeners.iter().map(|listener| &*snapshot.listeners[usize::from(listener.0)]).collect()
        }),
        action: words::action(route),
        backend: words::backend_of(route, snapshot),
        requests_total: codes().map(|(_, count)| count).sum(),
        errors_total: codes().filter(|(code, _)| **code >= 500).map(|(_, count)| count).sum(),
        p50_us: quantiles.map(|of| of.p50_us),
        p99_us: quantiles.map(|of| of.p99_us),
        p999_us: quantiles.map(|of| of.p999_us),
    }
}

/// `GET /api/v1/listeners`: one listener.
#[derive(Debug, Serialize)]
struct ListenerView<'a> {
    name: &'a str,
    protocol: &'static str,
    /// With real ports in place of port 0.
    addresses: &'a [String],
    connections: u64,
    connections_total: u64,
    requests_total: u64,
}

pub(super) async fn listeners(State(admin): State<Arc<Admin>>) -> Response {
    admin.collector.flush().await;
    let view = admin.collector.view();
    let listeners: Vec<_> = admin.about.listeners.iter().map(|bound| listener(bound, &view.ledger)).collect();
    super::json(StatusCode::OK, &listeners)
}

fn listener<'a>(bound: &'a Bound, ledger: &Ledger) -> ListenerView<'a> {
    let of_listener = ledger.routes().filter(|(key, _)| key.listener == bound.name);
    let listener = ledger.listener(&bound.name);
    ListenerView {
        name: &bound.name,
        protocol: bound.protocol,
        addresses: &bound.addresses,
        connections: listener.map_or(0, |of| of.open()),
        connections_total: listener.map_or(0, |of| of.accepted),
        requests_total: of_listener.map(|(_, route)| route.requests()).sum(),
    }
}
