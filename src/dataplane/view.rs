//! A worker's own view of the published snapshot: the same nodes, with this worker's pools and strategies beside them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::stats::{Labels, SeriesKey, Stats};
use super::upstream::LocalNode;
use crate::logic::balance::{Balancer, Nodes, Strategy};
use crate::logic::route::{BackendIndex, RouteIndex};
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
            .collect();
        Self { strategy: shared.strategy, shared, balancer, nodes }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// The node for a request that was not sent to any of `tried` yet.
    pub(crate) fn pick(&self, tried: &[u16], draw: u64) -> Option<u16> {
        let picked = self.balancer.borrow_mut().pick(&Untried { backend: self, tried }, draw)?;
        u16::try_from(picked).ok()
    }
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

    fn in_flight(&self, at: usize) -> u32 {
        self.backend.nodes[at].node.in_flight()
    }

    fn usable(&self, at: usize) -> bool {
        let takes = self.backend.shared.takes(at);
        takes && (self.tried.is_empty() || !self.tried.iter().any(|&tried| usize::from(tried) == at))
    }
}
