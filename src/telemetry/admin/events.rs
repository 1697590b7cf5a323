//! `GET /api/v1/events`: what happened, newest last.

use axum::Extension;
use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::guard::Refusal;
use crate::logic::limits::EVENTS_KEPT_MAX;
use crate::telemetry::monitor::Monitor;

const KINDS: [&str; 6] = ["node", "scale", "fleet", "reload", "audit", "process"];

/// `?after=ID&kind=audit&limit=100`, all optional.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    after: u64,
    kind: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn events(
    Extension(monitor): Extension<Monitor>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let wanted = wanted.map_err(|_| bad_query())?.0;
    if wanted.kind.as_deref().is_some_and(|kind| !KINDS.contains(&kind)) {
        return Err(bad_query());
    }
    let most = wanted.limit.unwrap_or(EVENTS_KEPT_MAX).clamp(1, EVENTS_KEPT_MAX);
    // Whoever has the answer to a write finds its event.
    monitor.take_events();
    let events = monitor.events(wanted.after, wanted.kind.as_deref(), most);
    let body = format!("[{}]\n", events.join(","));
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn bad_query() -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "bad_query",
        message: "The query is not one of this call's.".into(),
        hint: "after is an id, limit a number, kind one of node, scale, fleet, reload, audit, process."
            .into(),
    }
}
