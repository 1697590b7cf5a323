//! Random: by weight and chance alone. No state, no look at any counter: the cheapest, and the least even.

use super::sample::{self, Draws};
use super::{Ask, Nodes};

/// Has no state.
#[derive(Debug, Default)]
pub struct Random;

impl Random {
    /// Each usable node as likely as its weight says.
    pub fn pick(&self, nodes: &impl Nodes, ask: &Ask) -> Option<usize> {
        sample::draw(nodes, &mut Draws::new(ask.draw), None)
    }
}
