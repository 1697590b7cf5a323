//! The first message of a viewer: all that stands still, and the newest tick.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Monitor, State};
use crate::logic::latency_scale::BOUNDS_US;
use crate::logic::route::Route;
use crate::shared::snapshot::Snapshot;
use crate::telemetry::about::Configuration;
use crate::telemetry::admin::{Admin, words};

/// Events that come with it.
const EVENTS: usize = 200;

/// The whole message, made once a tick however many viewers come.
pub(super) fn frame(monitor: &Monitor, state: &mut State) -> Utf8Bytes {
    if let Some(made) = &state.snapshot {
        return made.clone();
    }
    let still = still(&monitor.0.admin);
    let events = state.events.newest(0, None, EVENTS).join(",");
    // Before the first tick there is nothing to tell of.
    let tick = state.tick.strip_prefix('{').unwrap_or("\"at_ms\":0}");
    let still = still.to_string();
    // Two objects become one: without the brace that ends the first and the one that begins the second.
    let still = &still[1..still.len() - 1];
    let text = format!("{{\"v\":1,\"type\":\"snapshot\",{still},\"events\":[{events}],{tick}");
    let made = Utf8Bytes::from(text);
    state.snapshot = Some(made.clone());
    made
}

fn still(admin: &Admin) -> Value {
    let snapshot = admin.published.current();
    let configuration = admin.configuration.borrow();
    json!({
        "process": {
            "version": admin.about.version,
            "driver": &*admin.about.driver,
            "driver_reason": &*admin.about.driver_reason,
            "workers": admin.about.workers,
            "started_ms": admin.about.started_ms,
            "writable": admin.is_writable(),
        },
        "config": config(&configuration),
        "topology": topology(admin, &snapshot),
        "latency_bounds_us": BOUNDS_US.as_slice(),
    })
}

fn config(configuration: &Configuration) -> Value {
    let reload = configuration.last_reload.as_ref().map(|reload| {
        let text = match (reload.accepted, reload.lines.is_empty()) {
            (true, true) => "read again: nothing changed",
            (true, false) => "read again: the new settings are in force",
            (false, _) => "refused: the settings from before are in force",
        };
        json!({ "at_ms": reload.at_ms, "ok": reload.accepted, "text": text, "diff": reload.lines })
    });
    json!({
        "hash": configuration.hash,
        "text_path": configuration.settings.source.name,
        "last_reload": reload,
    })
}

fn topology(admin: &Admin, snapshot: &Snapshot) -> Value {
    let listeners = admin.about.listeners.iter().map(
        |bound| json!({ "name": &*bound.name, "protocol": bound.protocol, "addresses": bound.addresses }),
    );
    let backends = snapshot.backends.iter().map(|backend| {
        json!({
            "name": &*backend.name,
            "strategy": words::strategy(backend.strategy),
            "fleet": backend.scaling.map(|scaling| scaling.fleet),
            "min": backend.scaling.map(|scaling| scaling.min),
            "max": backend.scaling.map(|scaling| scaling.max),
        })
    });
    json!({
        "listeners": listeners.collect::<Vec<_>>(),
        "routes": snapshot.routes.iter().map(|(_, route)| self::route(route, snapshot)).collect::<Vec<_>>(),
        "backends": backends.collect::<Vec<_>>(),
    })
}

fn route(route: &Route, snapshot: &Snapshot) -> Value {
    let matcher = &route.matcher;
    let listeners = matcher.listeners.as_ref().map(|listeners| {
        let name = |index: usize| snapshot.listeners.get(index).map(|name| &**name);
        listeners.iter().map(|index| name(usize::from(index.0))).collect::<Vec<_>>()
    });
    json!({
        "name": &*route.name,
        "host": words::host(&matcher.host),
        "path": matcher.path.to_string(),
        "methods": matcher.methods,
        "listeners": listeners,
        "action": words::action(route),
        "backend": words::backend_of(route, snapshot),
    })
}
