//! `GET /ws`: from an HTTP request to a viewer of the monitor.
//!
//! The guard has looked at Host, Origin and token before: nobody gets a 101 who may not have it.

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::guard::{Refusal, only_value};
use crate::telemetry::monitor::{self, Monitor};

/// The subprotocol of version 1.
const SUBPROTOCOL: &str = "plimsoll.v1";

pub(super) async fn upgrade(
    Extension(monitor): Extension<Monitor>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let accept = accept_key(request.headers()).ok_or_else(no_websocket)?;
    let place = monitor.place().ok_or_else(too_many)?;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // It fails where the client left before the 101.
        if let Ok(socket) = upgraded.await {
            let configuration = Some(monitor::configuration());
            let socket = TokioIo::new(socket);
            let socket = WebSocketStream::from_raw_socket(socket, Role::Server, configuration).await;
            monitor::view(place, socket).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if subprotocols(request.headers()).any(|offered| offered == SUBPROTOCOL) {
        fields.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

/// What a client offers in `sec-websocket-protocol`.
pub(super) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

/// The answer to the client's key (RFC 6455, 4.2); `None` for a request that is no handshake.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name: HeaderName, token: &str| {
        let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    let handshake = has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade");
    let version = only_value(headers, header::SEC_WEBSOCKET_VERSION)? == "13";
    let key = only_value(headers, header::SEC_WEBSOCKET_KEY)?;
    let whole = key.len() == 24 && key.is_ascii();
    (handshake && version && whole).then(|| derive_accept_key(key.as_bytes()))?.try_into().ok()
}

fn no_websocket() -> Refusal {
    Refusal {
        status: StatusCode::UPGRADE_REQUIRED,
        code: "upgrade_required",
        message: "This is a websocket (RFC 6455, version 13), and the request is no handshake of one.".into(),
        hint: "Open it as ws://…/ws; docs/monitor-protocol.md describes what it says.".into(),
    }
}

fn too_many() -> Refusal {
    Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "too_many_viewers",
        message: "The monitor has as many viewers as it may.".into(),
        hint: "Close one, or read /api/v1/status.".into(),
    }
}
