//! A node: one address that can take requests, and what every thread may know of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;

use super::adaptive::Adaptive;
use crate::logic::concurrency::AdaptiveSettings;

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
    /// A name that does not resolve: the node is down until it does.
    Unresolved(Box<str>),
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Unresolved(name) => name.fmt(f),
        }
    }
}

/// Where a node came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An address in the file.
    Static,
    /// A name in the file.
    Dns,
    /// A container that the balancer started.
    Docker,
    /// A local process that the balancer started.
    Process,
    /// A container that somebody else started, and that asked by its labels.
    Label,
}

impl Origin {
    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dns => "dns",
            Self::Docker => "docker",
            Self::Process => "process",
            Self::Label => "label",
        }
    }
}

/// What a node is doing; the words of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Its engine brings it up: nobody can connect yet.
    Starting,
    /// It runs, and has not passed its health check yet.
    Warming,
    /// Takes requests.
    Serving,
    /// Failed its health check.
    Unhealthy,
    /// Failed too many requests: out for a while.
    Ejected,
    /// Takes no new requests; those in flight finish.
    Draining,
    /// Takes none, for the reason that stands beside it.
    Down,
}

impl NodeState {
    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Warming => "warming",
            Self::Serving => "serving",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }
}

/// One node. Shared by every snapshot it is part of, so its counters live as long as it does.
#[derive(Debug)]
pub struct Node {
    /// Stable while the node exists: `backend/address`.
    pub id: Arc<str>,
    /// Name of its backend.
    pub backend: Arc<str>,
    /// Where it listens.
    pub address: NodeAddress,
    /// Where it came from.
    pub origin: Origin,
    /// Requests in flight over all workers. On its own cache line: every worker writes it on every request.
    in_flight: CachePadded<AtomicU32>,
    /// Requests that it may have in flight, where its backend has limits: written with each snapshot.
    in_flight_max: AtomicU32,
    /// And what is found out, where it is to be.
    adaptive: OnceLock<Adaptive>,
    /// Exact totals for the admin API, written rarely enough to share a line.
    requests: CachePadded<AtomicU64>,
    errors: AtomicU64,
}

impl Node {
    /// A node without a past.
    pub fn new(backend: Arc<str>, address: NodeAddress, origin: Origin) -> Self {
        Self {
            id: format!("{backend}/{address}").into(),
            backend,
            address,
            origin,
            in_flight: CachePadded::default(),
            in_flight_max: AtomicU32::new(u32::MAX),
            adaptive: OnceLock::new(),
            requests: CachePadded::default(),
            errors: AtomicU64::new(0),
        }
    }

    /// Requests in flight now. Relaxed: the number guards no other memory.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that were sent to it since it exists.
    pub fn requests_total(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests that it failed: refused, broke off, timed out, or answered with 5xx.
    pub fn errors_total(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// One request begins; [`Node::end`] must follow on every path.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }

    /// One request is over.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Sets how many requests it may have in flight; those beyond it that are there already finish.
    pub fn set_in_flight_max(&self, max: u32) {
        self.in_flight_max.store(max, SeqCst);
    }

    /// Is there room for one more? Only [`Node::claim`] makes sure of it.
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.in_flight_max()
    }

    /// Finds out how many it can have in flight, from now on. A node that does so already goes on as it does.
    pub fn adapt(&self, settings: AdaptiveSettings) {
        self.adaptive.get_or_init(|| Adaptive::new(settings));
    }

    /// What finds out how many it can have in flight, where that is wanted.
    pub fn adaptive(&self) -> Option<&Adaptive> {
        self.adaptive.get()
    }

    fn in_flight_max(&self) -> u32 {
        let max = self.in_flight_max.load(SeqCst);
        self.adaptive.get().map_or(max, |adaptive| adaptive.in_flight_max().min(max))
    }

    /// Takes a place for one request, if there is one: never more than the maximum, however many workers try.
    /// [`Node::give_back`] must follow on every path, or the place be handed on to another request.
    ///
    /// Sequentially consistent, as is giving back: a request that begins to wait and a place that becomes free must not
    /// miss one another (see `shared::queue`).
    pub fn claim(&self) -> bool {
        let max = self.in_flight_max();
        self.in_flight.fetch_update(SeqCst, SeqCst, |now| (now < max).then_some(now + 1)).is_ok()
    }

    /// Gives a place back.
    pub fn give_back(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
    }

    /// May the place of a request that has ended be handed to another? Not where the maximum has fallen meanwhile, as it
    /// does to 0 for a node that takes no more requests.
    pub fn keeps_place(&self) -> bool {
        self.in_flight() <= self.in_flight_max()
    }

    /// Counts a request on a place that was claimed for it.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// One request was failed by the node.
    pub fn count_error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }
}
