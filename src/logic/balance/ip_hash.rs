//! IP hash: the client's address decides, and nothing else.
//!
//! A client stays with its node for as long as that is usable, however loaded it is; while it is not, the client has
//! another one, and comes back with it. Clients of a node that is out are spread over all others.

use super::choice::{load, scan};
use super::sample::{self, Draws};
use super::{Ask, Nodes};

/// Candidates that are looked at before the nodes are drawn by the key itself. With nine of ten nodes out, one key in thirty
/// gets there.
pub(super) const CANDIDATES_MAX: usize = 32;

/// Has no state.
#[derive(Debug, Default)]
pub struct IpHash;

impl IpHash {
    /// The first usable node that the key leads to. A request without a key goes anywhere.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        let key = ask.key.unwrap_or(ask.draw);
        by_key(nodes, key, |_| true).or_else(|| sample::draw(nodes, &mut Draws::new(key), None))
    }
}

/// The first usable candidate for `key` that has `room`.
pub(super) fn by_key(nodes: &impl Nodes, key: u64, room: impl Fn(usize) -> bool) -> Option<usize> {
    let candidates = nodes.table()?.candidates(key).take(CANDIDATES_MAX);
    candidates.into_iter().find(|&at| at < nodes.len() && nodes.usable(at) && room(at))
}

/// The usable node with the fewest requests in flight for its weight.
pub(super) fn idlest(nodes: &impl Nodes, draws: &mut Draws) -> Option<usize> {
    let usable = (0..nodes.len()).filter(|&at| nodes.usable(at));
    scan(usable, draws, |at| load(nodes, at))
}

#[cfg(test)]
mod tests {
    use super::super::table::hash;
    use super::super::tests::{Fixed, keyed};
    use super::*;

    #[test]
    fn a_client_has_one_node_and_gets_it_back() {
        let mut nodes = Fixed::hashing(&[1; 5]);
        let before: Vec<_> = (0..500).map(|client| pick(&nodes, client)).collect();
        nodes.unusable(3);
        let without: Vec<_> = (0..500).map(|client| pick(&nodes, client)).collect();
        for (client, (before, without)) in before.iter().zip(&without).enumerate() {
            assert!(*before == 3 || before == without, "client {client} moved without need");
            assert_ne!(*without, 3);
        }
        // The clients of the one that is out are spread over all the others.
        let taken = |node| before.iter().zip(&without).filter(|&(b, w)| *b == 3 && *w == node).count();
        assert!([0, 1, 2, 4].into_iter().all(|node| taken(node) > 5));
        nodes.usable_again(3);
        assert!((0..500).map(|client| pick(&nodes, client)).eq(before));
    }

    #[test]
    fn the_last_usable_of_many_is_found() {
        let mut nodes = Fixed::hashing(&[1; 300]);
        (0..299).for_each(|at| nodes.unusable(at));
        assert_eq!(pick(&nodes, 1), 299);
    }

    fn pick(nodes: &Fixed, client: u32) -> usize {
        IpHash.pick(nodes, &keyed(hash(&client.to_be_bytes()))).unwrap()
    }
}
