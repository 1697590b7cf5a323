//! One entry of `routes:`.
#![allow(dead_code, reason = "keys of later features are checked by the schema, and nobody reads them yet")]

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Timeouts;
use super::backend::{
    AdaptiveLimit, BackendKeys, Docker, Health, Hedge, Outlier, Process, ProxyHeader, Queue, Retry, Scale,
    Server, Sticky, Strategy, with_backend_keys,
};
use crate::config::leaf::amount::{Percent, Span};
use crate::config::leaf::http::{
    Authority, FieldName, FieldValue, Host, Method, PathPattern, PathPrefix, RedirectTo,
};
use crate::config::leaf::word::{HashKey, RateKey};

with_backend_keys! {
    /// Which requests, and where they go. It says one of `backend`, `redirect`, `respond`, or carries the keys of a
    /// backend itself.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(in crate::config) struct Route {
        /// One host, or `*.example.com` for every name with one more label. Without it: any.
        #[schemars(extend("default" = "*"))]
        pub(in crate::config) host: Option<Host>,
        /// One path, or a prefix that ends in `/*`: `/api/*` takes `/api`, `/api/` and `/api/x`, not `/apix`.
        #[schemars(extend("default" = "/*"))]
        pub(in crate::config) path: Option<PathPattern>,
        /// Methods, in upper case. Without it: any. `GET` does not include `HEAD`.
        #[schemars(extend("default" = []))]
        pub(in crate::config) methods: Option<Vec<Method>>,
        /// Header fields that must be there with exactly this value.
        #[schemars(extend("default" = {}))]
        pub(in crate::config) headers: Option<IndexMap<String, FieldValue>>,
        /// Names of the http listeners that this route belongs to. Without it: all of them.
        pub(in crate::config) listeners: Option<Vec<String>>,
        /// The name of the backend that gets the requests.
        pub(in crate::config) backend: Option<String>,
        /// Answers with a redirect.
        pub(in crate::config) redirect: Option<Redirect>,
        /// Answers by itself.
        pub(in crate::config) respond: Option<Respond>,
        /// How the target and the host change on the way to the node.
        pub(in crate::config) rewrite: Option<Rewrite>,
        /// Edits of the request's header fields on the way to the node: remove, then set, then add.
        pub(in crate::config) request_headers: Option<Edits>,
        /// Edits of the response's header fields on the way to the client.
        pub(in crate::config) response_headers: Option<Edits>,
        /// How many requests are let through in time. Beyond it the answer is 429.
        pub(in crate::config) rate_limit: Option<RateLimit>,
        /// Requests of this route that may be in flight at once; 0 is no limit. Beyond it the answer is 503.
        #[schemars(extend("default" = 0))]
        pub(in crate::config) max_in_flight: Option<u32>,
        /// Timeouts of this route, over those of the file.
        #[schemars(extend("default" = {}))]
        pub(in crate::config) timeouts: Option<Timeouts>,
    }
}

/// A redirect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Redirect {
    /// Where to. `{path}`, `{query}` (with its `?`) and `{host}` of the request are put in.
    pub(in crate::config) to: Option<RedirectTo>,
    /// 301, 302, 303, 307 or 308.
    #[schemars(extend("default" = 308), range(min = 301, max = 308))]
    pub(in crate::config) status: Option<u16>,
}

/// An answer of the balancer's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Respond {
    /// Its status.
    #[schemars(extend("default" = 200), range(min = 200, max = 599))]
    pub(in crate::config) status: Option<u16>,
    /// Its body, `text/plain` unless `response_headers` say otherwise.
    #[schemars(extend("default" = ""))]
    pub(in crate::config) body: Option<String>,
}

/// Changes of a request's target and host.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Rewrite {
    /// Taken from the front of the path, where it ends with a segment.
    pub(in crate::config) strip_prefix: Option<PathPrefix>,
    /// Put before the path, after stripping.
    pub(in crate::config) add_prefix: Option<PathPrefix>,
    /// Sent as `Host` in place of the client's.
    pub(in crate::config) host: Option<Authority>,
}

/// Edits of header fields. Fields of one connection, of framing, and `Host` cannot be edited.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Edits {
    /// Fields that replace all of their name.
    #[schemars(extend("default" = {}))]
    pub(in crate::config) set: Option<IndexMap<String, FieldValue>>,
    /// Fields that join those of their name.
    #[schemars(extend("default" = {}))]
    pub(in crate::config) add: Option<IndexMap<String, FieldValue>>,
    /// Names of fields that go.
    #[schemars(extend("default" = []))]
    pub(in crate::config) remove: Option<Vec<FieldName>>,
}

/// A limit of requests in time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RateLimit {
    /// Requests that are let through in each period, at an even pace: two of them are `per / requests` apart.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(in crate::config) requests: Option<u32>,
    /// The period.
    #[schemars(extend("default" = "1s", "x-min" = "1ms"))]
    pub(in crate::config) per: Option<Span>,
    /// Requests that may come at once ahead of that pace.
    #[schemars(extend("default" = 0))]
    pub(in crate::config) burst: Option<u32>,
    /// Who shares a limit: `client_ip`, `header:NAME`, or all of the `route`.
    #[schemars(extend("default" = "client_ip"))]
    pub(in crate::config) key: Option<RateKey>,
}
