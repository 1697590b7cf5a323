//! The calls that change something: each becomes an order to the control plane, and an event for the audit.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio::sync::oneshot;

use super::audit::Told;
use super::guard::Refusal;
use super::{Admin, body};
use crate::logic::limits::{NODES_MAX, ORDER_TIMEOUT, WEIGHT_MAX};
use crate::shared::event::{Event, Kind, Level};
use crate::shared::order::{Fault, NodeWish, Order, Outcome, Refused, WeightWish, Wish};

/// Characters of a name in an audit event: names come from the caller.
const NAME_SHOWN_MAX: usize = 128;

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeChange {
    state: Option<StateWord>,
    /// `null` takes back what an earlier call said.
    #[serde(default, deserialize_with = "weight_wish")]
    weight: Option<WeightWish>,
}

/// Called only where the key is there.
fn weight_wish<'de, D: Deserializer<'de>>(from: D) -> Result<Option<WeightWish>, D::Error> {
    let weight = Option::<u32>::deserialize(from)?;
    Ok(Some(weight.map_or(WeightWish::OfTheFile, WeightWish::Of)))
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateWord {
    Ready,
    Drain,
    Down,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleChange {
    replicas: Option<u32>,
    paused: Option<bool>,
}

/// A body without arguments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

type Answer = Result<Response, Refusal>;

/// The name in the path.
pub(super) struct Name(String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|_| Refusal {
            status: StatusCode::BAD_REQUEST,
            code: "bad_path",
            message: "The name in the path is not text.".into(),
            hint: "Encode it as UTF-8, each byte beyond letters and digits as %XX.".into(),
        })
    }
}

pub(super) async fn set_node(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    Name(node): Name,
    request: Body,
) -> Answer {
    let NodeChange { state, weight } = body::read(request).await?;
    if state.is_none() && weight.is_none() {
        return Err(senseless(
            "There is neither a state nor a weight.",
            "Send {\"state\":\"drain\"} or {\"weight\":3}.",
        ));
    }
    if matches!(weight, Some(WeightWish::Of(weight)) if !(1..=WEIGHT_MAX).contains(&weight)) {
        return Err(senseless(
            "A weight is 1 to 1000, or null for that of the file.",
            "Use drain for a node that shall get nothing.",
        ));
    }
    let state = state.map(|word| match word {
        StateWord::Ready => NodeWish::Ready,
        StateWord::Drain => NodeWish::Drain,
        StateWord::Down => NodeWish::Down,
    });
    order(&admin, peer, Wish::SetNode { node, state, weight }, StatusCode::OK).await
}

pub(super) async fn remove_node(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    Name(node): Name,
    request: Body,
) -> Answer {
    let Nothing {} = body::read(request).await?;
    order(&admin, peer, Wish::RemoveNode { node }, StatusCode::OK).await
}

pub(super) async fn add_node(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    Name(backend): Name,
    request: Body,
) -> Answer {
    let Nothing {} = body::read(request).await?;
    order(&admin, peer, Wish::AddNode { backend }, StatusCode::ACCEPTED).await
}

pub(super) async fn scale(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    Name(backend): Name,
    request: Body,
) -> Answer {
    let ScaleChange { replicas, paused } = body::read(request).await?;
    if replicas.is_none() && paused.is_none() {
        return Err(senseless(
            "There is neither a number of replicas nor a pause.",
            "Send {\"replicas\":3}.",
        ));
    }
    if replicas.is_some_and(|replicas| replicas as usize > NODES_MAX) {
        return Err(senseless("A backend has at most 4096 nodes.", "Ask for fewer."));
    }
    order(&admin, peer, Wish::Scale { backend, replicas, paused }, StatusCode::OK).await
}

pub(super) async fn roll(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    Name(backend): Name,
    request: Body,
) -> Answer {
    let Nothing {} = body::read(request).await?;
    order(&admin, peer, Wish::Roll { backend }, StatusCode::ACCEPTED).await
}

pub(super) async fn reload(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    request: Body,
) -> Answer {
    let Nothing {} = body::read(request).await?;
    order(&admin, peer, Wish::Reload, StatusCode::OK).await
}

/// Gives an order, waits for what became of it, and tells of both.
async fn order(admin: &Admin, Peer(peer): Peer, wish: Wish, done: StatusCode) -> Answer {
    let (said, event) = (said(&wish), about(admin, &wish));
    let outcome = outcome(admin, wish).await;
    let (level, became) = match &outcome {
        Ok(text) => (Level::Info, format!("done: {text}")),
        Err(refused) => (Level::Warning, format!("refused: {}", refused.message)),
    };
    admin.events.send(Event { level, text: format!("{said}, by {peer}: {became}"), ..event });
    match outcome {
        Ok(text) => Ok(super::json(done, &json!({ "ok": true, "text": text }))),
        Err(refused) => Ok(refusal(refused).into_response()),
    }
    .map(|mut response| {
        response.extensions_mut().insert(Told);
        response
    })
}

async fn outcome(admin: &Admin, wish: Wish) -> Outcome {
    let (answer, answered) = oneshot::channel();
    // Whoever asked may have left: the order is carried out all the same.
    let answer = Box::new(move |outcome| drop(answer.send(outcome)));
    let given = async {
        admin.orders.send(Order { wish, answer }).await.map_err(|_| ())?;
        answered.await.map_err(|_| ())
    };
    match tokio::time::timeout(ORDER_TIMEOUT, given).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(())) => Err(Refused {
            fault: Fault::Unavailable,
            code: "shutting_down",
            message: "The control plane takes no orders any more.".into(),
            hint: "The process is about to end: ask the one that takes its place.".into(),
        }),
        Err(_) => Err(Refused {
            fault: Fault::Unavailable,
            code: "no_answer",
            message: "The control plane has not answered in time; it may still carry the order out.".into(),
            hint: "Look at the nodes and the events before you order again.".into(),
        }),
    }
}

/// The order in words.
fn said(wish: &Wish) -> String {
    match wish {
        Wish::SetNode { node, state, weight } => {
            let state = state.map(|state| match state {
                NodeWish::Ready => "ready".to_owned(),
                NodeWish::Drain => "drain".to_owned(),
                NodeWish::Down => "down".to_owned(),
            });
            let weight = weight.map(|weight| match weight {
                WeightWish::Of(weight) => format!("weight {weight}"),
                WeightWish::OfTheFile => "its own weight".to_owned(),
            });
            let change: Vec<_> = state.into_iter().chain(weight).collect();
            format!("set node {}: {}", shown(node), change.join(", "))
        }
        Wish::AddNode { backend } => format!("start a node of {}", shown(backend)),
        Wish::RemoveNode { node } => format!("remove node {}", shown(node)),
        Wish::Scale { backend, replicas, paused } => {
            let replicas = replicas.map(|replicas| format!("{replicas} nodes"));
            let paused =
                paused.map(|paused| if paused { "autoscaler paused" } else { "autoscaler on" }.to_owned());
            let change: Vec<_> = replicas.into_iter().chain(paused).collect();
            format!("scale {}: {}", shown(backend), change.join(", "))
        }
        Wish::Roll { backend } => format!("replace all nodes of {}", shown(backend)),
        Wish::Reload => "reload".into(),
    }
}

pub(super) fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_MAX).flat_map(char::escape_debug).collect()
}

/// An event of the backend and node that are meant, where there are such.
fn about(admin: &Admin, wish: &Wish) -> Event {
    let event = Event::now(Kind::Audit, Level::Info, "");
    let snapshot = admin.published.current();
    match wish {
        Wish::SetNode { node, .. } | Wish::RemoveNode { node } => {
            let nodes = snapshot.backends.iter().flat_map(|backend| &backend.nodes);
            match nodes.map(|entry| &entry.node).find(|known| *known.id == **node) {
                Some(node) => event.backend(&node.backend).node(&node.id),
                None => event,
            }
        }
        Wish::AddNode { backend } | Wish::Scale { backend, .. } | Wish::Roll { backend } => {
            match snapshot.backends.iter().find(|known| *known.name == **backend) {
                Some(backend) => event.backend(&backend.name),
                None => event,
            }
        }
        Wish::Reload => event,
    }
}

fn refusal(refused: Refused) -> Refusal {
    let status = match refused.fault {
        Fault::Unknown => StatusCode::NOT_FOUND,
        Fault::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Conflict => StatusCode::CONFLICT,
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal { status, code: refused.code, message: refused.message.into(), hint: refused.hint.into() }
}

fn senseless(message: &'static str, hint: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "senseless",
        message: message.into(),
        hint: hint.into(),
    }
}
