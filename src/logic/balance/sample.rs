//! Nodes drawn by weight, in a time that does not grow with their number.

use super::Nodes;

/// Draws out of one draw (SplitMix64; Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// A stream for one pick.
    pub fn new(draw: u64) -> Self {
        Self(draw)
    }

    /// The next uniform number.
    pub fn next_draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number below `bound`, which is not 0. Off by less than one in four thousand million for bounds below 2³²
    /// (Lemire 2019, without the rejection).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_draw()) * u128::from(bound)) >> 64) as u64
    }
}

/// Draws that may miss before every node is looked at. With half of the nodes out, one in a million picks gets there.
const MISSES_MAX: usize = 20;

/// One usable node, each as likely as its weight says; never `except`.
///
/// Places are drawn until one is taken, with the chance of its weight against the largest; so what is taken is in
/// proportion. Where that misses too often, the nodes are walked once, which gives the same proportion.
pub fn draw(nodes: &impl Nodes, draws: &mut Draws, except: Option<usize>) -> Option<usize> {
    if nodes.is_empty() {
        return None;
    }
    let (len, heaviest) = (nodes.len() as u64, u64::from(nodes.weight_max().max(1)));
    let may = |at: usize| Some(at) != except && nodes.usable(at);
    for _ in 0..MISSES_MAX {
        let at = draws.below(len) as usize;
        let light = heaviest > 1 && draws.below(heaviest) >= weight(nodes, at);
        if !light && may(at) {
            return Some(at);
        }
    }
    walk(nodes, draws, may)
}

fn walk(nodes: &impl Nodes, draws: &mut Draws, may: impl Fn(usize) -> bool) -> Option<usize> {
    let total: u64 = (0..nodes.len()).filter(|&at| may(at)).map(|at| weight(nodes, at)).sum();
    if total == 0 {
        return None;
    }
    let mut left = draws.below(total);
    (0..nodes.len()).filter(|&at| may(at)).find(|&at| match left.checked_sub(weight(nodes, at)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    })
}

fn weight(nodes: &impl Nodes, at: usize) -> u64 {
    u64::from(nodes.weight(at).max(1))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, shares};
    use super::*;

    #[test]
    fn shares_follow_weights() {
        let nodes = Fixed::weighing(&[1, 2, 5, 2]);
        let mut draws = Draws::new(1);
        let shares = shares(40_000, 4, || draw(&nodes, &mut draws, None));
        for (share, expected) in shares.iter().zip([0.1, 0.2, 0.5, 0.2]) {
            assert!((share - expected).abs() < 0.01, "{shares:?}");
        }
    }

    #[test]
    fn few_usable_nodes_of_many_are_found_by_walking_in_the_same_proportion() {
        let mut nodes = Fixed::weighing(&[1; 400]);
        (0..400).filter(|at| ![7, 300].contains(at)).for_each(|at| nodes.unusable(at));
        nodes.set_weight(300, 3);
        let mut draws = Draws::new(2);
        let shares = shares(20_000, 400, || draw(&nodes, &mut draws, None));
        assert!((shares[7] - 0.25).abs() < 0.02 && (shares[300] - 0.75).abs() < 0.02, "{shares:?}");
    }

    #[test]
    fn the_exception_is_never_drawn() {
        let mut nodes = Fixed::weighing(&[1, 1]);
        let mut draws = Draws::new(3);
        assert!((0..1_000).all(|_| draw(&nodes, &mut draws, Some(1)) == Some(0)));
        nodes.unusable(0);
        assert_eq!(draw(&nodes, &mut draws, Some(1)), None);
        assert_eq!(draw(&Fixed::weighing(&[]), &mut draws, None), None);
    }
}
