//! Which node a backend's strategy would pick now, asked of the strategy itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::logic::balance::key::HashKey;
use crate::logic::balance::table::HashTable;
use crate::logic::balance::{Ask, Balancer, Nodes, Strategy};
use crate::logic::latency::Reading;
use crate::logic::message::RequestHead;
use crate::shared::clock;
use crate::shared::node::NodeState;
use crate::shared::snapshot::Backend;
use crate::telemetry::admin::words;

/// A pick, and why.
pub(super) struct Picked {
    /// `None` where no node is usable.
    pub(super) node: Option<Arc<str>>,
    /// Every node, and whether it may be picked.
    pub(super) nodes: Value,
    pub(super) text: String,
}

/// A worker's own turn (round robin) or draw (chance) is not known here: where they decide, this is one of the nodes that may
/// come next.
pub(super) fn pick(backend: &Backend, head: &RequestHead<'_>, client: Option<IpAddr>) -> Picked {
    let seen = Seen(backend);
    let key = match backend.strategy {
        Strategy::IpHash => HashKey::ClientIp.of(head, || client),
        Strategy::ConsistentHash => backend.affinity.key.of(head, || client),
        _ => None,
    };
    let ask = Ask { draw: 0, key, now_us: clock::micros(Instant::now()) };
    let at = Balancer::new(backend.strategy, 0).pick(&seen, &ask);
    let node = at.map(|at| Arc::clone(&backend.nodes[at].node.id));
    let usable = (0..backend.nodes.len()).filter(|&at| seen.usable(at)).count();
    let strategy = words::strategy(backend.strategy);
    let text = match &node {
        Some(node) if usable == 1 => format!("{node} is the only node of {} that may take it.", backend.name),
        Some(node) => format!(
            "{usable} of {} nodes of {} may take it, and {strategy} would pick {node} with what is in flight now.",
            backend.nodes.len(),
            backend.name
        ),
        None => match &backend.trouble {
            Some(trouble) => format!("no node of {} may take it: {trouble}.", backend.name),
            None => format!("no node of {} may take it.", backend.name),
        },
    };
    Picked { node, nodes: nodes(&seen), text }
}

fn nodes(seen: &Seen<'_>) -> Value {
    let entry = |at: usize| {
        let entry = &seen.0.nodes[at];
        let why = match entry.state {
            NodeState::Serving => "serving".to_owned(),
            state => format!("{}: {}", state.name(), entry.reason),
        };
        json!({
            "id": &*entry.node.id, "usable": seen.usable(at), "why": why,
            "weight": entry.weight, "in_flight": entry.node.in_flight(),
        })
    };
    (0..seen.0.nodes.len()).map(entry).collect()
}

/// A backend's nodes as its strategy sees them.
struct Seen<'a>(&'a Backend);

impl Nodes for Seen<'_> {
    fn len(&self) -> usize {
        self.0.nodes.len()
    }

    fn weight(&self, at: usize) -> u32 {
        self.0.nodes[at].effective
    }

    fn weight_max(&self) -> u32 {
        self.0.nodes.iter().map(|entry| entry.effective).max().unwrap_or(1)
    }

    fn reading(&self, at: usize, now_us: u64) -> Reading {
        self.0.nodes[at].node.reading(now_us)
    }

    fn cpu(&self, at: usize, now_us: u64) -> Option<f64> {
        self.0.nodes[at].node.cpu(now_us)
    }

    fn table(&self) -> Option<&HashTable> {
        self.0.affinity.table.as_deref()
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.0.nodes[at].node.in_flight()
    }

    fn usable(&self, at: usize) -> bool {
        self.0.takes(at)
    }
}
