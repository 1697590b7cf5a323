//! A worker's own view of the published snapshot: the same nodes, with this worker's pools and strategies beside them.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::stats::{Labels, SeriesKey, Stats};
use super::upstream::LocalNode;
use crate::logic::balance::key::HashKey;
use crate::logic::balance::table::HashTable;
use crate::logic::balance::{Ask, Balancer, Nodes, Strategy};
use crate::logic::latency::Reading;
use crate::logic::message::RequestHead;
use crate::logic::route::{BackendIndex, RouteIndex};
use crate::shared::clock;
use crate::shared::node::NodeState;
use crate::shared::snapshot::{Backend, Snapshot};

/// One snapshot as one worker sees it. A request keeps the one that it began with.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    backends: Vec<LocalBackend>,
    /// The series of each pair of listener and route, once it is known.
    series: Vec<Cell<Option<SeriesKey>>>,
    /// Routes, and one for requests that took none.
    routes: usize,
}

/// One backend as one worker sees it.
pub(crate) struct LocalBackend {
    shared: Arc<Backend>,
    strategy: Strategy,
    balancer: Rc<RefCell<Balancer>>,
    weight_max: u32,
    pub(crate) nodes: Vec<Rc<LocalNode>>,
}

impl View {
    /// Builds the view of `snapshot`. Nodes and strategies that `before` had are carried over, with their pools.
    pub(crate) fn new(snapshot: Arc<Snapshot>, before: Option<&View>, worker: usize) -> Self {
        let backends = snapshot
            .backends
            .iter()
            .map(|shared| LocalBackend::new(Arc::clone(shared), before, worker))
            .collect();
        let routes = snapshot.routes.iter().count() + 1;
        let series = vec![Cell::new(None); snapshot.listeners.len() * routes];
        Self { backends, series, routes, snapshot }
    }

    pub(crate) fn backend(&self, index: BackendIndex) -> &LocalBackend {
        &self.backends[usize::from(index.0)]
    }

    /// All nodes of all backends.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Rc<LocalNode>> {
        self.backends.iter().flat_map(|backend| &backend.nodes)
    }

    /// Where requests of this listener and route are counted.
    pub(crate) fn series(&self, stats: &Stats, listener: u16, route: Option<RouteIndex>) -> SeriesKey {
        let place = usize::from(listener) * self.routes + route.map_or(0, |route| usize::from(route.0) + 1);
        let Some(cell) = self.series.get(place) else { return stats.series(self.labels(listener, route)) };
        if let Some(key) = cell.get() {
            return key;
        }
        let key = stats.series(self.labels(listener, route));
        cell.set(Some(key));
        key
    }

    fn labels(&self, listener: u16, route: Option<RouteIndex>) -> Labels {
        let route = route.map(|index| self.snapshot.routes.get(index));
        let backend = route.and_then(|route| match route.action {
            crate::logic::route::Action::Forward { backend, .. } => Some(backend),
            _ => None,
        });
        Labels {
            listener: self
                .snapshot
                .listeners
                .get(usize::from(listener))
                .cloned()
                .unwrap_or_else(|| "".into()),
            route: route.map_or_else(|| "".into(), |route| Arc::clone(&route.name)),
            backend: backend
                .map_or_else(|| "".into(), |backend| Arc::clone(&self.backend(backend).shared.name)),
        }
    }
}

impl LocalBackend {
    fn new(shared: Arc<Backend>, before: Option<&View>, worker: usize) -> Self {
        let old =
            before.and_then(|view| view.backends.iter().find(|backend| backend.shared.name == shared.name));
        let kept = old.filter(|old| old.strategy == shared.strategy);
        let balancer = kept.map_or_else(
            || Rc::new(RefCell::new(Balancer::new(shared.strategy, worker))),
            |old| Rc::clone(&old.balancer),
        );
        let nodes = shared
            .nodes
            .iter()
            .map(|entry| {
                let known =
                    old.and_then(|old| old.nodes.iter().find(|local| Arc::ptr_eq(&local.node, &entry.node)));
                let local = known.map_or_else(|| Rc::new(LocalNode::new(Arc::clone(&entry.node))), Rc::clone);
                local.cut.set(entry.state == NodeState::Down);
                local
            })
            .inspect(|node| node.measured.set(shared.strategy.measures()))
            .collect();
        let weight_max = shared.nodes.iter().map(|entry| entry.weight).max().unwrap_or(1);
        Self { strategy: shared.strategy, shared, balancer, weight_max, nodes }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// What ties a request to a node. Nothing is looked for that neither the strategy nor a cookie asks for.
    pub(crate) fn tie(&self, head: &RequestHead<'_>, client: impl FnOnce() -> Option<IpAddr>) -> Tie {
        let affinity = &self.shared.affinity;
        let key = match self.strategy {
            Strategy::IpHash => HashKey::ClientIp.of(head, client),
            Strategy::ConsistentHash => affinity.key.of(head, client),
            _ => None,
        };
        let named = affinity.sticky.as_ref().and_then(|sticky| sticky.node(head.fields));
        Tie { key, named, picked: None }
    }

    /// The node for a request that was not sent to any of `tried` yet, and came at `now`.
    pub(crate) fn pick(&self, tie: &mut Tie, tried: &[u16], draw: u64, now: Instant) -> Option<u16> {
        let untried = Untried { backend: self, tried };
        tie.picked = match tie.named {
            Some(named) if untried.usable(usize::from(named)) => Some(named),
            _ => {
                let ask = Ask { draw, key: tie.key, now_us: clock::micros(now) };
                let picked = self.balancer.borrow_mut().pick(&untried, &ask);
                picked.and_then(|picked| u16::try_from(picked).ok())
            }
        };
        tie.picked
    }

    /// Gives a client its cookie, in a response's head that is whole, unless it brought the one of this node.
    pub(crate) fn give_cookie(&self, tie: &Tie, head: &mut Vec<u8>) {
        if let (Some(sticky), Some(picked)) = (&self.shared.affinity.sticky, tie.picked)
            && tie.named != tie.picked
        {
            sticky.give(picked, head);
        }
    }
}

/// What ties one request to a node. Places are those of the view that the request began with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tie {
    key: Option<u64>,
    /// The node that its cookie names.
    named: Option<u16>,
    /// The node that it was sent to last.
    picked: Option<u16>,
}

/// The nodes of a backend but for those that a request has tried in vain.
struct Untried<'a> {
    backend: &'a LocalBackend,
    tried: &'a [u16],
}

impl Nodes for Untried<'_> {
    fn len(&self) -> usize {
        self.backend.nodes.len()
    }

    fn weight(&self, at: usize) -> u32 {
        self.backend.shared.nodes[at].effective
    }

    fn weight_max(&self) -> u32 {
        self.backend.weight_max
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.backend.nodes[at].node.in_flight()
    }

    fn reading(&self, at: usize, now_us: u64) -> Reading {
        self.backend.nodes[at].node.reading(now_us)
    }

    fn cpu(&self, at: usize, now_us: u64) -> Option<f64> {
        self.backend.nodes[at].node.cpu(now_us)
    }

    fn table(&self) -> Option<&HashTable> {
        self.backend.shared.affinity.table.as_deref()
    }

    fn usable(&self, at: usize) -> bool {
        let entry = &self.backend.shared.nodes[at];
        let takes = match entry.state {
            // Ejections are the workers' own: what they wrote on the node is newer than what was published of it.
            NodeState::Serving | NodeState::Ejected => {
                entry.node.conduct.admits() || self.backend.shared.panics
            }
            NodeState::Unhealthy | NodeState::Warming => self.backend.shared.panics,
            NodeState::Starting | NodeState::Draining | NodeState::Down => false,
        };
        takes && (self.tried.is_empty() || !self.tried.iter().any(|&tried| usize::from(tried) == at))
    }
}
