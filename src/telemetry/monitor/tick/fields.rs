//! The fields of a tick, as `docs/monitor-protocol.md` has them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::telemetry::ledger::Classes;
use crate::telemetry::window::Quantiles;

#[derive(Debug, Serialize)]
pub(super) struct Tick<'a> {
    pub(super) at_ms: u64,
    pub(super) phase: &'static str,
    pub(super) uptime_ms: u64,
    pub(super) viewers: usize,
    pub(super) totals: TotalFields,
    pub(super) latency: Vec<(u8, u32)>,
    pub(super) listeners: Vec<ListenerFields<'a>>,
    pub(super) routes: Vec<RouteFields<'a>>,
    pub(super) flows: Vec<Flow>,
    pub(super) backends: Vec<BackendFields<'a>>,
    pub(super) nodes: Vec<NodeFields<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct TotalFields {
    pub(super) rps: f64,
    pub(super) classes: Classes,
    #[serde(flatten)]
    pub(super) quantiles: QuantileFields,
    pub(super) in_flight: u64,
    pub(super) queued: u64,
    pub(super) connections: u64,
    pub(super) connections_by_worker: Vec<u64>,
    pub(super) connects_per_s: f64,
    pub(super) bytes_in_per_s: f64,
    pub(super) bytes_out_per_s: f64,
    pub(super) retries_per_s: f64,
    pub(super) requests_total: u64,
    pub(super) errors_total: u64,
    pub(super) retries_total: u64,
    pub(super) hedges_total: u64,
    pub(super) hedges_won_total: u64,
    pub(super) bytes_in_total: u64,
    pub(super) bytes_out_total: u64,
    pub(super) dropped: Dropped,
}

#[derive(Debug, Serialize)]
pub(super) struct Dropped {
    pub(super) log_lines: u64,
    pub(super) reports: u64,
    pub(super) events: u64,
    pub(super) tap_lines: u64,
    pub(super) frames: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ListenerFields<'a> {
    pub(super) name: &'a str,
    pub(super) rps: f64,
    pub(super) connections: u64,
    pub(super) accepted_per_s: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct RouteFields<'a> {
    pub(super) name: &'a str,
    pub(super) backend: Option<&'a str>,
    pub(super) rps: f64,
    pub(super) classes: Classes,
    #[serde(flatten)]
    pub(super) quantiles: QuantileFields,
    pub(super) phases: Phases,
    pub(super) requests_total: u64,
    pub(super) errors_total: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Flow {
    pub(super) listener: String,
    pub(super) route: String,
    pub(super) backend: String,
    pub(super) rps: f64,
    pub(super) errors_per_s: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct BackendFields<'a> {
    pub(super) name: &'a str,
    pub(super) rps: f64,
    pub(super) errors_per_s: f64,
    pub(super) in_flight: u64,
    pub(super) queued: u64,
    pub(super) serving: usize,
    pub(super) nodes: usize,
    #[serde(flatten)]
    pub(super) quantiles: QuantileFields,
    pub(super) phases: Phases,
    pub(super) states: BTreeMap<&'static str, usize>,
    pub(super) scaling: Option<Scaling>,
    pub(super) trouble: Option<&'a str>,
}

/// Of a backend whose nodes the balancer starts and stops.
#[derive(Debug, Serialize)]
pub(super) struct Scaling {
    pub(super) wanted: u32,
    pub(super) running: u32,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) paused: bool,
    pub(super) held: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct NodeFields<'a> {
    pub(super) id: &'a str,
    pub(super) backend: &'a str,
    pub(super) address: String,
    pub(super) origin: &'static str,
    pub(super) state: &'static str,
    pub(super) reason: &'a str,
    pub(super) next: String,
    pub(super) since_ms: u64,
    pub(super) weight: u32,
    pub(super) in_flight: u32,
    pub(super) queued: u32,
    pub(super) rps: f64,
    pub(super) share: Option<f64>,
    pub(super) errors_per_s: f64,
    pub(super) requests_total: u64,
    pub(super) errors_total: u64,
    #[serde(flatten)]
    pub(super) quantiles: QuantileFields,
    pub(super) phases: Phases,
    pub(super) cpu_percent: Option<f64>,
    pub(super) container: Option<&'a str>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct QuantileFields {
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
}

impl From<Option<Quantiles>> for QuantileFields {
    fn from(quantiles: Option<Quantiles>) -> Self {
        quantiles.map_or_else(Self::default, |of| Self {
            p50_us: Some(of.p50_us),
            p99_us: Some(of.p99_us),
            p999_us: Some(of.p999_us),
        })
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Phases {
    pub(super) queue: Option<Pair>,
    pub(super) connect: Option<Pair>,
    pub(super) first_byte: Option<Pair>,
}

#[derive(Debug, Serialize)]
pub(super) struct Pair {
    p50_us: u64,
    p99_us: u64,
}

impl From<Quantiles> for Pair {
    fn from(quantiles: Quantiles) -> Self {
        Self { p50_us: quantiles.p50_us, p99_us: quantiles.p99_us }
    }
}
