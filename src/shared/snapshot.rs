//! The one immutable picture of settings and nodes that the workers serve from.
//!
//! The control plane publishes a new [`Snapshot`] whenever anything changes; a worker sees it at its next request.
//! Readers never wait: `arc-swap` keeps the current pointer in a per-thread cache, and a read is one atomic load.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use ipnet::IpNet;

use super::budget::Budget;
use super::node::{Node, NodeState};
use super::queue::Queue;
use super::route_gate::RouteGate;
use super::scaling::Scaling;
use crate::logic::access::LogFormat;
use crate::logic::balance::Strategy;
use crate::logic::balance::key::HashKey;
use crate::logic::balance::sticky::Sticky;
use crate::logic::balance::table::HashTable;
use crate::logic::concurrency::AdaptiveSettings;
use crate::logic::hedge::HedgePolicy;
use crate::logic::limits::{MessageLimits, Timeouts};
use crate::logic::proxy_protocol;
use crate::logic::retry::RetryPolicy;
use crate::logic::route::{BackendIndex, RouteTable};
use crate::logic::tls::names::NameTable;

/// Everything that a worker needs to serve a request.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises with each publication.
    pub version: u64,
    /// Rises with each reload of the configuration: routes and listeners keep their places within one.
    pub generation: u64,
    /// Limits before a route is known.
    pub limits: MessageLimits,
    /// Timeouts before a route is known.
    pub timeouts: Timeouts,
    /// Peers whose X-Forwarded-* are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What is logged of each exchange; `None` is nothing.
    pub access_log: Option<AccessLog>,
    /// Names of the listeners, by `ListenerIndex`.
    pub listeners: Vec<Arc<str>>,
    /// What is spoken at each listener, by `ListenerIndex`; http where there is no entry.
    pub protocols: Vec<Protocol>,
    /// Whether connections of trusted proxies begin with a PROXY header, by `ListenerIndex`; not where there is no entry.
    pub expect_proxy_header: Vec<bool>,
    /// The routes.
    pub routes: Arc<RouteTable>,
    /// What limits each route, by `RouteIndex`; `None` for one without limits.
    pub gates: Vec<Option<Arc<RouteGate>>>,
    /// The backends, by `BackendIndex`.
    pub backends: Vec<Arc<Backend>>,
}

/// What is spoken at a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// Bytes for a node of this backend; `None` while there is no backend of the name that the listener gives.
    Tcp(Option<BackendIndex>),
    /// TLS whose names lead to backends; `None` as for [`Protocol::Tcp`].
    TlsByName(Arc<NameTable<Option<BackendIndex>>>),
    /// Datagrams, in sessions by client; `None` as for tcp.
    Udp(Option<BackendIndex>),
}

impl Snapshot {
    /// What is spoken at this listener.
    pub fn protocol(&self, listener: u16) -> &Protocol {
        self.protocols.get(usize::from(listener)).unwrap_or(&Protocol::Http)
    }

    /// Do connections of trusted proxies begin with a PROXY header at this listener?
    pub fn expects_proxy_header(&self, listener: u16) -> bool {
        self.expect_proxy_header.get(usize::from(listener)).copied().unwrap_or(false)
    }

    /// Is this peer one whose X-Forwarded-* are believed?
    pub fn trusts(&self, peer: IpAddr) -> bool {
        // An IPv4 client of a dual-stack listener arrives as ::ffff:a.b.c.d; the file says a.b.c.d.
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Tells the nodes of backends with limits how much each may have in flight: nothing, while it takes no requests, so
    /// that no place of it is handed on. What is ejected keeps its places: the workers let it have a trial before the
    /// control plane knows.
    fn set_limits(&self) {
        for backend in &self.backends {
            let Some(queue) = &backend.queue else { continue };
            if let Some(scaling) = &backend.scaling {
                queue.set_asleep(scaling.asleep, scaling.places);
            }
            for entry in &backend.nodes {
                let usable = match entry.state {
                    NodeState::Serving | NodeState::Ejected => true,
                    NodeState::Unhealthy | NodeState::Warming => backend.panics,
                    NodeState::Starting | NodeState::Draining | NodeState::Down => false,
                };
                let max = entry.in_flight_max.map_or(u32::MAX, NonZeroU32::get);
                entry.node.set_in_flight_max(if usable { max } else { 0 });
                entry.node.adapt(backend.adaptive);
            }
        }
    }
}

/// How the workers log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccessLog {
    /// How lines look.
    pub format: LogFormat,
    /// The share of ordinary lines that is written, 0 to 1. Errors are always written.
    pub sample: f64,
}

/// A backend and its nodes.
#[derive(Debug)]
pub struct Backend {
    /// Its name in the file.
    pub name: Arc<str>,
    /// How nodes are picked.
    pub strategy: Strategy,
    /// So few nodes pass that all but those which an operator took out are used.
    pub panics: bool,
    /// What ties requests to nodes.
    pub affinity: Affinity,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// When a second node is asked as well; `None` is never.
    pub hedge: Option<HedgePolicy>,
    /// How often both happened of late.
    pub budget: Arc<Budget>,
    /// Where requests wait while every node is at its limit, or is yet to start; `None` where neither can be.
    pub queue: Option<Arc<Queue>>,
    /// How its nodes are started and stopped; `None` where nothing does.
    pub scaling: Option<Scaling>,
    /// Why they are not started or stopped as they should be, and what comes next.
    pub trouble: Option<Arc<str>>,
    /// Between which bounds the nodes' limits are found out; `None` where they are not.
    pub adaptive: Option<AdaptiveSettings>,
    /// In which version nodes are told whose connection it is; `None` where they are not.
    pub proxy_header: Option<proxy_protocol::Version>,
    /// Its nodes, those that are down too.
    pub nodes: Vec<Entry>,
}

/// What ties requests to nodes: built once where the nodes change, looked into by the workers.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    /// What hashing strategies go by.
    pub key: HashKey,
    /// Where keys lead, for a strategy that hashes.
    pub table: Option<Arc<HashTable>>,
    /// The cookies of sticky sessions.
    pub sticky: Option<Arc<Sticky>>,
}

/// A node's place in a backend, with what can change without making it another node.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The node.
    pub node: Arc<Node>,
    /// Its weight, `1..=WEIGHT_MAX`.
    pub weight: u32,
    /// What strategies go by: the weight, or a part of it during a slow start. Only its ratio to that of the other nodes
    /// of the backend means anything.
    pub effective: u32,
    /// Requests that it may have in flight; `None` is no limit.
    pub in_flight_max: Option<NonZeroU32>,
    /// The container or the process that it is, as its engine names it.
    pub unit: Option<Arc<str>>,
    /// Whether it takes requests.
    pub state: NodeState,
    /// Why it is in that state, in words for a person.
    pub reason: Arc<str>,
    /// Since when, milliseconds since the epoch.
    pub since_ms: u64,
}

impl Backend {
    /// May node `at` be picked for a new request?
    pub fn takes(&self, at: usize) -> bool {
        let entry = &self.nodes[at];
        match entry.state {
            // Ejections are the workers' own: what they wrote on the node is newer than what was published of it.
            NodeState::Serving | NodeState::Ejected => entry.node.conduct.admits() || self.panics,
            NodeState::Unhealthy | NodeState::Warming => self.panics,
            NodeState::Starting | NodeState::Draining | NodeState::Down => false,
        }
    }
}

/// The place where the newest snapshot stands.
#[derive(Debug, Clone)]
pub struct Published(Arc<ArcSwap<Snapshot>>);

impl Published {
    /// Publishes the first one.
    pub fn new(snapshot: Snapshot) -> Self {
        snapshot.set_limits();
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// Replaces it. Workers that are in the middle of a request keep what they began with.
    pub fn publish(&self, snapshot: Snapshot) {
        snapshot.set_limits();
        self.0.store(Arc::new(snapshot));
    }

    /// The newest, for a thread that looks rarely.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// A reader for a worker's hot path.
    pub fn reader(&self) -> Reader {
        Reader(Cache::new(Arc::clone(&self.0)))
    }
}

/// One thread's view of the newest snapshot.
pub struct Reader(Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>);

impl Reader {
    /// The newest: one atomic load where nothing changed.
    pub fn load(&mut self) -> &Arc<Snapshot> {
        self.0.load()
    }
}

/// Plain ones, for tests that are about one of their parts.
#[cfg(test)]
mod plain {
    use super::*;

    impl Snapshot {
        /// The first, with default limits and nothing but these backends.
        pub(crate) fn of(backends: Vec<Arc<Backend>>) -> Self {
            Self {
                version: 1,
                generation: 1,
                limits: MessageLimits::default(),
                timeouts: Timeouts::default(),
                trusted_proxies: Vec::new(),
                access_log: None,
                listeners: Vec::new(),
                protocols: Vec::new(),
                expect_proxy_header: Vec::new(),
                routes: Arc::default(),
                gates: Vec::new(),
                backends,
            }
        }
    }

    impl Backend {
        /// The backend `api` with these nodes, and nothing but defaults.
        pub(crate) fn of(nodes: Vec<Entry>) -> Self {
            Self {
                name: "api".into(),
                strategy: Strategy::default(),
                panics: false,
                affinity: Affinity::default(),
                retry: RetryPolicy::OFF,
                hedge: None,
                budget: Arc::default(),
                queue: None,
                scaling: None,
                trouble: None,
                adaptive: None,
                proxy_header: None,
                nodes,
            }
        }
    }

    impl Entry {
        /// A node of this weight that serves.
        pub(crate) fn of(node: Arc<Node>, weight: u32) -> Self {
            Self {
                node,
                weight,
                effective: weight,
                in_flight_max: None,
                unit: None,
                state: NodeState::Serving,
                reason: "".into(),
                since_ms: 0,
            }
        }
    }
}
