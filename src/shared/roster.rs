//! The nodes that are alive, by their ids: also those of a backend that the configuration does not have any more, for as
//! long as a request holds on to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::node::Node;

/// See the module. Cheap to clone: all clones are one. For the control thread: it locks.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Mutex<HashMap<Arc<str>, Weak<Node>>>>);

impl Roster {
    /// A node has come. Those that are no more are forgotten.
    pub fn add(&self, node: &Arc<Node>) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, node| node.strong_count() > 0);
        nodes.insert(Arc::clone(&node.id), Arc::downgrade(node));
    }

    /// The node of this id; the last one, where there were several.
    pub fn find(&self, id: &str) -> Option<Arc<Node>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::node::{NodeAddress, Origin};

    #[test]
    fn a_node_is_found_for_as_long_as_somebody_holds_it() {
        let node = |port| {
            let address = NodeAddress::Tcp(([127, 0, 0, 1], port).into());
            Arc::new(Node::new("api".into(), address, Origin::Process))
        };
        let (roster, one, other) = (Roster::default(), node(1), node(2));
        roster.add(&one);
        assert!(roster.find("api/127.0.0.1:1").is_some_and(|found| Arc::ptr_eq(&found, &one)));
        drop(one);
        assert!(roster.find("api/127.0.0.1:1").is_none());
        roster.add(&other);
        assert_eq!(roster.0.lock().unwrap().len(), 1);
    }
}
