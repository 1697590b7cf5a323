//! A node: one address that can take requests, and what every thread may know of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::conduct::{Bench, Conduct};

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
    /// All of them, in the order of a node's life.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Warming,
        Self::Serving,
        Self::Unhealthy,
        Self::Ejected,
        Self::Draining,
        Self::Down,
    ];

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
    /// How it behaves.
    pub conduct: Conduct,
    /// Requests in flight over all workers. On its own cache line: every worker writes it on every request.
    in_flight: CachePadded<AtomicU32>,
    /// Exact totals for the admin API, written rarely enough to share a line.
    requests: CachePadded<AtomicU64>,
    errors: AtomicU64,
    /// What its agent said last, in hundredths of a percent, plus one; 0 where it said nothing.
    cpu: AtomicU32,
}

impl Node {
    /// A node without a past.
    pub fn new(backend: Arc<str>, address: NodeAddress, origin: Origin) -> Self {
        Self {
            id: format!("{backend}/{address}").into(),
            backend,
            address,
            origin,
            conduct: Conduct::default(),
            in_flight: CachePadded::default(),
            requests: CachePadded::default(),
            errors: AtomicU64::new(0),
            cpu: AtomicU32::new(0),
        }
    }

    /// Judged as the nodes of this bench's backend are.
    #[must_use]
    pub fn on(mut self, bench: Arc<Bench>) -> Self {
        self.conduct = Conduct::new(bench);
        self
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

    /// How busy its CPU is, in hundredths of a percent of the cores that it may use; told by its agent.
    pub fn set_cpu(&self, hundredths: u32) {
        self.cpu.store(hundredths.saturating_add(1), Relaxed);
    }

    /// The newest reading of its CPU, in hundredths of a percent; `None` where there never was one.
    pub fn cpu(&self) -> Option<u32> {
        self.cpu.load(Relaxed).checked_sub(1)
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

    /// One request was failed by the node.
    pub fn count_error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }
}
