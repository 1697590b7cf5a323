//! Nodes die and starts fail: the fleet comes back to what the load needs, and never leaves its bounds on the way.

use crate::traces::{STEADY, STEP};
use crate::world::{MAX, Ours, World};

#[test]
fn nodes_that_die_are_replaced() {
    for seed in [1, 2, 3] {
        let mut ours = Ours::standard();
        let mut world = World::new(&STEADY, seed, 5);
        // One each ten seconds for five minutes, then peace.
        world.dies =
            |second| (second.is_multiple_of(10) && (200..500).contains(&second)).then_some(second as usize);
        let outcome = world.run(&mut ours);
        assert!(outcome.most <= MAX);
        let last = outcome.changes.last().copied().unwrap_or_default();
        // 70 in flight and the room, for 20 a node: five.
        assert!((5..=6).contains(&last.1), "seed {seed}: {last:?} of {:?}", outcome.changes);
        assert!(last.0 < 900, "seed {seed}: still moving at {}", last.0);
    }
}

#[test]
fn starts_that_fail_are_tried_again_and_it_converges() {
    for seed in [1, 2, 3] {
        let mut ours = Ours::standard();
        let mut world = World::new(&STEP, seed, 2);
        // The engine is out of order when it is needed most.
        world.starts_fail = |second| (300..420).contains(&second);
        let outcome = world.run(&mut ours);
        assert!(outcome.most <= MAX);
        let during = outcome.changes.iter().rfind(|change| change.0 < 560).copied().unwrap_or_default();
        assert!(during.1 >= 8, "seed {seed}: {:?}", outcome.changes);
        assert!(outcome.changes.last().is_some_and(|last| last.1 <= 3), "seed {seed}: {:?}", outcome.changes);
    }
}
