//! First: the first node in the order of the file that may take a request.
//!
//! It packs the work onto the fewest nodes, so that the rest can be stopped. What makes it go on to the next one is
//! `max_connections` of a server; without it the first node takes everything. Weights do not count.

use super::Nodes;

/// Has no state.
#[derive(Debug, Default)]
pub struct First;

impl First {
    /// The first usable one.
    pub fn pick(&self, nodes: &impl Nodes) -> Option<usize> {
        (0..nodes.len()).find(|&at| nodes.usable(at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixed;
    use super::*;

    #[test]
    fn the_first_that_is_usable_takes_it() {
        let mut nodes = Fixed::new(&[(1, 90), (1, 0), (1, 0)]);
        assert_eq!(First.pick(&nodes), Some(0));
        nodes.unusable(0);
        assert_eq!(First.pick(&nodes), Some(1));
        nodes.unusable(1);
        nodes.unusable(2);
        assert_eq!(First.pick(&nodes), None);
    }
}
