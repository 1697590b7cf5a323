//! The request as the node saw it, for tests of what stands between the client and the node.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    body::{BodyReader, KEPT_MAX},
    request,
};

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// Its number on the connection, from 1.
    pub(crate) request_of_connection: u64,
}

/// What an echo says.
#[derive(Debug, Serialize)]
pub(crate) struct Echo {
    node: String,
    peer: String,
    request_of_connection: u64,
    method: String,
    target: String,
    version: String,
    /// Names as they came, in the order in which they came; bytes that are not UTF-8 are replaced.
    headers: Vec<(String, String)>,
    body_bytes: u64,
    /// The beginning of the body, bytes that are not UTF-8 replaced.
    body: String,
    body_truncated: bool,
}

impl Echo {
    /// The echo of the request with this head and body.
    pub(crate) fn of(node: &str, place: Place, head: &[u8], body: &BodyReader) -> Self {
        let line =
            head.split(|&b| b == b'\r' || b == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let kept = body.kept.as_deref().unwrap_or_default();
        Self {
            node: node.to_owned(),
            peer: place.peer.to_string(),
            request_of_connection: place.request_of_connection,
            method: word(),
            target: word(),
            version: word(),
            headers: request::fields(head),
            body_bytes: body.received,
            body: String::from_utf8_lossy(kept).into_owned(),
            body_truncated: body.received > KEPT_MAX as u64,
        }
    }
}
