//! The admin API: an HTTP server on the tokio thread, for the operator and for scrapers.
//!
//! It stands on hyper, not on the data plane's parser: what breaks one must not blind the other. Its clients are
//! as hostile as any (a web page that the operator has open can send requests to loopback), so [`guard`] looks
//! at every call first, and every connection has its limits.

pub mod access;
mod audit;
mod body;
mod config;
mod events;
pub mod guard;
mod guests;
mod lists;
mod openapi;
mod page;
mod status;
mod websocket;
mod why;
pub(in crate::telemetry) mod words;
mod writes;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Extension, Router};
use crossbeam_channel::Receiver;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_io_timeout::TimeoutStream;

use super::about::{About, Configuration};
use super::access_log::LogCounters;
use super::collector::Collector;
use super::exposition::Dialect;
use super::monitor::Monitor;
use super::prometheus;
use crate::logic::limits::{
    ADMIN_BUFFER_BYTES, ADMIN_CONNECTIONS_MAX, ADMIN_FIELDS_MAX, ADMIN_HEAD_TIMEOUT, ADMIN_STALL_TIMEOUT,
};
use crate::shared::event::{Event, EventSender};
use crate::shared::log_tap::Tap;
use crate::shared::order::Order;
use crate::shared::run_state::RunState;
use crate::shared::snapshot::Published;
use access::Rules;
use audit::Auditor;
use guard::{LocalAddress, Refusal};
use guests::Guests;
use writes::Peer;

/// The pause after a connection could not be accepted: what lacks, descriptors or memory, comes back by itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the API tells of.
#[derive(Debug)]
pub struct Admin {
    /// The process.
    pub about: About,
    /// The configuration in force.
    pub configuration: watch::Receiver<Configuration>,
    /// The numbers.
    pub collector: Collector,
    /// The nodes.
    pub published: Published,
    /// Where the process stands.
    pub run_state: RunState,
    /// Where what operators want goes: the control plane carries it out.
    pub orders: mpsc::Sender<Order>,
    /// Where it is told what happened.
    pub events: EventSender,
    /// What all planes told, for the monitor to keep.
    pub happened: Receiver<Event>,
    /// Where workers show log lines.
    pub tap: Tap,
    /// What is gone by: a reload may change it.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// The access log's writer, where there is one.
    pub log: Option<Arc<LogCounters>>,
    /// How long it waits for its clients.
    pub patience: Patience,
}

impl Admin {
    /// Does it take writes?
    pub fn is_writable(&self) -> bool {
        self.rules().writable
    }

    /// The rules of now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }
}

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a request's whole head, the pause before it included.
    pub head: Duration,
    /// Between two reads of a request's body, and two writes of a response.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: ADMIN_HEAD_TIMEOUT, stall: ADMIN_STALL_TIMEOUT }
    }
}

/// Serves on a socket that is bound and listening, until the future is dropped. Returns only where the socket
/// cannot be used at all.
pub async fn serve(listener: std::net::TcpListener, admin: Admin) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let patience = admin.patience;
    let admin = Arc::new(admin);
    let monitor = Monitor::new(Arc::clone(&admin));
    let router = router(admin, &monitor);
    let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    tokio::select! {
        () = monitor.run() => Ok(()),
        ended = accept_all(&listener, &router, &places, patience) => ended,
    }
}

async fn accept_all(
    listener: &tokio::net::TcpListener,
    router: &Router,
    places: &Arc<Semaphore>,
    patience: Patience,
) -> io::Result<()> {
    let mut guests = Guests::new();
    loop {
        match accept(listener).await {
            Ok((socket, peer, local)) => {
                if places.available_permits() == 0 {
                    guests.show_out();
                }
                // The semaphore is never closed, so a place always comes.
                let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
                let guest = guests.guest();
                let router = router
                    .clone()
                    .layer(from_fn_with_state(guest.clone(), guests::attend))
                    .layer(Extension(LocalAddress(local)))
                    .layer(Extension(Peer(peer)));
                let task = tokio::spawn(async move {
                    serve_connection(socket, router, patience).await;
                    drop(place);
                });
                guests.seat(guest, task.abort_handle());
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A connection, its client's address, and ours.
async fn accept(listener: &tokio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr, SocketAddr)> {
    let (socket, peer) = listener.accept().await?;
    socket.set_nodelay(true)?;
    let local = socket.local_addr()?;
    Ok((socket, peer, local))
}

async fn serve_connection(socket: TcpStream, router: Router, patience: Patience) {
    let mut socket = TimeoutStream::new(socket);
    socket.set_read_timeout(Some(patience.stall.max(patience.head)));
    socket.set_write_timeout(Some(patience.stall));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_headers(ADMIN_FIELDS_MAX)
        .max_buf_size(ADMIN_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(socket)), TowerToHyperService::new(router));
    // What went wrong is the client's affair: it broke off, was slow, or spoke no HTTP.
    let _ = connection.with_upgrades().await;
}

fn router(admin: Arc<Admin>, monitor: &Monitor) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/nodes", get(lists::nodes))
        .route("/api/v1/backends", get(lists::backends))
        .route("/api/v1/routes", get(lists::routes))
        .route("/api/v1/listeners", get(lists::listeners))
        .route("/api/v1/config", get(config::config))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/why", get(why::why))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/ws", get(websocket::upgrade))
        .merge(writes(&admin))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(monitor.clone()))
        .layer(from_fn_with_state(Arc::clone(&admin), guard::check))
        .layer(from_fn_with_state(Auditor::new(admin.events.clone()), audit::audit))
        .layer(from_fn(harden))
        .with_state(admin)
}

fn writes(admin: &Arc<Admin>) -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/v1/nodes/{id}", patch(writes::set_node).delete(writes::remove_node))
        .route("/api/v1/backends/{name}/nodes", post(writes::add_node))
        .route("/api/v1/backends/{name}/scale", post(writes::scale))
        .route("/api/v1/backends/{name}/roll", post(writes::roll))
        .route("/api/v1/reload", post(writes::reload))
        .route_layer(from_fn_with_state(Arc::clone(admin), guard::check_write))
}

async fn metrics(
    State(admin): State<Arc<Admin>>,
    Extension(monitor): Extension<Monitor>,
    headers: HeaderMap,
) -> Response {
    admin.collector.flush().await;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let dialect = Dialect::wanted(accept);
    let snapshot = admin.published.current();
    let source = prometheus::Source {
        ledger: &admin.collector.view().ledger,
        snapshot: &snapshot,
        about: &admin.about,
        uptime: admin.collector.uptime(),
        log: admin.log.as_deref(),
        monitor: &monitor.numbers(),
    };
    let page = prometheus::render(source, dialect);
    ([(header::CONTENT_TYPE, dialect.content_type()), (header::VARY, "accept")], page).into_response()
}

async fn nothing_here() -> Refusal {
    Refusal {
        status: StatusCode::NOT_FOUND,
        code: "not_found",
        message: "This version has no such call.".into(),
        hint: "GET / links to all calls.".into(),
    }
}

/// The `allow` field is axum's, which knows the route's methods.
async fn wrong_method() -> Refusal {
    Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        message: "This call has no such method.".into(),
        hint: "The field allow names those that it has.".into(),
    }
}

/// Fields that every answer carries: nothing may be embedded, sniffed, cached, or loaded from elsewhere.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in page::SAFE_FIELDS {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

/// A JSON answer; the newline is for people who use curl.
fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Our own types serialise: they have string keys and finite numbers.
    let mut body = serde_json::to_string(value).unwrap_or_else(|error| format!("\"{error}\""));
    body.push('\n');
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
