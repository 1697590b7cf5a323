//! What ties requests to nodes, built anew only where the nodes or their weights are not what they were.

use std::sync::{Arc, LazyLock};

use crate::config::settings::{BackendSettings, StickySettings};
use crate::logic::balance::sticky::Sticky;
use crate::logic::balance::table::HashTable;
use crate::shared::snapshot::{Affinity, Backend, Entry};

/// What cookies are signed with where the file has no secret. One a process: a reload must not send clients elsewhere.
static DRAWN: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut secret = [0; 32];
    let drawn = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty());
    // Without randomness the cookies could be forged, and with it no call of this size falls short.
    assert_eq!(drawn, Ok(secret.len()), "the kernel gives no random bytes");
    secret
});

/// The affinity of a backend with these nodes. `before`: the backend of that name in the snapshot before.
pub(super) fn build(settings: &BackendSettings, nodes: &[Entry], before: Option<&Backend>) -> Affinity {
    let same = before.filter(|before| is_same(&before.nodes, nodes));
    let table = settings.strategy.hashes().then(|| same.and_then(|before| before.affinity.table.clone()));
    Affinity {
        key: settings.affinity.hash_key.clone(),
        table: table.and_then(|known| known.or_else(|| self::table(nodes))),
        sticky: settings.affinity.sticky.as_ref().map(|settings| Arc::new(sticky(settings, nodes))),
    }
}

/// Nodes that are down are in both: their keys and cookies wait for them.
fn is_same(before: &[Entry], now: &[Entry]) -> bool {
    let of = |entry: &Entry| (Arc::clone(&entry.node.id), entry.weight);
    before.iter().map(of).eq(now.iter().map(of))
}

fn table(nodes: &[Entry]) -> Option<Arc<HashTable>> {
    let nodes: Vec<_> = nodes.iter().map(|entry| (&*entry.node.id, entry.weight)).collect();
    HashTable::new(&nodes).map(Arc::new)
}

fn sticky(settings: &StickySettings, nodes: &[Entry]) -> Sticky {
    let secret = settings.secret.as_ref().map_or(&DRAWN[..], |secret| secret.as_bytes());
    Sticky::new(&settings.cookie, secret, nodes.iter().map(|entry| &*entry.node.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::AffinitySettings;
    use crate::logic::balance::Strategy;
    use crate::shared::node::{Node, NodeAddress, NodeState, Origin};

    fn settings(strategy: Strategy) -> BackendSettings {
        let sticky = StickySettings { cookie: "lb".into(), secret: None };
        let affinity = AffinitySettings { sticky: Some(sticky), ..AffinitySettings::default() };
        BackendSettings { strategy, affinity, ..BackendSettings::new("api".into(), Vec::new()) }
    }

    fn entries(weights: &[u32]) -> Vec<Entry> {
        let entry = |(at, &weight): (usize, &u32)| {
            let address = NodeAddress::Tcp(([10, 0, 0, at as u8], 80).into());
            let node = Arc::new(Node::new("api".into(), address, Origin::Static));
            Entry::of(node, weight)
        };
        weights.iter().enumerate().map(entry).collect()
    }

    fn backend(settings: &BackendSettings, nodes: Vec<Entry>, before: Option<&Backend>) -> Backend {
        let affinity = build(settings, &nodes, before);
        Backend { strategy: settings.strategy, affinity, ..Backend::of(nodes) }
    }

    #[test]
    fn a_table_lives_on_while_nodes_and_weights_are_the_same() {
        let settings = settings(Strategy::ConsistentHash);
        let first = backend(&settings, entries(&[1, 2]), None);
        let mut nodes = entries(&[1, 2]);
        nodes[0].state = NodeState::Down;
        let second = backend(&settings, nodes, Some(&first));
        let third = backend(&settings, entries(&[1, 3]), Some(&second));
        let table = |backend: &Backend| backend.affinity.table.clone().unwrap();
        assert!(Arc::ptr_eq(&table(&first), &table(&second)));
        assert!(!Arc::ptr_eq(&table(&second), &table(&third)));
    }

    #[test]
    fn strategies_that_do_not_hash_have_no_table() {
        assert!(build(&settings(Strategy::RoundRobin), &entries(&[1]), None).table.is_none());
    }

    #[test]
    fn cookies_of_one_process_outlive_a_reload() {
        let settings = settings(Strategy::RoundRobin);
        let cookie = |affinity: Affinity| {
            let mut head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            affinity.sticky.unwrap().give(0, &mut head);
            head
        };
        let first = cookie(build(&settings, &entries(&[1]), None));
        assert_eq!(first, cookie(build(&settings, &entries(&[1, 1]), None)));
        assert!(first.len() > 80);
    }
}
