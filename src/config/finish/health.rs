//! How nodes are probed, and when they are left out.

use std::time::Duration;

use super::{Notes, Place};
use crate::config::problem::Problem;
use crate::config::raw::{self, BackendKeys};
use crate::config::settings::{BackendSettings, HealthSettings, ServerHost};
use crate::logic::health::Patience;
use crate::logic::outlier::Policy;
use crate::logic::proxy_protocol::Version;

pub(super) fn probes(
    raw: &raw::Health,
    proxy_header: Option<Version>,
    place: &Place<'_>,
    notes: &mut Notes,
) -> HealthSettings {
    if raw.path.is_some() && raw.send.is_some() {
        let help = "keep `path` for http nodes, or `send` for udp nodes";
        notes.error(&place.key("send"), "a probe asks by GET or by a datagram, not by both", help);
    }
    if raw.path.is_none() {
        let body = raw.expect_body.is_some() && raw.send.is_none();
        for (key, given) in [("expect", raw.expect.is_some()), ("expect_body", body)] {
            if given {
                let help =
                    "add `path`, or remove it: without a path a connection is all that a probe asks for";
                notes.error(&place.key(key), format!("`{key}` has no answer to look at"), help);
            }
        }
    }
    let defaults = HealthSettings::default();
    HealthSettings {
        path: raw.path.as_ref().map(|path| path.0.clone()),
        send: raw.send.as_ref().map(|datagram| datagram.0.clone()),
        interval: raw.interval.map_or(defaults.interval, |span| span.0),
        timeout: raw.timeout.map_or(defaults.timeout, |span| span.0),
        patience: Patience {
            rise: raw.rise.unwrap_or(defaults.patience.rise),
            fall: raw.fall.unwrap_or(defaults.patience.fall),
        },
        expect: raw.expect.as_ref().map_or(defaults.expect, |statuses| statuses.0.clone()),
        expect_body: raw.expect_body.as_deref().map(Into::into),
        agent: raw.agent.as_ref().map(|path| path.0.clone()),
        proxy_header,
    }
}

pub(super) fn ejection(raw: &raw::Outlier) -> Policy {
    Policy {
        consecutive_failures: raw.consecutive_failures.unwrap_or(5),
        failure_rate: raw.failure_rate.map_or(5000, |share| share.0),
        ejection: raw.ejection.map_or(Duration::from_secs(30), |span| span.0),
        max_ejected: raw.max_ejected.map_or(5000, |share| share.0),
    }
}

/// `compute` goes by what nodes say of their CPU, and by latency where they say nothing.
pub(super) fn check_readings(keys: BackendKeys<'_>, place: &Place<'_>, notes: &mut Notes) {
    let agent = keys.health.is_some_and(|health| health.agent.is_some()) || place.key("health").is_broken();
    let container = place.has("docker") || place.has("docker_image");
    if keys.strategy == Some(raw::Strategy::Compute) && !agent && !container {
        let message = "no node says how busy its CPU is: nodes are compared by latency, as `peak_ewma` does";
        notes.problem(Problem::warning(place.key("strategy").span, message).help(
            "write `health: { path: /healthz, agent: /cpu }` with the path where nodes tell it, or `strategy: peak_ewma`",
        ));
    }
}

/// `max_ejected` is rounded down: of few nodes it may be none.
pub(super) fn check_ejection(backend: &BackendSettings, place: &Place<'_>, notes: &mut Notes) {
    let Some(policy) = &backend.outlier else { return };
    let servers = backend.servers.len();
    let all_known = backend.fleet.is_none()
        && backend.servers.iter().all(|server| !matches!(server.host, ServerHost::Name(..)));
    if all_known && servers > 1 && policy.ejected_most(servers) == 0 {
        let message =
            format!("no node is ever ejected: `max_ejected` of {servers} servers is less than one of them");
        let place = place.key("outlier").key("max_ejected");
        notes.problem(Problem::warning(place.span, message).help("raise it, to 50% for example"));
    }
}
