//! `GET /api/v1/why`: where would this request go, and why? The parser, the table of routes and the strategies that
//! answer are those of the data plane.

mod pick;
mod refused;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::guard::Refusal;
use super::{Admin, words};
use crate::logic::fault::Fault;
use crate::logic::http1::request::{self, FieldRoom, Request};
use crate::logic::route::{Action, Found, ListenerIndex, Route};
use crate::shared::snapshot::Snapshot;

/// `?method=GET&url=http://example.com/api/x`, and optionally `listener=web` and `header=name: value`, which may be
/// repeated.
#[derive(Debug, Default)]
struct Asked {
    method: String,
    authority: String,
    target: String,
    listener: Option<String>,
    headers: Vec<String>,
}

pub(super) async fn why(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(pairs) = query.map_err(|_| bad_query("The query cannot be read."))?;
    let asked = Asked::read(pairs)?;
    let snapshot = admin.published.current();
    let listener = asked.listener(&snapshot)?;
    Ok(super::json(StatusCode::OK, &explain(&asked, &snapshot, listener)))
}

impl Asked {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut asked = Self { method: "GET".into(), ..Self::default() };
        for (key, value) in pairs {
            if value.contains(['\r', '\n', '\0']) {
                return Err(bad_query("A value has a line end in it."));
            }
            match key.as_str() {
                "method" => asked.method = value,
                "url" => (asked.authority, asked.target) = parts(&value)?,
                "listener" => asked.listener = Some(value),
                "header" => asked.headers.push(value),
                _ => return Err(bad_query("There is no such key.")),
            }
        }
        if asked.target.is_empty() { Err(bad_query("There is no url.")) } else { Ok(asked) }
    }

    fn listener(&self, snapshot: &Snapshot) -> Result<ListenerIndex, Refusal> {
        let Some(name) = &self.listener else { return Ok(ListenerIndex(0)) };
        let at = snapshot.listeners.iter().position(|known| **known == **name);
        at.and_then(|at| u16::try_from(at).ok()).map(ListenerIndex).ok_or_else(|| Refusal {
            status: StatusCode::NOT_FOUND,
            code: "unknown_listener",
            message: "There is no such listener.".into(),
            hint: "GET /api/v1/listeners names them.".into(),
        })
    }

    /// The head as a client would send it.
    fn head(&self) -> Vec<u8> {
        let fields: String = self.headers.iter().map(|field| format!("{field}\r\n")).collect();
        format!("{} {} HTTP/1.1\r\nhost: {}\r\n{fields}\r\n", self.method, self.target, self.authority)
            .into_bytes()
    }
}

/// Authority and target of `http://host/path` or `/path`.
fn parts(url: &str) -> Result<(String, String), Refusal> {
    if url.starts_with('/') || url == "*" {
        return Ok(("localhost".into(), url.to_owned()));
    }
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.ok_or_else(|| bad_query("A url begins with http://, https:// or /."))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let target = rest[end..].split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((rest[..end].to_owned(), format!("{slash}{target}")))
}

fn explain(asked: &Asked, snapshot: &Snapshot, listener: ListenerIndex) -> Value {
    let head = asked.head();
    let mut room = FieldRoom::new();
    let request = match request::parse(&head, &snapshot.limits, &mut room) {
        Ok(request) => request,
        Err(fault) => return faulty(fault, Value::Null),
    };
    match snapshot.routes.find(&request.head, listener) {
        Found::Route(_) | Found::Nothing | Found::AmbiguousPath if request.facts.is_connect => {
            faulty(Fault::NotImplemented, Value::Null)
        }
        Found::Route(index) => taken(snapshot.routes.get(index), &request, snapshot, listener),
        Found::WrongMethod(index) => {
            let mut answer = faulty(
                Fault::MethodNotAllowed,
                refused::passed_over(snapshot, &request.head, listener, None),
            );
            answer["allow"] = snapshot.routes.allow(index).into();
            answer
        }
        Found::Nothing => {
            faulty(Fault::NoRoute, refused::passed_over(snapshot, &request.head, listener, None))
        }
        Found::AmbiguousPath => faulty(Fault::AmbiguousPath, Value::Null),
    }
}

/// A request that the balancer answers by a refusal.
fn faulty(fault: Fault, passed_over: Value) -> Value {
    json!({
        "outcome": "refused", "status": fault.status(), "reason": fault.reason(), "route": null,
        "backend": null, "node": null, "nodes": [], "passed_over": passed_over,
        "text": format!("{} {}", fault.status(), fault.text()),
    })
}

fn taken(route: &Route, request: &Request<'_>, snapshot: &Snapshot, listener: ListenerIndex) -> Value {
    let passed_over = refused::passed_over(snapshot, &request.head, listener, Some(route));
    let mut answer = json!({
        "outcome": words::action(route), "status": null, "reason": null,
        "route": { "name": &*route.name, "conditions": conditions(route) },
        "backend": null, "node": null, "nodes": [], "passed_over": passed_over,
    });
    match &route.action {
        Action::Forward { backend, .. } => {
            let Some(backend) = snapshot.backends.get(usize::from(backend.0)) else { return answer };
            let picked = pick::pick(backend);
            answer["backend"] = json!({
                "name": &*backend.name,
                "strategy": words::strategy(backend.strategy),
            });
            answer["nodes"] = picked.nodes;
            answer["node"] = picked.node.as_deref().into();
            answer["text"] = format!("Route {} takes it; {}", route.name, picked.text).into();
            if picked.node.is_none() {
                answer["status"] = Fault::NoHealthyNode.status().into();
                answer["reason"] = Fault::NoHealthyNode.reason().into();
            }
        }
        Action::Redirect { to, status } => {
            answer["status"] = (*status).into();
            answer["text"] = format!("Route {} redirects it to {to}.", route.name).into();
        }
        Action::Respond { status, .. } => {
            answer["status"] = (*status).into();
            answer["text"] = format!("Route {} answers it by itself.", route.name).into();
        }
    }
    answer
}

/// What all holds, in words. Values of field conditions may be secrets: their names are told.
fn conditions(route: &Route) -> Vec<String> {
    let matcher = &route.matcher;
    let mut all =
        vec![format!("the host is {}", words::host(&matcher.host)), format!("the path is {}", matcher.path)];
    if !matcher.methods.is_empty() {
        all.push(format!("the method is one of {}", matcher.methods.join(", ")));
    }
    all.extend(matcher.fields.iter().map(|(name, _)| format!("{name} has the value of the file")));
    if matcher.listeners.is_some() {
        all.push("the listener is one of the route's".into());
    }
    all
}

fn bad_query(message: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "bad_query",
        message: message.into(),
        hint: "Ask /api/v1/why?method=GET&url=http://example.com/api/x, both percent-encoded.".into(),
    }
}
