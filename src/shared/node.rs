//! A node: one address that can take requests, and what every thread may know of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use super::adaptive::Adaptive;
use super::clock;
use super::conduct::{Bench, Conduct};
use crate::logic::concurrency::AdaptiveSettings;
use crate::logic::latency::{Estimate, Reading, Sample};
use crate::logic::limits::CPU_READING_MAX_AGE;

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
    /// Requests that it may have in flight, where its backend has limits: written with each snapshot.
    in_flight_max: AtomicU32,
    /// And what is found out, where it is to be.
    adaptive: OnceLock<Adaptive>,
    /// Exact totals for the admin API, written rarely enough to share a line.
    requests: CachePadded<AtomicU64>,
    errors: AtomicU64,
    /// How it answers, by all workers' samples. On a line of its own: written once a request where a strategy measures.
    pace: CachePadded<Pace>,
    /// Its own CPU, see [`Node::set_cpu`]; 0 is never. Written about once a second.
    cpu: AtomicU64,
}

/// An [`Estimate`] that all workers write without waiting for one another.
///
/// Its parts are stored one by one. Two workers that write at the same moment lose one of their samples, and a reader may
/// see one part of a sample and not yet the other: estimates of thousands of samples are no worse for that, and each part
/// by itself is always a value that some worker stored. Relaxed: they guard no other memory.
#[derive(Debug, Default)]
struct Pace {
    latency_us: AtomicU64,
    failing: AtomicU64,
    at_us: AtomicU64,
}

impl Pace {
    fn estimate(&self) -> Estimate {
        Estimate {
            latency_us: f64::from_bits(self.latency_us.load(Relaxed)),
            failing: f64::from_bits(self.failing.load(Relaxed)),
            at_us: self.at_us.load(Relaxed),
        }
    }

    fn set(&self, estimate: Estimate) {
        self.latency_us.store(estimate.latency_us.to_bits(), Relaxed);
        self.failing.store(estimate.failing.to_bits(), Relaxed);
        self.at_us.store(estimate.at_us, Relaxed);
    }
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
            in_flight_max: AtomicU32::new(u32::MAX),
            adaptive: OnceLock::new(),
            requests: CachePadded::default(),
            errors: AtomicU64::new(0),
            pace: CachePadded::default(),
            cpu: AtomicU64::new(0),
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

    /// Requests that were sent to it and are over, however they ended.
    pub fn ended_total(&self) -> u64 {
        self.requests_total().saturating_sub(u64::from(self.in_flight()))
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

    /// Is there room for one more, where it may have so many at most? Only [`Node::claim_within`] makes sure of it.
    pub fn has_room_within(&self, most: u32) -> bool {
        self.in_flight() < self.in_flight_max().min(most)
    }

    /// Finds out how many it can have in flight, from now on; `None` no longer does. A node that does so already goes on
    /// with what it has learned.
    pub fn adapt(&self, settings: Option<AdaptiveSettings>) {
        match (self.adaptive.get(), settings) {
            (Some(adaptive), settings) => adaptive.set(settings),
            (None, Some(settings)) => drop(self.adaptive.set(Adaptive::new(settings))),
            (None, None) => {}
        }
    }

    /// What finds out how many it can have in flight, where that is wanted.
    pub fn adaptive(&self) -> Option<&Adaptive> {
        self.adaptive.get().filter(|adaptive| adaptive.settings().is_some())
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
        self.claim_within(u32::MAX)
    }

    /// As [`Node::claim`], where no more than `most` may be in flight.
    pub fn claim_within(&self, most: u32) -> bool {
        let max = self.in_flight_max().min(most);
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
        self.sample(Sample::Failed, clock::micros(Instant::now()));
    }

    /// How one request went, at this time of [`clock::micros`]. Failures come by [`Node::count_error`].
    pub fn sample(&self, sample: Sample, now_us: u64) {
        self.pace.set(self.pace.estimate().with(sample, now_us));
    }

    /// What to expect of it at this time of [`clock::micros`].
    pub fn reading(&self, now_us: u64) -> Reading {
        self.pace.estimate().read(now_us, self.in_flight())
    }

    /// Notes the share of its CPU that the node is using, from 0 to 1: what Docker says of its container, or what it says
    /// itself at the endpoint of its agent. Counts for [`CPU_READING_MAX_AGE`].
    pub fn set_cpu(&self, share: f64, now: Instant) {
        let at_ms = (clock::micros(now) / 1000).max(1);
        let ten_thousandths = (share.clamp(0.0, 1.0) * 10_000.0).round() as u64;
        // In one word, so that no reader sees the new share with the old time.
        self.cpu.store(at_ms << CPU_SHARE_BITS | ten_thousandths, Relaxed);
    }

    /// The newest reading of its CPU, from 0 to 1; `None` without one that is fresh at this time of [`clock::micros`].
    pub fn cpu(&self, now_us: u64) -> Option<f64> {
        let reading = self.cpu.load(Relaxed);
        let at_ms = reading >> CPU_SHARE_BITS;
        let age_ms = (now_us / 1000).saturating_sub(at_ms);
        let fresh = at_ms > 0 && u128::from(age_ms) <= CPU_READING_MAX_AGE.as_millis();
        fresh.then_some((reading & ((1 << CPU_SHARE_BITS) - 1)) as f64 / 10_000.0)
    }
}

/// Bits of a reading that hold the share, in ten thousandths; the others hold the time in milliseconds.
const CPU_SHARE_BITS: u32 = 14;

const _: () = assert!(10_000 < 1 << CPU_SHARE_BITS);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node() -> Node {
        Node::new("api".into(), NodeAddress::Unresolved("x:80".into()), Origin::Static)
    }

    #[test]
    fn a_reading_of_the_cpu_counts_for_ten_seconds() {
        let (node, now) = (node(), Instant::now());
        let at = |after: Duration| clock::micros(now + after);
        assert_eq!(node.cpu(at(Duration::ZERO)), None);
        node.set_cpu(0.4321, now);
        assert_eq!(node.cpu(at(Duration::ZERO)), Some(0.4321));
        assert_eq!(node.cpu(at(CPU_READING_MAX_AGE - Duration::from_millis(10))), Some(0.4321));
        assert_eq!(node.cpu(at(CPU_READING_MAX_AGE + Duration::from_millis(10))), None);
        node.set_cpu(7.0, now + Duration::from_secs(60));
        assert_eq!(node.cpu(at(Duration::from_secs(61))), Some(1.0));
    }

    #[test]
    fn samples_of_all_threads_make_one_estimate() {
        let node = node();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let node = &node;
                scope.spawn(move || {
                    (1..=10_000).for_each(|step| node.sample(Sample::Answered(900 + worker * 50), step * 10));
                });
            }
        });
        let latency_us = node.reading(100_000).latency_us.unwrap();
        assert!((900.0..=1_050.0).contains(&latency_us), "{latency_us}");
        assert_eq!(node.reading(100_000).failing, 0.0);
    }

    #[test]
    fn errors_raise_the_share_that_fails() {
        let node = node();
        (0..50).for_each(|_| node.count_error());
        assert!(node.reading(clock::micros(Instant::now())).failing > 0.9);
        assert_eq!(node.errors_total(), 50);
    }
}
