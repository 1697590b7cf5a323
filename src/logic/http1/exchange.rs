//! One request and its response: what may be kept, what may be tried again, what the client is told.

use super::framing::Framing;
use super::request::{RequestFacts, Version};
use super::response::{Kind, Response};
use crate::logic::fault::Fault;

/// How a response goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Is its body sent with the chunked coding?
    pub chunked: bool,
    /// May the client's connection carry another request?
    pub keep_alive: bool,
    /// The client's version.
    pub version: Version,
}

/// How `response` goes to the client that sent `request`.
///
/// `clean`: the request's body was read to its end, so the next request's first byte is where it should be.
/// `draining`: the balancer is shutting down, and asks clients to come back to whoever follows it.
pub fn reply(request: &RequestFacts, response: &Response<'_>, clean: bool, draining: bool) -> Reply {
    let endless = matches!(response.framing, Framing::Chunked | Framing::UntilClose);
    let modern = request.version == Version::Http11;
    Reply {
        chunked: endless && modern && response.kind == Kind::Final,
        // An HTTP/1.0 client knows the end of a body without a length by the end of the connection alone.
        keep_alive: request.keep_alive && clean && !draining && (modern || !endless),
        version: request.version,
    }
}

/// How an attempt at a node failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be opened.
    Connect,
    /// No connection was opened in time.
    ConnectTimeout,
    /// The connection broke before the first byte of a response.
    Broke {
        /// It had carried a request before: the node may have closed it just as this one was sent.
        reused: bool,
    },
    /// The request was sent, and no response began in time.
    ResponseTimeout,
    /// The node answered, with a status of a failure.
    Status(u16),
}

impl Failure {
    /// What the client is told when there is nothing left to try.
    pub fn fault(self) -> Fault {
        match self {
            Self::Connect => Fault::ConnectFailed,
            Self::ConnectTimeout => Fault::ConnectTimeout,
            Self::Broke { .. } => Fault::NodeClosed,
            Self::ResponseTimeout => Fault::ResponseTimeout,
            // Its answer was given up for a better one, and there is none.
            Self::Status(_) => Fault::NoHealthyNode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logic::message::ResponseHead;

    const GET: RequestFacts = RequestFacts::GET;

    fn response(framing: Framing) -> Response<'static> {
        Response {
            head: ResponseHead { status: 200, fields: &[] },
            reason: b"OK",
            kind: Kind::Final,
            framing,
            described_length: None,
            node_keeps: true,
            dated: true,
            keep_alive_s: None,
            nominates: false,
        }
    }

    #[test]
    fn bodies_without_a_length_are_chunked_for_those_who_know_chunks() {
        let old = RequestFacts { version: Version::Http10, ..GET };
        for framing in [Framing::Chunked, Framing::UntilClose] {
            let to_new = reply(&GET, &response(framing), true, false);
            assert!(to_new.chunked && to_new.keep_alive);
            let to_old = reply(&old, &response(framing), true, false);
            assert!(!to_old.chunked && !to_old.keep_alive);
        }
        assert!(reply(&old, &response(Framing::Length(5)), true, false).keep_alive);
    }

    #[test]
    fn an_unread_body_or_a_drain_ends_the_connection() {
        assert!(!reply(&GET, &response(Framing::None), false, false).keep_alive);
        assert!(!reply(&GET, &response(Framing::None), true, true).keep_alive);
    }
}
