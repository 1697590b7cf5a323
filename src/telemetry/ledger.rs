//! All that the workers counted since the start, merged by the names of the configuration.
//!
//! It knows no clock: `now_ms` is an argument, in milliseconds since the collector began.

mod entry;
mod second;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::buckets::Buckets;
use crate::logic::limits::LEDGER_SERIES_MAX;
use crate::shared::node::Node;
use crate::shared::report::{ListenerCounts, NodeCounts, QueueCounts, Report, RouteCounts, Totals};

pub use entry::{ListenerLedger, NodeLedger, PhaseWindows, RouteKey, RouteLedger};
pub use second::{Classes, Pending, Second};

/// The numbers. One entry for each name that saw something: as many as the configuration has, whatever clients send; and
/// of what reloads have removed, as many as [`LEDGER_SERIES_MAX`] has room for.
#[derive(Debug)]
pub struct Ledger {
    routes: BTreeMap<RouteKey, RouteLedger>,
    nodes: BTreeMap<Arc<str>, NodeLedger>,
    connects: BTreeMap<Arc<str>, Buckets>,
    queues: BTreeMap<Arc<str>, Buckets>,
    first_bytes: BTreeMap<Arc<str>, Buckets>,
    listeners: BTreeMap<Arc<str>, ListenerLedger>,
    totals: Totals,
    /// The newest ticket that each worker answered.
    answered: Vec<u64>,
}

impl Ledger {
    /// Connections that are open now, by worker.
    pub fn open_by_worker(&self) -> Vec<u64> {
        let workers = 0..self.answered.len();
        workers.map(|worker| self.listeners.values().map(|listener| listener.open_on(worker)).sum()).collect()
    }

    /// An empty one, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            routes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            connects: BTreeMap::new(),
            queues: BTreeMap::new(),
            first_bytes: BTreeMap::new(),
            listeners: BTreeMap::new(),
            totals: Totals::default(),
            answered: vec![0; workers],
        }
    }

    /// Adds one report.
    pub fn merge(&mut self, report: Report, now_ms: u64) {
        let Report { worker, ticket, routes, nodes, queues, listeners, totals } = report;
        routes.into_iter().for_each(|counts| self.merge_route(counts, now_ms));
        nodes.into_iter().for_each(|counts| self.merge_node(counts, now_ms));
        for QueueCounts { backend, waits } in queues {
            self.queues.entry(backend).or_default().add(&waits);
        }
        listeners.into_iter().for_each(|counts| self.merge_listener(worker, counts));
        add(&mut self.totals, totals);
        if let Some(answered) = self.answered.get_mut(worker) {
            *answered = ticket.max(*answered);
        }
    }

    /// Once a second: takes a sample of each node's counter, and forgets nodes that are no more, and the names of old that are
    /// too many.
    pub fn tick<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Arc<Node>>, now_ms: u64) {
        self.nodes.retain(|_, entry| entry.node.strong_count() > 0);
        for node in nodes {
            self.node_entry(node).sample(node.requests_total(), now_ms);
        }
        self.make_room();
        self.routes.values_mut().for_each(|entry| entry.forget(now_ms / 1000));
        self.nodes.values_mut().for_each(|entry| entry.forget(now_ms / 1000));
    }

    /// The newest ticket that this worker answered.
    pub fn answered(&self, worker: usize) -> u64 {
        self.answered.get(worker).copied().unwrap_or(0)
    }

    /// Requests by listener, route and backend.
    pub fn routes(&self) -> impl Iterator<Item = (&RouteKey, &RouteLedger)> {
        self.routes.iter()
    }

    /// What is known of a node, by its id; `None` before its first second and its first request.
    pub fn node(&self, id: &str) -> Option<&NodeLedger> {
        self.nodes.get(id)
    }

    /// Opening connections to the nodes of each backend, those that are gone too.
    pub fn connects(&self) -> impl Iterator<Item = (&Arc<str>, &Buckets)> {
        self.connects.iter()
    }

    /// Waits of requests in the queue of each backend that had any.
    pub fn queues(&self) -> impl Iterator<Item = (&Arc<str>, &Buckets)> {
        self.queues.iter()
    }

    /// From request to response head of each backend.
    pub fn first_bytes(&self) -> impl Iterator<Item = (&Arc<str>, &Buckets)> {
        self.first_bytes.iter()
    }

    /// What was merged since the last call, by name: the second that has passed.
    pub fn take_second(&mut self) -> Second {
        let routes = self.routes.iter_mut().filter(|(_, entry)| !entry.pending.is_empty());
        let nodes = self.nodes.iter_mut().filter(|(_, entry)| !entry.pending.is_empty());
        Second {
            routes: routes.map(|(key, entry)| (key.clone(), std::mem::take(&mut entry.pending))).collect(),
            nodes: nodes.map(|(id, entry)| (Arc::clone(id), std::mem::take(&mut entry.pending))).collect(),
        }
    }

    /// Connections of a listener, by its name; `None` before the first report.
    pub fn listener(&self, name: &str) -> Option<&ListenerLedger> {
        self.listeners.get(name)
    }

    /// The rest, over all workers.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Forgets the series that were silent for longest, and what was counted of backends and listeners that have none left.
    fn make_room(&mut self) {
        let Some(many @ 1..) = self.routes.len().checked_sub(LEDGER_SERIES_MAX) else { return };
        let mut ages: Vec<_> = self.routes.iter().map(|(key, entry)| (entry.seen_s, key.clone())).collect();
        ages.sort_unstable();
        for (_, key) in ages.into_iter().take(many) {
            self.routes.remove(&key);
        }
        let backends: BTreeSet<_> = self.routes.keys().map(|key| Arc::clone(&key.backend)).collect();
        let listeners: BTreeSet<_> = self.routes.keys().map(|key| Arc::clone(&key.listener)).collect();
        for known in [&mut self.connects, &mut self.queues, &mut self.first_bytes] {
            known.retain(|backend, _| backends.contains(backend));
        }
        self.listeners.retain(|name, entry| entry.open() > 0 || listeners.contains(name));
    }

    fn merge_route(&mut self, counts: RouteCounts, now_ms: u64) {
        let key = RouteKey {
            listener: Arc::clone(&counts.listener),
            route: Arc::clone(&counts.route),
            backend: Arc::clone(&counts.backend),
        };
        if let Some(durations) = counts.phases.first_byte.as_ref().filter(|_| !key.backend.is_empty()) {
            self.first_bytes.entry(Arc::clone(&key.backend)).or_default().add(durations);
        }
        self.routes.entry(key).or_default().add(&counts, now_ms / 1000);
    }

    fn merge_node(&mut self, counts: NodeCounts, now_ms: u64) {
        self.connects.entry(Arc::clone(&counts.node.backend)).or_default().add(&counts.connects);
        self.node_entry(&counts.node).add(&counts, now_ms / 1000);
    }

    fn merge_listener(&mut self, worker: usize, counts: ListenerCounts) {
        let entry = self.listeners.entry(counts.listener).or_default();
        entry.accepted += counts.accepted;
        entry.open.insert(worker, counts.open);
    }

    /// The entry of a node; a new one where another node had this id before and is gone from the snapshot.
    fn node_entry(&mut self, node: &Arc<Node>) -> &mut NodeLedger {
        self.nodes.entry(Arc::clone(&node.id)).or_insert_with(|| NodeLedger::new(node))
    }
}

fn add(sum: &mut Totals, more: Totals) {
    let Totals {
        bytes_in,
        bytes_out,
        retries,
        hedges,
        hedges_won,
        rate_limited,
        log_lines_dropped,
        reports_dropped,
        panics,
        accept_errors,
        datagrams_dropped,
    } = more;
    sum.bytes_in += bytes_in;
    sum.bytes_out += bytes_out;
    sum.retries += retries;
    sum.hedges += hedges;
    sum.hedges_won += hedges_won;
    sum.rate_limited += rate_limited;
    sum.log_lines_dropped += log_lines_dropped;
    sum.reports_dropped += reports_dropped;
    sum.panics += panics;
    sum.accept_errors += accept_errors;
    sum.datagrams_dropped += datagrams_dropped;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::shared::node::{NodeAddress, Origin};
    use crate::shared::report::{Phases, new_durations};

    fn node(backend: &str, port: u16) -> Arc<Node> {
        let address = NodeAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        Arc::new(Node::new(backend.into(), address, Origin::Static))
    }

    fn route(route: &str, codes: &[(u16, u64)]) -> RouteCounts {
        let mut durations = new_durations();
        codes.iter().for_each(|&(_, count)| durations.record_n(1000, u32::try_from(count).unwrap()).unwrap());
        RouteCounts {
            listener: "web".into(),
            route: route.into(),
            backend: "api".into(),
            codes: codes.to_vec(),
            durations,
            phases: Phases::default(),
        }
    }

    #[test]
    fn reports_of_several_workers_add_up_by_name() {
        let mut ledger = Ledger::new(2);
        for worker in 0..2 {
            let routes = vec![route("/a", &[(200, 3), (502, 1)]), route("/b", &[(404, 1)])];
            let totals = Totals { bytes_in: 10, bytes_out: 20, retries: 1, ..Totals::default() };
            ledger.merge(Report { worker, routes, totals, ..Report::default() }, 0);
        }
        let routes: Vec<_> = ledger.routes().map(|(key, entry)| (&*key.route, entry.codes.clone())).collect();
        assert_eq!(
            routes,
            [("/a", BTreeMap::from([(200, 6), (502, 2)])), ("/b", BTreeMap::from([(404, 2)]))]
        );
        assert_eq!(ledger.routes().next().unwrap().1.durations.count(), 8);
        assert_eq!(ledger.totals(), Totals { bytes_in: 20, bytes_out: 40, retries: 2, ..Totals::default() });
    }

    #[test]
    fn of_names_that_reloads_bring_for_ever_the_newest_are_kept() {
        let mut ledger = Ledger::new(1);
        let mut waits = new_durations();
        waits.record(1).unwrap();
        for number in 0..LEDGER_SERIES_MAX as u64 + 100 {
            let mut counts = route(&format!("/{number}"), &[(200, 1)]);
            counts.backend = format!("backend-{number}").into();
            counts.listener = format!("listener-{number}").into();
            let queues = vec![QueueCounts { backend: Arc::clone(&counts.backend), waits: waits.clone() }];
            // The first listener has a connection that is open still.
            let open = u64::from(number == 0);
            let listeners =
                vec![ListenerCounts { listener: Arc::clone(&counts.listener), accepted: 1, open }];
            let report = Report { routes: vec![counts], queues, listeners, ..Report::default() };
            ledger.merge(report, number * 1000);
            ledger.tick([], number * 1000);
        }
        assert_eq!(ledger.routes().count(), LEDGER_SERIES_MAX);
        assert!(ledger.routes().all(|(key, _)| key.route[1..].parse::<u64>().unwrap() >= 100));
        assert_eq!(ledger.queues().count(), LEDGER_SERIES_MAX);
        assert!(ledger.listener("listener-0").is_some() && ledger.listener("listener-1").is_none());
    }

    #[test]
    fn open_connections_are_what_each_worker_said_last() {
        let mut ledger = Ledger::new(2);
        for (worker, accepted, open) in [(0, 5, 5), (1, 2, 2), (0, 1, 3)] {
            let listeners = vec![ListenerCounts { listener: "web".into(), accepted, open }];
            ledger.merge(Report { worker, listeners, ..Report::default() }, 0);
        }
        let web = ledger.listener("web").unwrap();
        assert_eq!((web.accepted, web.open()), (8, 5));
    }

    #[test]
    fn tickets_only_rise_and_strangers_change_nothing() {
        let mut ledger = Ledger::new(1);
        for (worker, ticket) in [(0, 7), (0, 0), (5, 9)] {
            ledger.merge(Report { worker, ticket, ..Report::default() }, 0);
        }
        assert_eq!((ledger.answered(0), ledger.answered(5)), (7, 0));
    }

    #[test]
    fn a_node_is_forgotten_when_nobody_has_it_and_its_backend_still_counts_its_connects() {
        let mut ledger = Ledger::new(1);
        let one = node("api", 1);
        let mut connects = new_durations();
        connects.record(300).unwrap();
        let counts = NodeCounts {
            node: Arc::clone(&one),
            durations: new_durations(),
            connects,
            phases: Phases::default(),
        };
        ledger.merge(Report { nodes: vec![counts], ..Report::default() }, 0);
        ledger.tick([&one], 1000);
        assert!(ledger.node("api/127.0.0.1:1").is_some());
        drop(one);
        ledger.tick([], 2000);
        assert!(ledger.node("api/127.0.0.1:1").is_none());
        assert_eq!(ledger.connects().next().unwrap().1.count(), 1);
    }

    #[test]
    fn the_rate_is_exact_over_the_window_and_falls_to_nothing_after_it() {
        let mut ledger = Ledger::new(1);
        let one = node("api", 1);
        for second in 0..=20_u64 {
            ledger.tick([&one], second * 1000);
            (0..50).for_each(|_| one.begin());
        }
        let rps = |ledger: &Ledger, now_ms| ledger.node(&one.id).unwrap().rps(one.requests_total(), now_ms);
        assert!((rps(&ledger, 21_000) - 50.0).abs() < 0.01, "{}", rps(&ledger, 21_000));
        (21..=32_u64).for_each(|second| ledger.tick([&one], second * 1000));
        assert!(rps(&ledger, 32_500) < 1e-9);
    }

    #[test]
    fn a_node_without_a_second_has_no_rate_rather_than_an_infinite_one() {
        let one = node("api", 1);
        let mut ledger = Ledger::new(1);
        ledger.tick([&one], 500);
        one.begin();
        assert!(ledger.node(&one.id).unwrap().rps(one.requests_total(), 500) < 1e-9);
    }
}
