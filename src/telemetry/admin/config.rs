//! The configuration in force, as JSON under the keys of the file.
//!
//! Values of header conditions and header edits are left out: operators put credentials there. Of files that
//! hold secrets only the path is told.

mod fleet;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Admin, words};
use crate::config::Settings;
use crate::config::settings::{
    AccessLogSettings, BackendSettings, DriverChoice, HealthSettings, Listener, LogTarget, Protocol, Server,
    ServerHost,
};
use crate::logic::access::LogFormat;
use crate::logic::balance::key::HashKey;
use crate::logic::limits::{MessageLimits, Timeouts};
use crate::logic::proxy_protocol::Version;
use crate::logic::retry::RetryPolicy;
use crate::logic::route::{Action, Edits, Rewrite, Route};

/// What stands in place of a value that may be a secret.
const WITHHELD: &str = "(withheld)";

pub(super) async fn config(State(admin): State<Arc<Admin>>) -> Response {
    let settings = Arc::clone(&admin.configuration.borrow().settings);
    super::json(StatusCode::OK, &whole(&settings))
}

fn whole(settings: &Settings) -> Value {
    json!({
        "workers": settings.workers.map_or_else(|| json!("auto"), |workers| json!(workers)),
        "driver": driver(settings.driver),
        "grace": duration(settings.grace),
        "trusted_proxies": settings.trusted_proxies,
        "access_log": settings.access_log.as_ref().map_or_else(|| json!("off"), access_log),
        "listeners": by_name(&settings.listeners, |listener| &listener.name, listener),
        "limits": limits(&settings.limits),
        "timeouts": timeouts(&settings.timeouts),
        "routes": settings.routes.iter().map(|(_, route)| self::route(route, settings)).collect::<Vec<_>>(),
        "backends": by_name(&settings.backends, |backend| &backend.name, backend),
        "admin": settings.admin.as_ref().map(|admin| json!({
            "bind": admin.bind,
            "writable": admin.writable,
            "token_file": admin.token_file,
            "names": admin.names,
        })),
    })
}

fn by_name<T>(all: &[T], name: impl Fn(&T) -> &str, view: impl Fn(&T) -> Value) -> Map<String, Value> {
    all.iter().map(|one| (name(one).to_owned(), view(one))).collect()
}

fn driver(driver: DriverChoice) -> &'static str {
    match driver {
        DriverChoice::Auto => "auto",
        DriverChoice::IoUring => "io_uring",
        DriverChoice::Epoll => "epoll",
    }
}

fn access_log(log: &AccessLogSettings) -> Value {
    let path = match &log.target {
        LogTarget::Stdout => "stdout".into(),
        LogTarget::Stderr => "stderr".into(),
        LogTarget::File(path) => path.to_string_lossy(),
    };
    let format = match log.format {
        LogFormat::Json => "json",
        LogFormat::Combined => "combined",
    };
    json!({ "path": path, "format": format, "sample": log.sample })
}

fn listener(listener: &Listener) -> Value {
    json!({
        "bind": listener.binds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "protocol": listener.protocol.name(),
        "backend": match &listener.protocol {
            Protocol::Http => None,
            Protocol::Tcp(backend) | Protocol::Udp(backend) => Some(&**backend),
            Protocol::TlsByName(names) => names.default().map(|backend| &**backend),
        },
        "tls_routes": match &listener.protocol {
            Protocol::TlsByName(names) => names.routes().map(tls_route).collect(),
            Protocol::Http | Protocol::Tcp(_) | Protocol::Udp(_) => Vec::new(),
        },
        "accept_proxy_protocol": listener.expects_proxy_header,
        "max_connections": listener.max_connections.map_or(0, usize::from),
    })
}

fn tls_route((name, alpn, backend): (&str, &[Box<str>], &Arc<str>)) -> Value {
    json!({ "name": name, "alpn": alpn, "backend": &**backend })
}

/// Sizes in bytes.
fn limits(limits: &MessageLimits) -> Value {
    json!({
        "head": limits.head_bytes_max,
        "headers": limits.fields_max,
        "uri": limits.uri_bytes_max,
        "body": limits.body_bytes_max.map_or_else(|| json!("none"), |bytes| json!(bytes)),
    })
}

fn timeouts(timeouts: &Timeouts) -> Value {
    json!({
        "client_head": duration(timeouts.client_head),
        "client_idle": duration(timeouts.client_idle),
        "client_body": duration(timeouts.client_body),
        "connect": duration(timeouts.connect),
        "response_head": duration(timeouts.response_head),
        "body": duration(timeouts.body),
        "tunnel_idle": duration(timeouts.tunnel_idle),
        "udp_idle": duration(timeouts.udp_idle),
    })
}

/// As the file has it: `10s`, `250ms`.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn route(route: &Route, settings: &Settings) -> Value {
    let matcher = &route.matcher;
    let mut view = json!({
        "name": route.name.as_ref(),
        "host": words::host(&matcher.host),
        "path": matcher.path.to_string(),
        "methods": matcher.methods,
        "headers": withheld(&matcher.fields),
        "listeners": matcher.listeners.as_ref().map(|all| {
            let name = |at: usize| settings.listeners.get(at).map(|listener| listener.name.as_ref());
            all.iter().map(|index| name(usize::from(index.0))).collect::<Vec<_>>()
        }),
        "request_headers": edits(&route.request_edits),
        "response_headers": edits(&route.response_edits),
        "timeouts": timeouts(&route.timeouts),
    });
    let (key, action) = action(&route.action, settings);
    view[key] = action;
    if let Action::Forward { rewrite, .. } = &route.action {
        view["rewrite"] = self::rewrite(rewrite);
    }
    view
}

fn action(action: &Action, settings: &Settings) -> (&'static str, Value) {
    match action {
        Action::Forward { backend, .. } => (
            "backend",
            json!(settings.backends.get(usize::from(backend.0)).map(|backend| backend.name.as_ref())),
        ),
        Action::Redirect { to, status } => ("redirect", json!({ "to": to, "status": status })),
        Action::Respond { status, body } => {
            ("respond", json!({ "status": status, "body": String::from_utf8_lossy(body) }))
        }
    }
}

fn rewrite(rewrite: &Rewrite) -> Value {
    json!({ "strip_prefix": rewrite.strip_prefix, "add_prefix": rewrite.add_prefix, "host": rewrite.host })
}

fn edits(edits: &Edits) -> Value {
    json!({ "set": withheld(&edits.set), "add": withheld(&edits.add), "remove": edits.remove })
}

fn withheld(fields: &[(Box<str>, Box<str>)]) -> Map<String, Value> {
    fields.iter().map(|(name, _)| (name.to_string(), json!(WITHHELD))).collect()
}

fn backend(backend: &BackendSettings) -> Value {
    let mut view = json!({
        "strategy": words::strategy(backend.strategy),
        "hash_key": hash_key(&backend.affinity.hash_key),
        "sticky": backend.affinity.sticky.as_ref().map(|sticky| json!({
            "cookie": sticky.cookie,
            "secret": sticky.secret.as_ref().map(|_| WITHHELD),
        })),
        "servers": backend.servers.iter().map(server).collect::<Vec<_>>(),
        "health": backend.health.as_ref().map(health),
        "outlier": backend.outlier.as_ref().map(|outlier| json!({
            "consecutive_failures": outlier.consecutive_failures,
            "failure_rate": percent(outlier.failure_rate),
            "ejection": duration(outlier.ejection),
            "max_ejected": percent(outlier.max_ejected),
        })),
        "slow_start": duration(backend.slow_start),
        "panic_threshold": percent(backend.panic_threshold),
        "retry": {
            "attempts": backend.retry.attempts,
            "on": retried(&backend.retry),
            "budget": percent(backend.retry.budget_permille * 10),
        },
        "hedge": backend.hedge.map(|hedge| json!({ "after": format!("p{}", f64::from(hedge.after_permille) / 10.0) })),
        "queue": { "max": backend.queue.max, "timeout": duration(backend.queue.timeout) },
        "adaptive_limit": backend.adaptive.map(|limit| json!({ "min": limit.min, "max": limit.max })),
        "send_proxy_protocol": backend.proxy_header.map(|version| match version {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }),
    });
    if let (Some(settings), Some(keys)) = (&backend.fleet, view.as_object_mut()) {
        let (engine, how) = fleet::engine(settings);
        keys.insert(engine.to_owned(), how);
        keys.insert("scale".to_owned(), fleet::scale(&backend.scale));
    }
    view
}

fn health(health: &HealthSettings) -> Value {
    json!({
        "path": health.path,
        "interval": duration(health.interval),
        "timeout": duration(health.timeout),
        "rise": health.patience.rise,
        "fall": health.patience.fall,
        "expect": health.expect.iter().map(|(from, to)| format!("{from}-{to}")).collect::<Vec<_>>(),
        "expect_body": health.expect_body,
        "agent": health.agent,
    })
}

/// What is tried again on another node; a refused connection always is.
fn retried(retry: &RetryPolicy) -> Vec<String> {
    let reset = retry.on.has_reset().then(|| "reset".to_owned());
    let statuses = (500..600).filter(|&status| retry.on.has_status(status)).map(|status| status.to_string());
    std::iter::once("connect".to_owned()).chain(reset).chain(statuses).collect()
}

/// Hundredths of a percent, as in the file.
fn percent(hundredths: u32) -> String {
    format!("{}%", f64::from(hundredths) / 100.0)
}

fn hash_key(key: &HashKey) -> String {
    match key {
        HashKey::ClientIp => "client_ip".to_owned(),
        HashKey::Path => "path".to_owned(),
        HashKey::Header(name) => format!("header:{name}"),
        HashKey::Cookie(name) => format!("cookie:{name}"),
    }
}

fn server(server: &Server) -> Value {
    let url = match &server.host {
        ServerHost::Address(address) => format!("http://{address}"),
        ServerHost::Name(name, port) => format!("http://{name}:{port}"),
        ServerHost::Unix(path) => format!("unix:{}", path.display()),
    };
    json!({
        "url": url,
        "weight": server.weight,
        "max_connections": server.in_flight_max.map_or(0, NonZeroU32::get),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_the_file() {
        assert_eq!(duration(Duration::from_secs(3600)), "3600s");
        assert_eq!(duration(Duration::from_millis(1250)), "1250ms");
        assert_eq!(duration(Duration::ZERO), "0s");
    }

    #[test]
    fn values_of_header_edits_are_not_told() {
        let set = vec![("authorization".into(), "Bearer s3cret".into())];
        let view = edits(&Edits { set, ..Edits::default() }).to_string();
        assert!(view.contains("authorization") && !view.contains("s3cret"), "{view}");
    }
}
