//! Least connections: the node with the smallest (in flight + 1) / weight, ties at random.

use super::Nodes;

/// Has no state of its own: the exact counters of the nodes are all it needs.
#[derive(Debug, Default)]
pub struct LeastConnections;

impl LeastConnections {
    /// A full scan; among the nodes that share the minimum each is as likely as the other.
    pub fn pick(&self, nodes: &impl Nodes, draw: u64) -> Option<usize> {
        let mut best: Option<(usize, u64, u64)> = None;
        let mut ties = 0_u64;
        for at in (0..nodes.len()).filter(|&at| nodes.usable(at)) {
            let load = u64::from(nodes.in_flight(at)) + 1;
            let weight = u64::from(nodes.weight(at).max(1));
            // load / weight compared without dividing: a/b < c/d is a*d < c*b.
            let order =
                best.map(|(_, load_best, weight_best)| (load * weight_best).cmp(&(load_best * weight)));
            match order {
                None | Some(std::cmp::Ordering::Less) => {
                    best = Some((at, load, weight));
                    ties = 1;
                }
                Some(std::cmp::Ordering::Equal) => {
                    // Reservoir sampling: the n-th of equals takes the place with probability 1/n.
                    ties += 1;
                    if mix(draw, ties).is_multiple_of(ties) {
                        best = Some((at, load, weight));
                    }
                }
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        best.map(|(at, ..)| at)
    }
}

/// A draw for each tie out of the one that was given (the finaliser of SplitMix64, Steele et al. 2014).
fn mix(draw: u64, salt: u64) -> u64 {
    let mut z = draw ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixed;
    use super::*;

    #[test]
    fn the_least_loaded_for_its_weight_is_picked() {
        let nodes = Fixed::new(&[(1, 3), (2, 4), (1, 2)]);
        // 4/1, 5/2, 3/1.
        assert_eq!(LeastConnections.pick(&nodes, 7), Some(1));
    }

    #[test]
    fn ties_are_shared_evenly() {
        let nodes = Fixed::new(&[(1, 0), (1, 0), (1, 0)]);
        let mut counts = [0; 3];
        for draw in 0..30_000 {
            counts[LeastConnections.pick(&nodes, mix(draw, 99)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|&count| (9_500..10_500).contains(&count)), "{counts:?}");
    }

    #[test]
    fn an_unusable_node_is_never_picked() {
        let mut nodes = Fixed::new(&[(1, 0), (1, 50)]);
        nodes.unusable(0);
        assert_eq!(LeastConnections.pick(&nodes, 1), Some(1));
        nodes.unusable(1);
        assert_eq!(LeastConnections.pick(&nodes, 1), None);
    }
}
