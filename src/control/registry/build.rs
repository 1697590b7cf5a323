//! From settings and answers to a snapshot. Decides alone: no clock, no lookup.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Answers, name_of};
use crate::config::Settings;
use crate::config::settings::{BackendSettings, Server, ServerHost};
use crate::logic::limits::NODES_MAX;
use crate::logic::route::{Route, RouteTable};
use crate::shared::node::{Node, NodeAddress, NodeState, Origin};
use crate::shared::queue::Queue;
use crate::shared::route_gate::RouteGate;
use crate::shared::snapshot::{AccessLog, Backend, Entry, Snapshot};

/// Why a node serves that nobody probes.
const ASSUMED: &str = "assumed to serve: nothing probes it";
/// Why a name is down that was not looked up yet.
const NOT_LOOKED_UP: &str = "its name was not looked up yet";

/// The next snapshot. Nodes of the one before are kept where they are still wanted.
pub(super) fn snapshot(
    settings: &Settings,
    answers: &Answers,
    before: Option<&Snapshot>,
    now_ms: u64,
) -> Snapshot {
    let known = before.map(Known::of).unwrap_or_default();
    let backends = settings.backends.iter();
    Snapshot {
        version: before.map_or(0, |before| before.version) + 1,
        generation: before.map_or(1, |before| before.generation),
        limits: settings.limits,
        timeouts: settings.timeouts,
        trusted_proxies: settings.trusted_proxies.clone(),
        access_log: settings
            .access_log
            .as_ref()
            .map(|log| AccessLog { format: log.format, sample: log.sample }),
        listeners: settings.listeners.iter().map(|listener| Arc::clone(&listener.name)).collect(),
        routes: Arc::clone(&settings.routes),
        gates: gates(&settings.routes, before),
        backends: backends
            .map(|backend| Arc::new(self::backend(backend, answers, &known, before, now_ms)))
            .collect(),
    }
}

/// Entries of the snapshot before, by the ids of their nodes.
#[derive(Default)]
struct Known<'a>(HashMap<&'a str, &'a Entry>);

impl<'a> Known<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let entries = snapshot.backends.iter().flat_map(|backend| &backend.nodes);
        Self(entries.map(|entry| (&*entry.node.id, entry)).collect())
    }

    /// The same node again, or this new one; and since when it is in that state.
    fn or(&self, node: Node, state: NodeState, now_ms: u64) -> (Arc<Node>, u64) {
        match self.0.get(&*node.id) {
            Some(entry) if entry.state == state => (Arc::clone(&entry.node), entry.since_ms),
            Some(entry) => (Arc::clone(&entry.node), now_ms),
            None => (Arc::new(node), now_ms),
        }
    }
}

/// The limits of the routes; those that stay the same keep what they have counted.
fn gates(routes: &RouteTable, before: Option<&Snapshot>) -> Vec<Option<Arc<RouteGate>>> {
    let known = || before.into_iter().flat_map(|before| &before.gates).flatten();
    let mut table = known().next().map(|gate| Arc::clone(gate.table()));
    let mut gate = |route: &Route| {
        let (rate, in_flight_max) = (route.rate_limit.as_ref(), route.in_flight_max.map(NonZeroU32::get));
        if rate.is_none() && in_flight_max.is_none() {
            return None;
        }
        let kept = known().find(|gate| gate.is(&route.name, rate, in_flight_max)).map(Arc::clone);
        let table = table.get_or_insert_default();
        let name = Arc::clone(&route.name);
        Some(kept.unwrap_or_else(|| Arc::new(RouteGate::new(name, rate.cloned(), in_flight_max, table))))
    };
    routes.iter().map(|(_, route)| gate(route)).collect()
}

/// The queue of a backend that has limits; one with the same settings keeps those who wait in it.
fn queue(settings: &BackendSettings, before: Option<&Snapshot>) -> Option<Arc<Queue>> {
    let limited = settings.servers.iter().any(|server| server.in_flight_max.is_some());
    if !limited && settings.adaptive.is_none() {
        return None;
    }
    let same = |backend: &&Arc<Backend>| backend.name == settings.name;
    let known = before.and_then(|before| before.backends.iter().find(same)?.queue.as_ref());
    let kept = known.filter(|queue| *queue.settings() == settings.queue).map(Arc::clone);
    kept.or_else(|| Some(Arc::new(Queue::new(Arc::clone(&settings.name), settings.queue))))
}

fn backend(
    settings: &BackendSettings,
    answers: &Answers,
    known: &Known<'_>,
    before: Option<&Snapshot>,
    now_ms: u64,
) -> Backend {
    let mut ids = HashSet::new();
    let places = settings.servers.iter().flat_map(|server| places(server, answers));
    let mut nodes = Vec::new();
    for place in places {
        let node = Node::new(Arc::clone(&settings.name), place.address, place.origin);
        // Two names can lead to one address: it is one node, as the first of them has it.
        if nodes.len() < NODES_MAX && ids.insert(Arc::clone(&node.id)) {
            let (node, since_ms) = known.or(node, place.state, now_ms);
            nodes.push(Entry {
                node,
                weight: place.weight,
                in_flight_max: place.in_flight_max,
                state: place.state,
                reason: place.reason,
                since_ms,
            });
        }
    }
    Backend {
        name: Arc::clone(&settings.name),
        strategy: settings.strategy,
        retry: settings.retry,
        queue: queue(settings, before),
        adaptive: settings.adaptive,
        nodes,
    }
}

/// What is to be known of a node before it is one.
struct Place {
    address: NodeAddress,
    origin: Origin,
    weight: u32,
    in_flight_max: Option<NonZeroU32>,
    state: NodeState,
    reason: Arc<str>,
}

fn places(server: &Server, answers: &Answers) -> Vec<Place> {
    match &server.host {
        ServerHost::Address(address) => vec![serving(NodeAddress::Tcp(*address), Origin::Static, server)],
        ServerHost::Unix(path) => vec![serving(NodeAddress::Unix(path.clone()), Origin::Static, server)],
        ServerHost::Name(..) => resolved(server, answers),
    }
}

fn resolved(server: &Server, answers: &Answers) -> Vec<Place> {
    let Some(name) = name_of(&server.host) else { return Vec::new() };
    let node = |address: &SocketAddr| serving(NodeAddress::Tcp(*address), Origin::Dns, server);
    match answers.get(&name) {
        Some(Ok(addresses)) => addresses.iter().map(node).collect(),
        Some(Err(reason)) => vec![down(name.to_string(), Arc::clone(reason), server)],
        None => vec![down(name.to_string(), NOT_LOOKED_UP.into(), server)],
    }
}

fn serving(address: NodeAddress, origin: Origin, server: &Server) -> Place {
    let state = NodeState::Serving;
    let Server { weight, in_flight_max, .. } = *server;
    Place { address, origin, weight, in_flight_max, state, reason: ASSUMED.into() }
}

fn down(name: String, reason: Arc<str>, server: &Server) -> Place {
    let address = NodeAddress::Unresolved(name.into());
    let (origin, state) = (Origin::Dns, NodeState::Down);
    let Server { weight, in_flight_max, .. } = *server;
    Place { address, origin, weight, in_flight_max, state, reason }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::tests::{address, named, settings};
    use super::*;
    use crate::control::dns::Name;

    fn answers(all: &[(&str, Result<&[SocketAddr], &str>)]) -> Answers {
        all.iter()
            .map(|(host, answer)| {
                (Name { host: (*host).into(), port: 80 }, answer.map(<[_]>::to_vec).map_err(Arc::from))
            })
            .collect()
    }

    fn entries(snapshot: &Snapshot) -> &[Entry] {
        &snapshot.backends[0].nodes
    }

    #[test]
    fn addresses_sockets_and_names_become_nodes_in_the_order_of_the_file() {
        let unix = ServerHost::Unix(PathBuf::from("/run/x.sock"));
        let settings = settings(&[named("db"), ServerHost::Address(address(9)), unix]);
        let answers = answers(&[("db", Ok(&[address(1), address(2)]))]);
        let snapshot = snapshot(&settings, &answers, None, 5);
        let ids: Vec<_> = entries(&snapshot).iter().map(|entry| &*entry.node.id).collect();
        assert_eq!(ids, ["api/10.0.0.1:80", "api/10.0.0.2:80", "api/10.0.0.9:80", "api/unix:/run/x.sock"]);
        assert!(entries(&snapshot).iter().all(|entry| entry.since_ms == 5));
    }

    #[test]
    fn an_address_that_is_there_twice_is_one_node() {
        let settings = settings(&[ServerHost::Address(address(1)), named("a"), named("b")]);
        let answers = answers(&[("a", Ok(&[address(1), address(2)])), ("b", Ok(&[address(2)]))]);
        let snapshot = snapshot(&settings, &answers, None, 0);
        assert_eq!(entries(&snapshot).len(), 2);
        assert_eq!(entries(&snapshot)[0].node.origin, Origin::Static);
    }

    #[test]
    fn a_name_that_fails_anew_is_the_same_node_since_the_same_time_with_the_new_reason() {
        let settings = settings(&[named("db")]);
        let first = snapshot(&settings, &answers(&[("db", Err("no answer"))]), None, 100);
        let second = snapshot(&settings, &answers(&[("db", Err("refused"))]), Some(&first), 200);
        let (one, other) = (&entries(&first)[0], &entries(&second)[0]);
        assert!(Arc::ptr_eq(&one.node, &other.node));
        assert_eq!((other.since_ms, &*other.reason), (100, "refused"));
        assert_eq!((second.version, second.generation), (2, 1));
    }

    #[test]
    fn an_answer_that_changes_keeps_the_nodes_that_stay() {
        let settings = settings(&[named("db")]);
        let first = snapshot(&settings, &answers(&[("db", Ok(&[address(1), address(2)]))]), None, 100);
        let second =
            snapshot(&settings, &answers(&[("db", Ok(&[address(2), address(3)]))]), Some(&first), 200);
        assert!(Arc::ptr_eq(&entries(&first)[1].node, &entries(&second)[0].node));
        let since: Vec<_> = entries(&second).iter().map(|entry| entry.since_ms).collect();
        assert_eq!(since, [100, 200]);
    }
}
