//! What can go wrong with an exchange, whose fault it is, and what the client is told.

/// Who has to change something for it to go right next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client sent what cannot be understood or is not allowed.
    Client,
    /// The node broke off, was slow, or answered nonsense.
    Node,
    /// The operator: no node, no route, too little capacity.
    Operator,
    /// A bug of ours.
    Us,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident => $status:literal, $reason:literal, $blame:ident, $text:literal;)*) => {
        /// Why the balancer answers a request itself, or gives it up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them, in order: for tables in tests and documentation.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];

            /// The status that the client sees.
            pub fn status(self) -> u16 { match self { $(Fault::$name => $status,)* } }

            /// The value of `x-plimsoll-reason`: stable, machine-readable, part of the public contract.
            pub fn reason(self) -> &'static str { match self { $(Fault::$name => $reason,)* } }

            /// Whose fault it is.
            pub fn blame(self) -> Blame { match self { $(Fault::$name => Blame::$blame,)* } }

            /// One sentence for a person: what happened and what to do.
            pub fn text(self) -> &'static str { match self { $(Fault::$name => $text,)* } }
        }
    };
}

faults! {
    /// The head breaks the grammar, or is ambiguous (RFC 9112, 2.2, 3, 5, 6).
    BadRequest => 400, "bad_request", Client, "The request is malformed or ambiguous, and was not forwarded.";
    /// `Host` is missing, repeated or invalid (RFC 9112, 3.2).
    BadHost => 400, "bad_host", Client, "The request needs exactly one valid Host.";
    /// A trusted proxy's connection does not begin with a PROXY header, though its listener is told that it does.
    BadProxyHeader => 400, "bad_proxy_header", Operator, "The connection does not begin with a valid PROXY header, which this listener expects of trusted proxies.";
    /// A connection to a listener that goes by names does not begin with a TLS ClientHello, and there is no default.
    BadHello => 400, "bad_hello", Client, "The connection does not begin with a valid TLS ClientHello.";
    /// The body's chunked coding is broken.
    BadBody => 400, "bad_body", Client, "The request's body is malformed.";
    /// The path has an encoding that routes could be slipped past with.
    AmbiguousPath => 400, "ambiguous_path", Client, "The path holds an encoded slash, NUL or dot segment that makes its meaning ambiguous.";
    /// No route matches.
    NoRoute => 404, "no_route", Operator, "No route matches this host and path.";
    /// A route matches but for its method.
    MethodNotAllowed => 405, "method_not_allowed", Client, "This path does not accept the method.";
    /// The head did not arrive in time.
    HeadTimeout => 408, "head_timeout", Client, "The request's head took too long to arrive.";
    /// The body did not arrive in time.
    BodyTimeout => 408, "body_timeout", Client, "The request's body took too long to arrive.";
    /// The body is longer than `limits.body`.
    BodyTooLarge => 413, "body_too_large", Client, "The request's body is larger than this server accepts.";
    /// The target is longer than `limits.uri`.
    UriTooLong => 414, "uri_too_long", Client, "The request's target is longer than this server accepts.";
    /// An expectation that is not 100-continue (RFC 9110, 10.1.1).
    BadExpectation => 417, "bad_expectation", Client, "The only expectation that is understood is 100-continue.";
    /// The head is larger than `limits.head` or has more fields than `limits.headers`.
    HeadTooLarge => 431, "head_too_large", Client, "The request's head is larger than this server accepts.";
    /// A rate limit of the route is used up.
    RateLimited => 429, "rate_limited", Client, "Too many requests: wait before the next one.";
    /// A panic while the request was served.
    Internal => 500, "internal_error", Us, "The balancer failed to serve this request. It is a bug: please report it.";
    /// CONNECT, or a transfer coding other than chunked (RFC 9112, 6.1).
    NotImplemented => 501, "not_implemented", Client, "This server does not implement the method or transfer coding.";
    /// The node refused or dropped every attempt to connect.
    ConnectFailed => 502, "connect_failed", Node, "No node of the backend accepted a connection.";
    /// The node closed before a whole response head.
    NodeClosed => 502, "node_closed", Node, "The node closed the connection before it answered.";
    /// The node's response breaks the grammar, or is ambiguous.
    BadResponse => 502, "bad_response", Node, "The node answered with a malformed response, which was not forwarded.";
    /// The backend has no node that may be used.
    NoHealthyNode => 503, "no_healthy_node", Operator, "No node of the backend is able to serve.";
    /// All nodes are at their limit and the queue is full.
    QueueFull => 503, "queue_full", Operator, "All nodes are busy and the queue is full.";
    /// As many requests of the route are in flight as may be.
    RouteFull => 503, "route_full", Operator, "As many requests of this route are in flight as it allows.";
    /// A place in the queue was not enough.
    QueueTimeout => 503, "queue_timeout", Operator, "All nodes stayed busy for too long.";
    /// The backend sleeps, and as many requests wait for a node to start as may.
    HoldFull => 503, "hold_full", Operator, "No node runs yet, and as many requests as may wait for one already.";
    /// No node took requests within `scale.hold.timeout`.
    HoldTimeout => 503, "hold_timeout", Operator, "No node had started in time.";
    /// The balancer is shutting down.
    Draining => 503, "draining", Operator, "The balancer is shutting down.";
    /// The node accepted the connection, then sent no head in time.
    ResponseTimeout => 504, "response_timeout", Node, "The node did not answer in time.";
    /// The connection was not opened in time, on any node.
    ConnectTimeout => 504, "connect_timeout", Node, "No node of the backend accepted a connection in time.";
    /// A version other than HTTP/1.x (RFC 9110, 15.6.6).
    BadVersion => 505, "bad_version", Client, "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
}

impl Fault {
    /// Must the client's connection close after this answer? Yes, where the bytes that follow cannot be trusted.
    pub fn closes(self) -> bool {
        !matches!(
            self,
            Fault::NoRoute
                | Fault::MethodNotAllowed
                | Fault::RateLimited
                | Fault::AmbiguousPath
                | Fault::ConnectFailed
                | Fault::NodeClosed
                | Fault::BadResponse
                | Fault::NoHealthyNode
                | Fault::RouteFull
                | Fault::QueueFull
                | Fault::QueueTimeout
                | Fault::HoldFull
                | Fault::HoldTimeout
                | Fault::ResponseTimeout
                | Fault::ConnectTimeout
        )
    }

    /// Seconds after which the client may try again; sent as `retry-after` with 429 and 503.
    pub fn retry_after_s(self) -> Option<u32> {
        matches!(self.status(), 429 | 503).then_some(1)
    }
}
