//! A worker's own view of the published snapshot: the same nodes, with this worker's pools and strategies beside them.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::queue::{LocalQueue, Queues};
use super::stats::{Labels, SeriesKey, Stats};
use super::timers::Timer;
use super::upstream::{InFlight, LocalNode};
use crate::logic::balance::key::HashKey;
use crate::logic::balance::table::HashTable;
use crate::logic::balance::{Ask, Balancer, Nodes, Strategy};
use crate::logic::fault::Fault;
use crate::logic::hedge::{HedgePolicy, Pace, Standing};
use crate::logic::latency::Reading;
use crate::logic::message::RequestHead;
use crate::logic::proxy_protocol::Version;
use crate::logic::retry::RetryPolicy;
use crate::logic::route::{BackendIndex, RouteIndex};
use crate::shared::budget::Budget;
use crate::shared::clock;
use crate::shared::node::{Node, NodeState};
use crate::shared::queue::Queue;
use crate::shared::snapshot::{Backend, Entry, Snapshot};

/// The place of a node that a backend did not have when the request came.
pub(crate) const ELSEWHERE: u16 = u16::MAX;

/// One snapshot as one worker sees it. A request keeps the one that it began with.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    backends: Vec<LocalBackend>,
    /// Nodes of earlier snapshots that requests may still be in flight on: what they count is yet to be reported.
    departed: RefCell<Vec<Rc<LocalNode>>>,
    /// The series of each pair of listener and route, once it is known.
    series: Vec<Cell<Option<SeriesKey>>>,
    /// Routes, and one for requests that took none.
    routes: usize,
}

/// What came of looking for a node.
pub(crate) enum Taken {
    /// A request is in flight on this one.
    Node(u16, InFlight),
    /// Every node that may be used is at its limit, or is yet to start, or others have waited longer.
    Busy(Rc<LocalQueue>),
    /// There is none that may be used.
    Nobody,
}

/// One backend as one worker sees it.
pub(crate) struct LocalBackend {
    shared: Arc<Backend>,
    strategy: Strategy,
    balancer: Rc<RefCell<Balancer>>,
    weight_max: u32,
    /// Where requests wait while every node is at its limit, or is yet to start; `None` where neither can be.
    pub(crate) queue: Option<Rc<LocalQueue>>,
    /// Where requests are hedged: by which rule, and how long nodes take to answer.
    hedging: Option<(HedgePolicy, Rc<RefCell<Pace>>)>,
    pub(crate) nodes: Vec<Rc<LocalNode>>,
}

impl View {
    /// Builds the view of `snapshot`. Nodes and strategies that `before` had are carried over, with their pools.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        before: Option<&View>,
        worker: usize,
        queues: &Queues,
    ) -> Self {
        let backends = snapshot
            .backends
            .iter()
            .map(|shared| LocalBackend::new(Arc::clone(shared), before, worker, queues))
            .collect::<Vec<_>>();
        let departed = RefCell::new(before.map_or_else(Vec::new, |before| before.departed_from(&backends)));
        let routes = snapshot.routes.iter().count() + 1;
        let series = vec![Cell::new(None); snapshot.listeners.len() * routes];
        Self { backends, departed, series, routes, snapshot }
    }

    pub(crate) fn backend(&self, index: BackendIndex) -> &LocalBackend {
        &self.backends[usize::from(index.0)]
    }

    /// The backend of this name, looked for first where it was before.
    pub(crate) fn find_backend(&self, name: &str, before: BackendIndex) -> Option<BackendIndex> {
        let is_it = |backend: &LocalBackend| *backend.shared.name == *name;
        if self.backends.get(usize::from(before.0)).is_some_and(is_it) {
            return Some(before);
        }
        self.backends.iter().position(is_it).and_then(|at| u16::try_from(at).ok()).map(BackendIndex)
    }

    /// Backends whose requests may have to wait.
    pub(crate) fn limited(&self) -> impl Iterator<Item = &LocalBackend> {
        self.backends.iter().filter(|backend| backend.queue.is_some())
    }

    /// All nodes of all backends.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Rc<LocalNode>> {
        self.backends.iter().flat_map(|backend| &backend.nodes)
    }

    /// The nodes that may have something to report: all of [`View::nodes`], and those that left while requests were in
    /// flight on them.
    pub(crate) fn counted(&self) -> Vec<Rc<LocalNode>> {
        self.nodes().chain(self.departed.borrow().iter()).cloned().collect()
    }

    /// Lets go of nodes that left, and that nobody can count on any more.
    pub(crate) fn forget_departed(&self) {
        self.departed.borrow_mut().retain(|node| Rc::strong_count(node) > 1 || node.has_durations());
    }

    /// Those of this view's nodes that are not among `backends`.
    fn departed_from(&self, backends: &[LocalBackend]) -> Vec<Rc<LocalNode>> {
        let stays = |node: &Rc<LocalNode>| {
            backends.iter().flat_map(|backend| &backend.nodes).any(|other| Rc::ptr_eq(other, node))
        };
        let earlier = self.departed.borrow();
        self.nodes().chain(earlier.iter()).filter(|node| !stays(node)).cloned().collect()
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
    fn new(shared: Arc<Backend>, before: Option<&View>, worker: usize, queues: &Queues) -> Self {
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
        let weight_max = shared.nodes.iter().map(|entry| entry.effective).max().unwrap_or(1);
        let queue = shared.queue.as_ref().map(|queue| queues.local(queue));
        let hedging = shared.hedge.map(|policy| {
            let known = old.and_then(|old| old.hedging.as_ref()).filter(|(of, _)| *of == policy);
            let new = || Rc::new(RefCell::new(Pace::new(policy)));
            (policy, known.map_or_else(new, |(_, pace)| Rc::clone(pace)))
        });
        Self { strategy: shared.strategy, shared, balancer, weight_max, queue, hedging, nodes }
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
        Tie { key, named, ..Tie::default() }
    }

    /// What ties a connection that is bytes to a node: its client.
    pub(crate) fn tie_client(&self, client: Option<IpAddr>) -> Tie {
        let hashes = matches!(self.strategy, Strategy::IpHash | Strategy::ConsistentHash);
        let head = RequestHead { method: b"", authority: b"", target: b"", fields: &[] };
        Tie { key: hashes.then(|| HashKey::ClientIp.of(&head, || client)).flatten(), ..Tie::default() }
    }

    /// In which version its nodes are told whose connection it is.
    pub(crate) fn proxy_header(&self) -> Option<Version> {
        self.shared.proxy_header
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.shared.retry
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// How long nodes take to begin an answer, where requests are hedged by that.
    pub(crate) fn pace(&self) -> Option<&RefCell<Pace>> {
        self.hedging.as_ref().map(|(_, pace)| &**pace)
    }

    /// May a second node be asked, as the backend stands now?
    pub(crate) fn is_calm(&self) -> bool {
        let out = |entry: &&Entry| entry.state == NodeState::Ejected || !entry.node.conduct.admits();
        let standing = Standing {
            ejected: self.shared.nodes.iter().filter(out).count(),
            waiting: self.queue.as_ref().map_or(0, |queue| queue.shared.waiting()),
            panics: self.panics(),
        };
        standing.is_calm()
    }

    /// Are so few nodes well that all are used?
    pub(crate) fn panics(&self) -> bool {
        self.shared.panics
    }

    /// A node for a request that was not sent to any of `tried` yet, and came at `now`.
    pub(crate) fn take(&self, tie: &mut Tie, tried: &[u16], draw: u64, now: Instant, timer: &Timer) -> Taken {
        let Some(queue) = &self.queue else {
            let untried = self.untried(tried);
            while let Some(at) = self.pick(tie, &untried, draw, now) {
                if let Some(begun) = InFlight::begin(&self.nodes[usize::from(at)], timer, self.panics()) {
                    return Taken::Node(at, begun);
                }
            }
            return Taken::Nobody;
        };
        // Nobody gets past those who wait.
        while queue.shared.waiting() == 0
            && let Some(at) = self.claim(queue, tie, tried, draw, now)
        {
            let node = &self.nodes[usize::from(at)];
            if let Some(begun) = InFlight::on_place(node, queue, timer, self.panics()) {
                return Taken::Node(at, begun);
            }
        }
        let waits = self.has_other(tried) || (tried.is_empty() && self.wakes());
        if waits { Taken::Busy(Rc::clone(queue)) } else { Taken::Nobody }
    }

    /// Has it no node that takes requests now, and will have one soon?
    fn wakes(&self) -> bool {
        self.shared.scaling.is_some_and(|scaling| scaling.asleep && !scaling.hopeless)
    }

    /// When a request that got no node may come again, in seconds, where that is known.
    pub(crate) fn retry_after_s(&self, fault: Fault) -> Option<u32> {
        match (fault, &self.shared.scaling, &self.queue) {
            (Fault::NoHealthyNode | Fault::HoldFull | Fault::HoldTimeout, Some(scaling), _) => {
                Some(scaling.retry_after_s)
            }
            (Fault::QueueFull | Fault::QueueTimeout, _, Some(queue)) => Some(queue.retry_after_s()),
            _ => None,
        }
    }

    /// Is there a node beside these that may be used, be it at its limit or not?
    pub(crate) fn has_other(&self, tried: &[u16]) -> bool {
        self.untried(tried).any_usable()
    }

    /// Brings together places that are free and requests that wait, for as long as there are both; or lets go of who waits
    /// for a node that is not going to be started.
    pub(crate) fn settle(&self, mut draw: impl FnMut() -> u64) {
        let Some(queue) = &self.queue else { return };
        if self.nobody_comes() {
            return queue.let_go();
        }
        while queue.shared.has_open() {
            // Whoever has waited takes any place: nothing ties it any more.
            let Some(at) = self.claim(queue, &mut Tie::default(), &[], draw(), Instant::now()) else {
                return;
            };
            queue.hand_on(Arc::clone(&self.nodes[usize::from(at)].node));
        }
    }

    /// Is there no node, and none to come: has it no fleet and an operator taken all out, or will its fleet start none?
    fn nobody_comes(&self) -> bool {
        let out = |entry: &Entry| matches!(entry.state, NodeState::Draining | NodeState::Down);
        match self.shared.scaling {
            Some(scaling) => scaling.asleep && scaling.hopeless,
            None => self.shared.nodes.iter().all(out),
        }
    }

    fn untried<'a>(&'a self, tried: &'a [u16]) -> Untried<'a> {
        Untried { backend: self, tried, room: None, awake: false }
    }

    /// The place in this backend of a node that was waited for, and this worker's knowledge of it: `newest` may have a node
    /// that this backend does not, which is [`ELSEWHERE`].
    pub(crate) fn find(&self, node: Arc<Node>, newest: &View) -> (u16, Rc<LocalNode>) {
        let is_it = |local: &&Rc<LocalNode>| Arc::ptr_eq(&local.node, &node);
        let known = self.nodes.iter().zip(0..).find(|(local, _)| is_it(local));
        if let Some((local, at)) = known {
            return (at, Rc::clone(local));
        }
        let local = newest.nodes().find(is_it).cloned();
        (ELSEWHERE, local.unwrap_or_else(|| Rc::new(LocalNode::new(node))))
    }

    /// A place on a node that has room. A node that took no connection of late is left out, unless all do: better to wait
    /// for one of the others.
    fn claim(
        &self,
        queue: &LocalQueue,
        tie: &mut Tie,
        tried: &[u16],
        draw: u64,
        now: Instant,
    ) -> Option<u16> {
        let any = self.untried(tried);
        let with_room = Untried { room: Some(&queue.shared), ..any };
        loop {
            let picked = self.pick(tie, &Untried { awake: true, ..with_room }, draw, now);
            let all_rest = picked.is_none() && !Untried { awake: true, ..any }.any_usable();
            let at = match picked {
                None if all_rest => self.pick(tie, &with_room, draw, now)?,
                picked => picked?,
            };
            let node = &self.nodes[usize::from(at)].node;
            // Another worker may have taken the last one since it was looked at, or knock there.
            if node.claim_within(queue.shared.room_on(node)) {
                if node.conduct.may_knock() || all_rest {
                    return Some(at);
                }
                node.give_back();
            }
        }
    }

    fn pick(&self, tie: &mut Tie, untried: &Untried<'_>, draw: u64, now: Instant) -> Option<u16> {
        tie.picked = match tie.named {
            Some(named) if untried.usable(usize::from(named)) => Some(named),
            named => {
                tie.returns = named.is_some_and(|named| untried.at_any_load().usable(usize::from(named)));
                let ask = Ask { draw, key: tie.key, now_us: clock::micros(now) };
                let picked = self.balancer.borrow_mut().pick(untried, &ask);
                picked.and_then(|picked| u16::try_from(picked).ok())
            }
        };
        tie.picked
    }

    /// Notes that a request which had waited got a place on this node.
    pub(crate) fn placed(&self, tie: &mut Tie, tried: &[u16], at: u16) {
        tie.picked = Some(at);
        tie.returns = tie.named.is_some_and(|named| self.untried(tried).usable(usize::from(named)));
    }

    /// Gives a client its cookie, in a response's head that is whole, unless it brought the one of this node; or of another
    /// that was only full: there it belongs, and goes back to.
    pub(crate) fn give_cookie(&self, tie: &Tie, head: &mut Vec<u8>) {
        if let (Some(sticky), Some(picked)) = (&self.shared.affinity.sticky, tie.picked)
            && tie.named != tie.picked
            && !tie.returns
        {
            sticky.give(picked, head);
        }
    }
}

/// What ties one request to a node. Places are those of the view that the request began with.
#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Tie {
    key: Option<u64>,
    /// The node that its cookie names.
    named: Option<u16>,
    /// The node that it was sent to last.
    picked: Option<u16>,
    /// The node that its cookie names is well, and was only full.
    returns: bool,
}

/// The nodes of a backend but for those that a request has tried in vain.
#[derive(Clone, Copy)]
struct Untried<'a> {
    backend: &'a LocalBackend,
    tried: &'a [u16],
    /// And but for those that have no room for one who waits, or would wait, here?
    room: Option<&'a Queue>,
    /// And but for those that took no connection of late?
    awake: bool,
}

impl Untried<'_> {
    fn at_any_load(&self) -> Self {
        Self { room: None, ..*self }
    }

    fn any_usable(&self) -> bool {
        (0..self.len()).any(|at| self.usable(at))
    }
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
        let node = &self.backend.nodes[at].node;
        self.backend.shared.takes(at)
            && self.room.is_none_or(|queue| node.has_room_within(queue.room_on(node)))
            && (!self.awake || node.conduct.is_awake())
            && (self.tried.is_empty() || !self.tried.iter().any(|&tried| usize::from(tried) == at))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::dataplane::stats::Timing;
    use crate::shared::node::{NodeAddress, Origin};

    fn snapshot(nodes: &[&Arc<Node>]) -> Arc<Snapshot> {
        let nodes = nodes.iter().map(|&node| Entry::of(Arc::clone(node), 1)).collect();
        Arc::new(Snapshot::of(vec![Arc::new(Backend::of(nodes))]))
    }

    fn node(port: u16) -> Arc<Node> {
        let address = NodeAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        Arc::new(Node::new("api".into(), address, Origin::Static))
    }

    #[test]
    fn a_node_that_left_is_counted_until_its_last_request_is_reported() {
        let (stays, leaves) = (node(1), node(2));
        let queues = crate::dataplane::queue::Queues::new(0, Vec::new());
        let before = View::new(snapshot(&[&stays, &leaves]), None, 0, &queues);
        let in_flight = Rc::clone(&before.backends[0].nodes[1]);
        let between = View::new(snapshot(&[&stays]), Some(&before), 0, &queues);
        let view = View::new(snapshot(&[&stays]), Some(&between), 0, &queues);
        drop((before, between));
        view.forget_departed();
        assert_eq!(view.counted().len(), 2);
        in_flight.record(Timing { queue_us: 0, connect_us: 0, first_byte_us: 1, total_us: 1 });
        drop(in_flight);
        view.forget_departed();
        let counted = view.counted();
        assert!(counted[1].take_durations().is_some_and(|(durations, ..)| durations.len() == 1));
        drop(counted);
        view.forget_departed();
        assert_eq!(view.counted().len(), 1);
    }
}
