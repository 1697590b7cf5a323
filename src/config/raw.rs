//! The file, mirrored: every key that exists, and nothing decided about it.
//!
//! These types are the one description of the file. Their schema is what the reader checks a file against (so that
//! every problem has a place), what `plimsoll schema` prints, and what the reference in `docs/` is checked by.
//! Beside the usual words, the schema carries three of ours: `default` (what holds where the key is absent),
//! `x-min`/`x-max` (bounds of amounts, e.g. `50ms`), and `x-later` (this version reads the key and cannot do it yet).

mod backend;
mod route;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};

pub(super) use backend::{
    Backend, BackendKeys, Docker, Health, Hold, Outlier, Process, ProxyHeader, Pull, Queue, Reach, Retry,
    Sticky, Strategy, Target,
};
pub(super) use route::{Edits, RateLimit, Redirect, Respond, Route};

use super::leaf::address::{AdminBind, Bind, Cidr};
use super::leaf::amount::{BodyLimit, Size, Span, Workers};
use super::leaf::http::Host;
use super::leaf::word::LogPath;

/// The configuration of plimsoll.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "plimsoll.yaml")]
pub(super) struct File {
    /// Worker threads: `auto` is one for each core that the process may use.
    #[schemars(extend("default" = "auto"))]
    pub(super) workers: Option<Workers>,
    /// How sockets are served: `auto` is io_uring where the kernel allows it, else epoll.
    #[schemars(extend("default" = "auto"))]
    pub(super) driver: Option<Driver>,
    /// How long requests in flight may take to end after SIGTERM.
    #[schemars(extend("default" = "30s"))]
    pub(super) grace: Option<Span>,
    /// Networks whose X-Forwarded-* fields (and PROXY headers) are believed.
    #[schemars(extend("default" = []))]
    pub(super) trusted_proxies: Option<Vec<Cidr>>,
    /// Where and how exchanges are logged; `off` for not at all.
    pub(super) access_log: Option<Switch<AccessLog>>,
    /// Where clients connect, by name. Without this key there is one: `web`, http, on `0.0.0.0:8080`.
    pub(super) listeners: Option<IndexMap<String, Listener>>,
    /// How large a request may be.
    pub(super) limits: Option<Limits>,
    /// How long each phase of an exchange may take.
    pub(super) timeouts: Option<Timeouts>,
    /// Which request goes where. The most specific match wins: host, then the longest path, then more conditions,
    /// then the order of the file.
    pub(super) routes: Option<Vec<Route>>,
    /// Groups of servers, by name.
    pub(super) backends: Option<IndexMap<String, Backend>>,
    /// The admin API, metrics and monitor page; `off` for none.
    pub(super) admin: Option<Switch<Admin>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Driver {
    Auto,
    IoUring,
    Epoll,
}

/// The access log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessLog {
    /// `stdout`, `stderr` or a file.
    #[schemars(extend("default" = "stdout"))]
    pub(super) path: Option<LogPath>,
    /// One JSON object a line, or the combined format of other servers.
    #[schemars(extend("default" = "json"))]
    pub(super) format: Option<LogFormat>,
    /// The share of ordinary exchanges that is written, 0 to 1. Errors are always written.
    #[schemars(extend("default" = 1.0), range(min = 0, max = 1))]
    pub(super) sample: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogFormat {
    Json,
    Combined,
}

/// A place where clients connect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    /// An address (`127.0.0.1:8080`, `[::1]:8080`), `:8080` for every IPv4 address, `unix:/run/x.sock`, or a list
    /// of them. Port 0 lets the kernel choose.
    pub(super) bind: Option<OneOrMany<Bind>>,
    /// What is spoken there. `tcp` and `udp` forward bytes to one backend; `tcp` to several by `tls_routes`.
    #[schemars(extend("default" = "http"))]
    pub(super) protocol: Option<Protocol>,
    /// For `tcp` and `udp`: the backend that gets everything, or what no entry of `tls_routes` takes.
    pub(super) backend: Option<String>,
    /// For `tcp`: where connections go by the name in their TLS hello (SNI), which stays as it is. Without a `backend` the
    /// rest is refused.
    #[schemars(extend("default" = []))]
    pub(super) tls_routes: Option<Vec<TlsRoute>>,
    /// Do connections of `trusted_proxies` begin with a PROXY header (version 1 or 2)? For `http` and `tcp`. Others are
    /// served as themselves, and may not send one.
    #[schemars(extend("default" = false))]
    pub(super) accept_proxy_protocol: Option<bool>,
    /// Connections that may be open at once; 0 is no limit but the process's file descriptors. For `udp` sessions: 0 is
    /// 16384.
    #[schemars(extend("default" = 0))]
    pub(super) max_connections: Option<u32>,
}

/// Where TLS connections go that ask for a name. Exact names go before `*.example.com`, and those before `*`; of one name
/// those with `alpn` before those without.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsRoute {
    /// One name, `*.example.com` for every name with one more label, or `*` for any name and none.
    pub(super) name: Option<Host>,
    /// Of these protocols (ALPN) the client must offer one. Without it: whatever it offers.
    #[schemars(extend("default" = []))]
    pub(super) alpn: Option<Vec<String>>,
    /// The backend that gets the connection.
    pub(super) backend: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    Http,
    Tcp,
    Udp,
}

/// How large a request may be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Bytes of a head, a request's or a response's. Beyond it the answer is 431.
    #[schemars(extend("default" = "32KiB", "x-min" = "1KiB", "x-max" = "48KiB"))]
    pub(super) head: Option<Size>,
    /// Header fields in a head. Beyond it the answer is 431.
    #[schemars(extend("default" = 100), range(min = 1, max = 128))]
    pub(super) headers: Option<u16>,
    /// Bytes of a request's target. Beyond it the answer is 414.
    #[schemars(extend("default" = "8KiB", "x-min" = "64B", "x-max" = "48KiB"))]
    pub(super) uri: Option<Size>,
    /// Bytes of a request's body, `none` for any. Beyond it the answer is 413.
    #[schemars(extend("default" = "none"))]
    pub(super) body: Option<BodyLimit>,
}

/// How long each phase of an exchange may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Timeouts {
    /// From the first byte of a request's head to its last. Not in a route: it ends before a route is known.
    #[schemars(extend("default" = "10s", "x-min" = "50ms"))]
    pub(super) client_head: Option<Span>,
    /// From the end of a response to the next request on its connection. Not in a route.
    #[schemars(extend("default" = "60s", "x-min" = "50ms"))]
    pub(super) client_idle: Option<Span>,
    /// Between two pieces of a request's body.
    #[schemars(extend("default" = "30s", "x-min" = "50ms"))]
    pub(super) client_body: Option<Span>,
    /// To open a connection to a node.
    #[schemars(extend("default" = "2s", "x-min" = "50ms"))]
    pub(super) connect: Option<Span>,
    /// From the last byte of a request to the last byte of its response's head.
    #[schemars(extend("default" = "30s", "x-min" = "50ms"))]
    pub(super) response_head: Option<Span>,
    /// Between two pieces of a response's body, on either side.
    #[schemars(extend("default" = "30s", "x-min" = "50ms"))]
    pub(super) body: Option<Span>,
    /// Without a byte in either direction of a tunnel (a WebSocket), or of a connection of a tcp listener.
    #[schemars(extend("default" = "1h", "x-min" = "50ms"))]
    pub(super) tunnel_idle: Option<Span>,
    /// Without a datagram in either direction of a session of a udp listener. Not in a route.
    #[schemars(extend("default" = "60s", "x-min" = "50ms"))]
    pub(super) udp_idle: Option<Span>,
}

/// The admin API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// Where it listens.
    #[schemars(extend("default" = "127.0.0.1:9900"))]
    pub(super) bind: Option<AdminBind>,
    /// Does it take changes? Elsewhere than on loopback only with a token.
    #[schemars(extend("default" = true))]
    pub(super) writable: Option<bool>,
    /// The file that holds the bearer token: needed where `bind` is not loopback.
    pub(super) token_file: Option<String>,
    /// Names of hosts that it goes by, beside its addresses and `localhost`.
    pub(super) names: Option<Vec<String>>,
}

/// `off`, or settings.
#[derive(Debug)]
pub(super) enum Switch<T> {
    Off,
    On(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_yaml::Value::deserialize(deserializer)?;
        if value.as_str() == Some("off") {
            return Ok(Self::Off);
        }
        serde_yaml::from_value(value).map(Self::On).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}OrOff", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let on = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [on, { "type": "string", "enum": ["off"] }] })
    }
}

/// One, or a list.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_yaml::Value::deserialize(deserializer)?;
        let list = if value.is_sequence() { value } else { serde_yaml::Value::Sequence(vec![value]) };
        serde_yaml::from_value(list).map(Self).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}OrList", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
