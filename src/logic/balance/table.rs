//! Where keys lead: a Maglev table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016).
//!
//! Each node prefers the slots in an order of its own; in turns, as often as its weight says, each takes the next one that
//! is free. So every node has its share of the slots almost exactly, and where a node comes or goes the others keep nearly
//! all of theirs. The table is built once for a set of nodes, and a key costs one look.
//!
//! It is built over all nodes, those that are down too: while one is down its keys alone move, and they come back with it.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::sample::Draws;
use crate::logic::limits::{NODES_MAX, WEIGHT_MAX};

/// Sizes of tables, all of them prime: so that every step visits every slot. The paper asks for a hundred slots a node.
const SIZES: [usize; 3] = [4_093, 65_521, 524_287];
/// Slots that each node should have, at least on average.
const SLOTS_PER_NODE: usize = 100;
/// Not a secret: the same key must lead to the same node in every process that has the same nodes.
const KEYS: (u64, u64) = (0x706c_696d_736f_6c6c, 0x6861_7368_7461_626c);

const _: () = assert!(SIZES[2] / SLOTS_PER_NODE > NODES_MAX);
const _: () = assert!(NODES_MAX <= u16::MAX as usize);

/// The hash of anything that requests are told apart by. The same in every process and version.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(bytes);
    hasher.finish()
}

/// A table over the nodes of one backend.
#[derive(Clone, PartialEq, Eq)]
pub struct HashTable {
    /// The place of a node each; all are below the number of nodes.
    slots: Vec<u16>,
}

/// Thousands of slots tell nobody anything.
impl std::fmt::Debug for HashTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashTable").field("slots", &self.slots.len()).finish()
    }
}

impl HashTable {
    /// Over nodes with these ids and weights. `None` where there are none, or more than `NODES_MAX`.
    ///
    /// What leads where depends on ids and weights alone, and not on the order of the nodes.
    pub fn new(nodes: &[(&str, u32)]) -> Option<Self> {
        if nodes.is_empty() || nodes.len() > NODES_MAX {
            return None;
        }
        let size = SIZES.into_iter().find(|size| *size >= nodes.len() * SLOTS_PER_NODE).unwrap_or(SIZES[2]);
        let mut turns: Vec<_> = nodes
            .iter()
            .zip(0_u16..)
            .map(|(&(id, weight), at)| Turn::new(at, hash(id.as_bytes()), weight, size))
            .collect();
        // Two nodes want a slot at the same turn: who comes first must not depend on the order in the file.
        turns.sort_by_key(|turn| turn.hash);
        let heaviest = turns.iter().map(|turn| turn.weight).max().unwrap_or(1);
        Some(Self { slots: fill(size, &mut turns, heaviest) })
    }

    /// The places of nodes for `key`, best first, without an end; the same may come again.
    pub fn candidates(&self, key: u64) -> impl Iterator<Item = usize> {
        let mut draws = Draws::new(key);
        std::iter::repeat_with(move || usize::from(self.slots[draws.below(self.slots.len() as u64) as usize]))
    }

    /// The node of `key`.
    pub fn node(&self, key: u64) -> usize {
        self.candidates(key).next().unwrap_or(0)
    }
}

/// A node on its way through its order of slots.
struct Turn {
    at: u16,
    hash: u64,
    weight: u64,
    /// Grows by the weight each round; a slot costs the weight of the heaviest.
    credit: u64,
    next: usize,
    step: usize,
}

impl Turn {
    fn new(at: u16, hash: u64, weight: u32, size: usize) -> Self {
        let mut draws = Draws::new(hash);
        let weight = u64::from(weight.clamp(1, WEIGHT_MAX));
        let next = draws.below(size as u64) as usize;
        let step = 1 + draws.below(size as u64 - 1) as usize;
        Self { at, hash, weight, credit: 0, next, step }
    }

    /// The next slot in its order that is free.
    fn take(&mut self, slots: &mut [u16]) {
        while slots[self.next] != FREE {
            self.next = (self.next + self.step) % slots.len();
        }
        slots[self.next] = self.at;
    }
}

/// No node has this place: there are at most `NODES_MAX`.
const FREE: u16 = u16::MAX;

fn fill(size: usize, turns: &mut [Turn], heaviest: u64) -> Vec<u16> {
    let mut slots = vec![FREE; size];
    let mut free = size;
    loop {
        for turn in turns.iter_mut() {
            turn.credit += turn.weight;
            if turn.credit < heaviest {
                continue;
            }
            turn.credit -= heaviest;
            turn.take(&mut slots);
            free -= 1;
            if free == 0 {
                return slots;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("api/10.0.{}.{}:80", number / 256, number % 256)).collect()
    }

    fn table(ids: &[String], weight: impl Fn(usize) -> u32) -> HashTable {
        let nodes: Vec<_> = ids.iter().enumerate().map(|(at, id)| (id.as_str(), weight(at))).collect();
        HashTable::new(&nodes).unwrap()
    }

    /// The share of keys whose node is another one.
    fn moved(before: (&HashTable, &[String]), after: (&HashTable, &[String])) -> f64 {
        const KEYS: u64 = 20_000;
        let differs = |&key: &u64| {
            let key = hash(&key.to_le_bytes());
            before.1[before.0.node(key)] != after.1[after.0.node(key)]
        };
        (0..KEYS).filter(differs).count() as f64 / KEYS as f64
    }

    #[test]
    fn one_of_ten_nodes_that_comes_or_goes_moves_its_own_keys_and_few_others() {
        let (ten, eleven) = (ids(10), ids(11));
        let (before, after) = (table(&ten, |_| 1), table(&eleven, |_| 1));
        let moved = moved((&before, &ten), (&after, &eleven));
        assert!((0.08..0.12).contains(&moved), "{moved}");
    }

    #[test]
    fn a_hundredth_node_moves_little() {
        let (before, after) = (ids(99), ids(100));
        let moved = moved((&table(&before, |_| 1), &before), (&table(&after, |_| 1), &after));
        assert!(moved < 0.025, "{moved}");
    }

    #[test]
    fn slots_follow_weights() {
        let ids = ids(5);
        let table = table(&ids, |at| [1, 2, 3, 4, 10][at]);
        let slots = |node: u16| table.slots.iter().filter(|&&slot| slot == node).count() as f64;
        for (at, expected) in [1.0, 2.0, 3.0, 4.0, 10.0].into_iter().enumerate() {
            let share = slots(at as u16) / table.slots.len() as f64 * 20.0;
            assert!((share / expected - 1.0).abs() < 0.02, "{at}: {share}");
        }
    }

    #[test]
    fn the_order_of_nodes_does_not_matter() {
        let forwards = ids(20);
        let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
        let weight = |at: usize| 1 + at as u32 % 3;
        let (one, other) = (table(&forwards, weight), table(&backwards, |at| weight(19 - at)));
        assert_eq!(moved((&one, &forwards), (&other, &backwards)), 0.0);
    }

    #[test]
    fn the_most_nodes_have_a_table_and_each_has_slots() {
        let ids = ids(NODES_MAX);
        let table = table(&ids, |_| 1);
        let mut counts = vec![0; NODES_MAX];
        table.slots.iter().for_each(|&slot| counts[usize::from(slot)] += 1);
        assert!(counts.iter().all(|count| (127..=128).contains(count)));
    }

    proptest! {
        #[test]
        fn every_slot_is_a_node(weights in proptest::collection::vec(1_u32..=WEIGHT_MAX, 1..60)) {
            let ids = ids(weights.len());
            let table = table(&ids, |at| weights[at]);
            prop_assert!(table.slots.iter().all(|&slot| usize::from(slot) < weights.len()));
        }
    }
}
