//! Prequal: leave out the hot nodes, then take the lowest latency.
//!
//! The hot/cold rule of "Load is not what you should balance: Introducing Prequal" (Wydrowski et al., NSDI 2024): a node is
//! hot where its requests in flight are above a quantile of all of them; among the cold ones the lowest latency wins; with
//! none cold, the fewest in flight. The paper probes nodes for both numbers. Here both are known without asking: the
//! requests in flight exactly, the latency from what nodes answered.
//!
//! The paper's latency is what a node takes at the requests in flight that it has now. Ours is an average over the last
//! seconds, so it is multiplied by (in flight + 1) / weight, as [`super::peak_ewma`] does: by the average alone all workers
//! would fill the node that was fastest lately, and learn of it when its queue is seconds long.

use arrayvec::ArrayVec;

use super::choice::{load, load_with_one_more, scan};
use super::sample::{self, Draws};
use super::{Ask, Nodes, peak_ewma};
use crate::logic::limits::FULL_SCAN_MAX;

/// Of many nodes so many are drawn and compared: half of the paper's pool of probes, as all of these are fresh.
const DRAWN: usize = 8;
/// Numerator and denominator of the quantile above which a node is hot: 2^-0.25, the paper's default.
const HOT_ABOVE: (usize, usize) = (84, 100);

/// Has no state.
#[derive(Debug, Default)]
pub struct Prequal;

impl Prequal {
    /// All of a few nodes, some of many.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        let mut draws = Draws::new(ask.draw);
        let candidates = candidates(nodes, &mut draws);
        let hot_above = hot_above(nodes, &candidates)?;
        let cold = candidates.iter().copied().filter(|&at| load(nodes, at) <= hot_above);
        scan(cold, &mut draws, |at| peak_ewma::cost(nodes, at, load_with_one_more(nodes, at), ask.now_us))
    }
}

fn candidates(nodes: &impl Nodes, draws: &mut Draws) -> ArrayVec<usize, FULL_SCAN_MAX> {
    if nodes.len() <= FULL_SCAN_MAX {
        return (0..nodes.len()).filter(|&at| nodes.usable(at)).collect();
    }
    // One that is drawn twice counts once: the others are as good.
    let mut drawn: ArrayVec<usize, FULL_SCAN_MAX> =
        (0..DRAWN).map_while(|_| sample::draw(nodes, draws, None)).collect();
    drawn.sort_unstable();
    let mut last = None;
    drawn.retain(|at| last.replace(*at) != Some(*at));
    drawn
}

/// The load above which a node is hot; never so low that all are.
fn hot_above(nodes: &impl Nodes, candidates: &[usize]) -> Option<f64> {
    let mut loads: ArrayVec<f64, FULL_SCAN_MAX> = candidates.iter().map(|&at| load(nodes, at)).collect();
    loads.sort_unstable_by(f64::total_cmp);
    let last = loads.len().checked_sub(1)?;
    loads.get(last * HOT_ABOVE.0 / HOT_ABOVE.1).copied()
}

const _: () = assert!(DRAWN <= FULL_SCAN_MAX);

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, ask};
    use super::*;

    #[test]
    fn the_fastest_is_left_out_while_it_is_hot() {
        let mut nodes = Fixed::new(&[(1, 4), (1, 3), (1, 9)]);
        nodes.answers_in(&[2_000.0, 3_000.0, 1_000.0]);
        assert_eq!(Prequal.pick(&nodes, &ask(1)), Some(0));
        nodes.set_in_flight(2, 3);
        assert_eq!(Prequal.pick(&nodes, &ask(1)), Some(2));
    }

    #[test]
    fn with_two_nodes_the_one_with_fewer_requests_takes_it() {
        let mut nodes = Fixed::new(&[(1, 1), (1, 2)]);
        nodes.answers_in(&[9_000.0, 1_000.0]);
        assert_eq!(Prequal.pick(&nodes, &ask(1)), Some(0));
        nodes.set_in_flight(0, 2);
        assert_eq!(Prequal.pick(&nodes, &ask(1)), Some(1));
    }

    #[test]
    fn of_many_nodes_the_hottest_is_not_picked() {
        let mut all = vec![(1, 1); 200];
        all[3].1 = 40;
        let mut nodes = Fixed::new(&all);
        nodes.answers_in(&[1_000.0; 200]);
        assert!((0..5_000).all(|draw| Prequal.pick(&nodes, &ask(draw)) != Some(3)));
    }

    #[test]
    fn no_usable_node_is_none() {
        let mut nodes = Fixed::new(&[(1, 0)]);
        nodes.unusable(0);
        assert_eq!(Prequal.pick(&nodes, &ask(1)), None);
    }
}
