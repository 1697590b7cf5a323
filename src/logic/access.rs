//! One line of the access log: what is in it, and how it is written.

use super::fault::Fault;

/// How the lines look; `access_log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined format that Apache and nginx write, with our reason and times appended.
    Combined,
}

/// How an exchange ended, in one word for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The whole response was handed to the client's socket.
    Complete,
    /// The balancer answered in place of a node, by its own fault table.
    Fault(Fault),
    /// The client left before the end.
    ClientGone,
    /// The node broke off in the middle of a response that had begun.
    NodeBroke,
    /// The node or the client was silent for longer than `timeouts.body` in the middle of a response.
    BodyTimeout,
    /// A tunnel (`Upgrade`) that was closed.
    Tunnel,
}

/// What is known of one exchange when it ends. Strings are as the client sent them: hostile until escaped.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// Wall-clock time of the request's first byte, milliseconds since the epoch.
    pub time_ms: u64,
    /// The client's address as text; `unix` for a unix socket.
    pub client: &'a str,
    /// `HTTP/1.1`.
    pub protocol: &'a str,
    /// The method.
    pub method: &'a [u8],
    /// The authority that was asked for.
    pub authority: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// `Referer`.
    pub referer: &'a [u8],
    /// The id that was sent on as `x-request-id`.
    pub request_id: &'a [u8],
    /// Name of the listener.
    pub listener: &'a str,
    /// Name of the route; empty where none matched.
    pub route: &'a str,
    /// Name of the backend; empty where none was chosen.
    pub backend: &'a str,
    /// Address of the last node tried; empty where none was.
    pub node: &'a str,
    /// The status that the client got; 0 where it got none.
    pub status: u16,
    /// Bytes of the request's body that were forwarded.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Microseconds spent opening a connection to the node; 0 for a pooled one.
    pub connect_us: u64,
    /// Microseconds from the request's head to the response's head; 0 without a response.
    pub first_byte_us: u64,
    /// Microseconds from the request's head to the end.
    pub total_us: u64,
    /// How it ended.
    pub end: End,
}
