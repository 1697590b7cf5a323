//! Puts the result of a run together from the plan and what the engine counted.

use crate::engine::Outcome;
use crate::honesty;
use crate::plan::Plan;
use crate::result::{FORMAT, Mode, PlanPoint, RunResult, Settings, Target};
use crate::schedule::Load;
use crate::secrets;

/// The result of one run, before gates and events.
#[must_use]
pub fn assemble(plan: &Plan, driver: &str, load: Option<&Load>, outcome: &Outcome) -> RunResult {
    let collector = &outcome.collector;
    let elapsed_ns = elapsed_ns(plan, load, outcome);
    let elapsed_ms = ((elapsed_ns + 500_000) / 1_000_000).max(1);
    let mut result = RunResult {
        format: FORMAT,
        program: concat!("loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
        settings: settings(plan, driver, load),
        mode: if load.is_some() { Mode::Open } else { Mode::Closed },
        started_unix_ms: outcome.started_unix_ms,
        elapsed_ms,
        elapsed_ns,
        interrupted: outcome.interrupted,
        totals: collector.totals(),
        response: collector.response(),
        service: collector.service(),
        connect: collector.connect(),
        statuses: collector.statuses().clone(),
        errors: collector.errors(),
        nodes: collector.nodes().clone(),
        seconds: collector.seconds(elapsed_ms),
        client: honesty::examine(collector, elapsed_ns),
        ..RunResult::default()
    };
    result.notes = honesty::notes(&result, collector);
    result
}

/// To the planned end or the last answer. Where the load itself may end earlier, to the last answer.
fn elapsed_ns(plan: &Plan, load: Option<&Load>, outcome: &Outcome) -> u64 {
    let worked_ns = outcome.collector.worked_ns();
    let planned_ns = plan.duration.map_or(0, |duration| duration.as_nanos() as u64);
    let by_number = plan.args.requests.is_some() && load.is_none_or(|load| load.count_max < u64::MAX);
    let ends_early = outcome.interrupted || by_number;
    if ends_early { worked_ns } else { worked_ns.max(planned_ns) }.max(1)
}

fn settings(plan: &Plan, driver: &str, load: Option<&Load>) -> Settings {
    let args = &plan.args;
    Settings {
        command: secrets::mask(std::env::args_os().map(|part| part.to_string_lossy().into_owned())),
        targets: plan
            .targets
            .iter()
            .map(|target| Target { url: secrets::mask_url(&target.url), weight: target.weight })
            .collect(),
        protocol: plan.protocol.name().to_owned(),
        method: if plan.protocol.name() == "http" { plan.method.clone() } else { String::new() },
        body_bytes: Some(plan.body_bytes),
        connections: plan.connections,
        threads: plan.threads,
        duration_ms: plan.duration.map(|duration| duration.as_millis() as u64),
        requests: args.requests,
        warmup_ms: args.warmup.as_millis() as u64,
        keepalive: !args.no_keepalive,
        timeout_ms: args.timeout.as_millis() as u64,
        plan: load.map_or_else(String::new, |load| words(plan, load)),
        plan_points: load.map_or_else(Vec::new, |load| points(plan, load)),
        arrivals: load.map_or("", |load| load.spacing.name()).to_owned(),
        seed: args.seed,
        node_header: args.node_header.clone(),
        driver: driver.to_owned(),
        name: args.name.clone().unwrap_or_default(),
    }
}

fn words(plan: &Plan, load: &Load) -> String {
    if plan.find_max.is_some() { format!("{}/s", load.curve.rate_at(0.0)) } else { plan.words() }
}

fn points(plan: &Plan, load: &Load) -> Vec<PlanPoint> {
    let end_s = plan.duration.map_or(0.0, |duration| duration.as_secs_f64());
    let point = |(at_s, rate): (f64, f64)| PlanPoint { at_ms: (at_s * 1000.0) as u64, rate };
    load.curve.corners(end_s).into_iter().map(point).collect()
}
