//! Is it alive, is it ready, and how does it fare?

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::{Admin, words};
use crate::shared::node::NodeState;
use crate::shared::run_state::Phase;
use crate::shared::snapshot::Snapshot;
use crate::telemetry::access_log::LogCounters;
use crate::telemetry::ledger::{Classes, Ledger};
use crate::telemetry::window;

/// 200 as long as this thread answers.
pub(super) async fn healthz() -> Response {
    super::json(StatusCode::OK, &json!({ "alive": true }))
}

/// 200 where requests can be served, else 503 with all that is missing.
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let missing = missing(admin.run_state.phase(), &admin.published.current());
    if missing.is_empty() {
        return super::json(StatusCode::OK, &json!({ "ready": true, "missing": [] }));
    }
    let error = json!({
        "code": "not_ready",
        "message": missing.join("; "),
        "hint": "GET /api/v1/nodes tells why each node is in its state.",
    });
    super::json(
        StatusCode::SERVICE_UNAVAILABLE,
        &json!({ "ready": false, "missing": missing, "error": error }),
    )
}

/// All that stands between a client and a response, in words for a person.
fn missing(phase: Phase, snapshot: &Snapshot) -> Vec<String> {
    let listeners = match phase {
        Phase::Starting => Some("the listeners do not accept yet".to_owned()),
        Phase::Running => None,
        Phase::Draining | Phase::Stopping => Some("the process is shutting down".to_owned()),
    };
    let backends = snapshot.backends.iter().filter_map(|backend| {
        let serves = backend.nodes.iter().any(|entry| entry.state == NodeState::Serving);
        // One that may sleep wakes with the next request.
        let may_sleep = backend.scaling.is_some_and(|scaling| scaling.min == 0);
        let of_node = || backend.nodes.first().map_or("it has no node", |entry| &entry.reason);
        let why = backend.trouble.as_deref().unwrap_or_else(of_node);
        (!serves && !may_sleep).then(|| format!("backend {} has no serving node: {why}", backend.name))
    });
    listeners.into_iter().chain(backends).collect()
}

/// `GET /api/v1/status`.
#[derive(Debug, Serialize)]
struct Status<'a> {
    version: &'a str,
    driver: &'a str,
    driver_reason: &'a str,
    workers: usize,
    phase: &'a str,
    uptime_seconds: f64,
    started_ms: u64,
    config_hash: &'a str,
    /// Milliseconds since the epoch; null where there was none.
    last_reload: Option<u64>,
    /// False where a worker did not answer in time: then its counts are up to a second old.
    exact: bool,
    totals: TotalsView,
}

/// Totals since the start, gauges of this moment, quantiles of the last ten seconds.
#[derive(Debug, Serialize)]
struct TotalsView {
    requests_total: u64,
    /// Requests that ended in a 5xx.
    errors_total: u64,
    responses: Classes,
    retries_total: u64,
    hedges_total: u64,
    hedges_won_total: u64,
    in_flight: u64,
    connections: u64,
    /// The same, by worker: how evenly they are spread.
    connections_by_worker: Vec<u64>,
    connections_total: u64,
    bytes_in_total: u64,
    bytes_out_total: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
    panics_total: u64,
    accept_errors_total: u64,
    datagrams_dropped_total: u64,
    log_lines_total: u64,
    log_lines_dropped_total: u64,
    reports_dropped_total: u64,
}

pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    let exact = admin.collector.flush().await;
    let configuration = admin.configuration.borrow().clone();
    let about = &admin.about;
    let status = Status {
        version: about.version,
        driver: &about.driver,
        driver_reason: &about.driver_reason,
        workers: about.workers,
        phase: words::phase(admin.run_state.phase()),
        uptime_seconds: admin.collector.uptime().as_secs_f64(),
        started_ms: about.started_ms,
        config_hash: &configuration.hash,
        last_reload: configuration.reloaded_ms,
        exact,
        totals: totals(&admin),
    };
    super::json(StatusCode::OK, &status)
}

fn totals(admin: &Admin) -> TotalsView {
    let snapshot = admin.published.current();
    let view = admin.collector.view();
    let ledger = &*view.ledger;
    let totals = ledger.totals();
    let responses = responses(ledger);
    let quantiles = window::merged(ledger.routes().map(|(_, route)| &route.window), view.now_ms / 1000);
    let listeners = || snapshot.listeners.iter().filter_map(|name| ledger.listener(name));
    let nodes = snapshot.backends.iter().flat_map(|backend| &backend.nodes);
    let lost = admin.log.as_deref().map_or(0, LogCounters::lost);
    TotalsView {
        requests_total: ledger.routes().map(|(_, route)| route.requests()).sum(),
        errors_total: responses.server_error,
        responses,
        retries_total: totals.retries,
        hedges_total: totals.hedges,
        hedges_won_total: totals.hedges_won,
        in_flight: nodes.map(|entry| u64::from(entry.node.in_flight())).sum(),
        connections: listeners().map(|listener| listener.open()).sum(),
        connections_by_worker: ledger.open_by_worker(),
        connections_total: listeners().map(|listener| listener.accepted).sum(),
        bytes_in_total: totals.bytes_in,
        bytes_out_total: totals.bytes_out,
        p50_us: quantiles.map(|of| of.p50_us),
        p99_us: quantiles.map(|of| of.p99_us),
        p999_us: quantiles.map(|of| of.p999_us),
        panics_total: totals.panics,
        accept_errors_total: totals.accept_errors,
        datagrams_dropped_total: totals.datagrams_dropped,
        log_lines_total: admin.log.as_deref().map_or(0, LogCounters::written),
        log_lines_dropped_total: totals.log_lines_dropped + lost,
        reports_dropped_total: totals.reports_dropped,
    }
}

fn responses(ledger: &Ledger) -> Classes {
    let mut responses = Classes::default();
    for (&code, &count) in ledger.routes().flat_map(|(_, route)| &route.codes) {
        responses.count(code, count);
    }
    responses
}
