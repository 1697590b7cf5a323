//! Nodes as the workers have them, all usable and evenly loaded.

use std::sync::Arc;
use std::time::Instant;

use plimsoll::logic::balance::Nodes;
use plimsoll::logic::balance::table::HashTable;
use plimsoll::logic::latency::{Reading, Sample};
use plimsoll::shared::clock;
use plimsoll::shared::node::{Node, NodeAddress, Origin};

/// Nodes with four requests each.
pub(crate) struct Even {
    pub(crate) nodes: Vec<Arc<Node>>,
    table: Option<HashTable>,
}

impl Even {
    pub(crate) fn new(size: usize) -> Self {
        let node = |number: usize| {
            let address = NodeAddress::Unresolved(format!("node-{number}:80").into());
            let node = Arc::new(Node::new("bench".into(), address, Origin::Static));
            (0..4).for_each(|_| node.begin());
            node.sample(Sample::Answered(1_000), clock::micros(Instant::now()));
            node.set_cpu(0.5, Instant::now());
            node
        };
        let nodes: Vec<_> = (0..size).map(node).collect();
        let weighed: Vec<_> = nodes.iter().map(|node| (&*node.id, 1)).collect();
        let table = HashTable::new(&weighed);
        Self { nodes, table }
    }
}

impl Nodes for Even {
    fn len(&self) -> usize {
        self.nodes.len()
    }

    fn weight(&self, _at: usize) -> u32 {
        1
    }

    fn weight_max(&self) -> u32 {
        1
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.nodes[at].in_flight()
    }

    fn usable(&self, _at: usize) -> bool {
        true
    }

    fn reading(&self, at: usize, now_us: u64) -> Reading {
        self.nodes[at].reading(now_us)
    }

    fn cpu(&self, at: usize, now_us: u64) -> Option<f64> {
        self.nodes[at].cpu(now_us)
    }

    fn table(&self) -> Option<&HashTable> {
        self.table.as_ref()
    }
}
