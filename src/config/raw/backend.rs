//! One entry of `backends:`, and the keys that a route may carry in its place.
#![allow(dead_code, reason = "keys of later features are checked by the schema, and nobody reads them yet")]

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::leaf::address::ServerUrl;
use crate::config::leaf::amount::{Percent, Size, Span};
use crate::config::leaf::http::{AbsolutePath, Statuses};
use crate::config::leaf::word::{CookieName, Datagram, HashKey, Quantile, RetryOn};

/// The keys that routes and backends share, written once. serde's `flatten` would do the same and lose both the
/// refusal of unknown keys and the lines of problems.
macro_rules! with_backend_keys {
    ($(#[$attribute:meta])* pub(in crate::config) struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        pub(in crate::config) struct $name {
            $($own)*
            /// How a node is picked: `round_robin` (weighted, smooth), `least_connections` (weighted), `random`,
            /// `two_choices`, `peak_ewma`, `ip_hash`, `consistent_hash`, `compute`, `first` or `prequal`. See
            /// [balancing](balancing.md).
            #[schemars(extend("default" = "round_robin"))]
            pub(in crate::config) strategy: Option<Strategy>,
            /// What `consistent_hash` goes by: `client_ip`, `path`, `header:NAME` or `cookie:NAME`.
            #[schemars(extend("default" = "client_ip"))]
            pub(in crate::config) hash_key: Option<HashKey>,
            /// Keeps a client on its node while that node serves, whatever the strategy.
            pub(in crate::config) sticky: Option<Sticky>,
            /// The servers. A name is resolved, and every address is a node.
            pub(in crate::config) servers: Option<Vec<Server>>,
            /// How nodes are probed; without it nobody is.
            pub(in crate::config) health: Option<Health>,
            /// When a node that fails requests is left out for a while; without it none is.
            pub(in crate::config) outlier: Option<Outlier>,
            /// How long the share of a node grows that joins others, or comes back; `0s` is at once.
            #[schemars(extend("default" = "0s"))]
            pub(in crate::config) slow_start: Option<Span>,
            /// When a request is tried on another node. Without it: where no connection could be opened. Only requests that may be sent twice are (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), and none that a response has begun for.
            pub(in crate::config) retry: Option<Retry>,
            /// When a request that waits for its first node is sent to a second one as well; without it none is. Only such as may be retried and have no body, and not while nodes are ejected or requests wait.
            pub(in crate::config) hedge: Option<Hedge>,
            /// Where requests wait while every node is at its `max_connections`.
            pub(in crate::config) queue: Option<Queue>,
            /// Finds out how many requests each server can have in flight, below its `max_connections`. Without it: no.
            pub(in crate::config) adaptive_limit: Option<AdaptiveLimit>,
            /// Tells nodes whose connection it is, by a PROXY header of this version before its first byte. For `tcp` listeners; nodes that speak HTTP learn it from `x-forwarded-for`.
            pub(in crate::config) send_proxy_protocol: Option<ProxyHeader>,
            /// Below this share of nodes that pass, all are used; `0%` never.
            #[schemars(extend("default" = "50%", "x-max" = "100%"))]
            pub(in crate::config) panic_threshold: Option<Percent>,
            /// Short for `docker` with this image and its defaults.
            pub(in crate::config) docker_image: Option<String>,
            /// Nodes as containers that are started and stopped.
            pub(in crate::config) docker: Option<Docker>,
            /// Nodes as local processes that are started and stopped.
            pub(in crate::config) process: Option<Process>,
            /// How many nodes there are. For `docker` and `process`.
            pub(in crate::config) scale: Option<Scale>,
        }

        impl $name {
            /// What a backend is made of.
            pub(in crate::config) fn backend_keys(&self) -> BackendKeys<'_> {
                BackendKeys {
                    strategy: self.strategy,
                    hash_key: self.hash_key.as_ref(),
                    sticky: self.sticky.as_ref(),
                    servers: self.servers.as_deref().unwrap_or_default(),
                    health: self.health.as_ref(),
                    outlier: self.outlier.as_ref(),
                    slow_start: self.slow_start,
                    panic_threshold: self.panic_threshold,
                    docker: self.docker.as_ref(),
                    docker_image: self.docker_image.as_deref(),
                    process: self.process.as_ref(),
                    scale: self.scale.as_ref(),
                    retry: self.retry.as_ref(),
                    hedge: self.hedge.as_ref(),
                    queue: self.queue.as_ref(),
                    adaptive_limit: self.adaptive_limit.as_ref(),
                    send_proxy_protocol: self.send_proxy_protocol,
                }
            }
        }
    };
}
pub(super) use with_backend_keys;

/// What a backend is made of, wherever it is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct BackendKeys<'a> {
    pub(in crate::config) strategy: Option<Strategy>,
    pub(in crate::config) hash_key: Option<&'a HashKey>,
    pub(in crate::config) sticky: Option<&'a Sticky>,
    pub(in crate::config) servers: &'a [Server],
    pub(in crate::config) health: Option<&'a Health>,
    pub(in crate::config) outlier: Option<&'a Outlier>,
    pub(in crate::config) slow_start: Option<Span>,
    pub(in crate::config) panic_threshold: Option<Percent>,
    pub(in crate::config) docker: Option<&'a Docker>,
    pub(in crate::config) docker_image: Option<&'a str>,
    pub(in crate::config) process: Option<&'a Process>,
    pub(in crate::config) scale: Option<&'a Scale>,
    pub(in crate::config) retry: Option<&'a Retry>,
    pub(in crate::config) hedge: Option<&'a Hedge>,
    pub(in crate::config) queue: Option<&'a Queue>,
    pub(in crate::config) adaptive_limit: Option<&'a AdaptiveLimit>,
    pub(in crate::config) send_proxy_protocol: Option<ProxyHeader>,
}

with_backend_keys! {
    /// A group of servers that do the same.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(in crate::config) struct Backend {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Strategy {
    RoundRobin,
    LeastConnections,
    Random,
    TwoChoices,
    PeakEwma,
    IpHash,
    ConsistentHash,
    Compute,
    First,
    Prequal,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ProxyHeader {
    V1,
    V2,
}

/// One server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Server {
    /// `http://host:port` or `unix:/path`; for tcp and udp listeners `tcp://host:port`, `udp://host:port`.
    pub(in crate::config) url: Option<ServerUrl>,
    /// Its share, beside the others' weights.
    #[schemars(extend("default" = 1), range(min = 1, max = 1000))]
    pub(in crate::config) weight: Option<u32>,
    /// Requests that it may have in flight at once; 0 is no limit.
    #[schemars(extend("default" = 0))]
    pub(in crate::config) max_connections: Option<u32>,
}

/// Sticky sessions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Sticky {
    /// The name of the cookie that carries the node, signed.
    pub(in crate::config) cookie: Option<CookieName>,
    /// What the cookie is signed with, at least 16 bytes. Without it a random one, anew at each start: balancers that stand
    /// side by side, and clients that shall stay where they are over a restart, need one that is written down.
    pub(in crate::config) secret: Option<String>,
}

/// Probes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Health {
    /// What is asked for. Without it: a TCP connection is enough.
    pub(in crate::config) path: Option<AbsolutePath>,
    /// For udp: a datagram that a node answers, as text or `hex:0001ff`. Any answer is good, or one that holds
    /// `expect_body`.
    pub(in crate::config) send: Option<Datagram>,
    /// Between two probes.
    #[schemars(extend("default" = "2s", "x-min" = "50ms"))]
    pub(in crate::config) interval: Option<Span>,
    /// How long an answer may take.
    #[schemars(extend("default" = "1s", "x-min" = "50ms"))]
    pub(in crate::config) timeout: Option<Span>,
    /// Good probes in a row that bring a node back.
    #[schemars(extend("default" = 2), range(min = 1, max = 1000))]
    pub(in crate::config) rise: Option<u32>,
    /// Bad probes in a row that take a node out.
    #[schemars(extend("default" = 3), range(min = 1, max = 1000))]
    pub(in crate::config) fall: Option<u32>,
    /// Statuses of a good answer.
    #[schemars(extend("default" = "200-399"))]
    pub(in crate::config) expect: Option<Statuses>,
    /// A text that the body of a good answer holds.
    pub(in crate::config) expect_body: Option<String>,
    /// Where the node says how busy its CPU is: the body begins with a percentage.
    pub(in crate::config) agent: Option<AbsolutePath>,
}

/// Ejection of nodes that fail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Outlier {
    /// Failures in a row that eject a node.
    #[schemars(extend("default" = 5), range(min = 1, max = 1_000_000))]
    pub(in crate::config) consecutive_failures: Option<u32>,
    /// The share of failures among the requests of a second that ejects a node, from 20 requests on.
    #[schemars(extend("default" = "50%", "x-min" = "1%", "x-max" = "100%"))]
    pub(in crate::config) failure_rate: Option<Percent>,
    /// For how long, the first time; each time in a row doubles it.
    #[schemars(extend("default" = "30s", "x-min" = "50ms"))]
    pub(in crate::config) ejection: Option<Span>,
    /// The share of a backend's nodes that may be ejected at once.
    #[schemars(extend("default" = "50%", "x-max" = "100%"))]
    pub(in crate::config) max_ejected: Option<Percent>,
}

/// Tries on other nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Retry {
    /// Tries in all, the first one too. One whose connection was refused is none.
    #[schemars(extend("default" = 2), range(min = 1, max = 16))]
    pub(in crate::config) attempts: Option<u32>,
    /// What is tried again: `connect` (always is), `reset`, statuses from 500 to 599; 504 also where no response came in time.
    #[schemars(extend("default" = ["connect", "reset", "502", "503", "504"]))]
    pub(in crate::config) on: Option<Vec<RetryOn>>,
    /// Retries beside the requests of the last ten seconds, so that they never become a storm. Three are allowed whatever it says.
    #[schemars(extend("default" = "20%", "x-max" = "100%"))]
    pub(in crate::config) budget: Option<Percent>,
}

/// Requests on two nodes at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Hedge {
    /// How long the first node is waited for: this quantile of the times to the first byte, as they were in the last seconds.
    #[schemars(extend("default" = "p95"))]
    pub(in crate::config) after: Option<Quantile>,
}

/// A queue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Queue {
    /// Requests that may wait; 0 refuses them at once.
    #[schemars(extend("default" = 1000), range(min = 0, max = 1_000_000))]
    pub(in crate::config) max: Option<u32>,
    /// For how long.
    #[schemars(extend("default" = "5s", "x-min" = "50ms"))]
    pub(in crate::config) timeout: Option<Span>,
}

/// Limits that are found out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AdaptiveLimit {
    /// The lowest that a server's limit goes.
    #[schemars(extend("default" = 1), range(min = 1, max = 1_000_000))]
    pub(in crate::config) min: Option<u32>,
    /// The highest.
    #[schemars(extend("default" = 1000), range(min = 1, max = 1_000_000))]
    pub(in crate::config) max: Option<u32>,
}

/// Nodes as containers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Docker {
    /// The image.
    pub(in crate::config) image: Option<String>,
    /// The port inside. Without it: the image's only exposed port.
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::config) port: Option<u16>,
    /// Environment variables.
    #[schemars(extend("default" = {}))]
    pub(in crate::config) env: Option<IndexMap<String, String>>,
    /// The command, in place of the image's.
    #[schemars(extend("default" = []))]
    pub(in crate::config) command: Option<Vec<String>>,
    /// The Docker network.
    #[schemars(extend("default" = "bridge"))]
    pub(in crate::config) network: Option<String>,
    /// `loopback`: published on 127.0.0.1 with a free port. `network`: the container's own address.
    #[schemars(extend("default" = "loopback"))]
    pub(in crate::config) reach: Option<Reach>,
    /// Cores; 0 is no limit.
    #[schemars(extend("default" = 0), range(min = 0, max = 1024))]
    pub(in crate::config) cpus: Option<f64>,
    /// Memory; 0 is no limit.
    #[schemars(extend("default" = "0"))]
    pub(in crate::config) memory: Option<Size>,
    /// When the image is pulled.
    #[schemars(extend("default" = "missing"))]
    pub(in crate::config) pull: Option<Pull>,
    /// How long a container may take to stop.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) stop_grace: Option<Span>,
    /// Requests that a node may have in flight at once; 0 is no limit. Further ones wait in `queue`.
    #[schemars(extend("default" = 0))]
    pub(in crate::config) max_connections: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Reach {
    Loopback,
    Network,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Pull {
    Missing,
    Always,
    Never,
}

/// Nodes as local processes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Process {
    /// The command; `{port}` is the port that the process shall listen on.
    pub(in crate::config) command: Option<Vec<String>>,
    /// Environment variables; `{port}` may stand here too.
    #[schemars(extend("default" = {}))]
    pub(in crate::config) env: Option<IndexMap<String, String>>,
    /// Requests that a node may have in flight at once; 0 is no limit. Further ones wait in `queue`.
    #[schemars(extend("default" = 0))]
    pub(in crate::config) max_connections: Option<u32>,
}

/// How many nodes there are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Scale {
    /// The fewest. With 0 the last node is stopped when idle, and the next request waits while one starts.
    #[schemars(extend("default" = 1), range(min = 0, max = 4096))]
    pub(in crate::config) min: Option<u32>,
    /// The most.
    #[schemars(extend("default" = 8), range(min = 1, max = 4096))]
    pub(in crate::config) max: Option<u32>,
    /// What a node should carry; where several are given, the hungriest decides.
    pub(in crate::config) target: Option<Target>,
    /// Where requests wait while nodes start.
    pub(in crate::config) hold: Option<Hold>,
    /// Without a request before the last node is stopped (`min: 0`).
    #[schemars(extend("default" = "5m", "x-min" = "1s"))]
    pub(in crate::config) idle: Option<Span>,
    /// How it grows.
    pub(in crate::config) up: Option<Up>,
    /// How it shrinks.
    pub(in crate::config) down: Option<Down>,
}

/// What one node should carry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Target {
    /// Requests in flight.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::config) in_flight: Option<u32>,
    /// Requests a second.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(in crate::config) rps: Option<u32>,
    /// Its share of the cores that it may use.
    #[schemars(extend("x-min" = "1%", "x-max" = "100%"))]
    pub(in crate::config) cpu: Option<Percent>,
    /// The time within which 99 of 100 requests are answered.
    #[schemars(extend("x-min" = "1ms"))]
    pub(in crate::config) p99: Option<Span>,
}

/// Requests held while nodes start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Hold {
    /// How many.
    #[schemars(extend("default" = 1000), range(min = 0, max = 1_000_000))]
    pub(in crate::config) max: Option<u32>,
    /// For how long.
    #[schemars(extend("default" = "30s", "x-min" = "50ms"))]
    pub(in crate::config) timeout: Option<Span>,
}

/// Growth.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Up {
    /// How long the need must last.
    #[schemars(extend("default" = "6s", "x-min" = "1s"))]
    pub(in crate::config) window: Option<Span>,
    /// Between two steps.
    #[schemars(extend("default" = "0s"))]
    pub(in crate::config) cooldown: Option<Span>,
    /// The most that is added at once, beside what there is.
    #[schemars(extend("default" = "100%", "x-min" = "1%", "x-max" = "1000%"))]
    pub(in crate::config) step: Option<Percent>,
}

/// Shrinking.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Down {
    /// How long the need must be gone.
    #[schemars(extend("default" = "60s", "x-min" = "1s"))]
    pub(in crate::config) window: Option<Span>,
    /// Between two steps.
    #[schemars(extend("default" = "30s"))]
    pub(in crate::config) cooldown: Option<Span>,
    /// The most that is taken away at once, of what there is.
    #[schemars(extend("default" = "50%", "x-min" = "1%", "x-max" = "100%"))]
    pub(in crate::config) step: Option<Percent>,
}
