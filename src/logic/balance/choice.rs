//! The cheapest node: of all where they are few, of two that are drawn where they are many.
//!
//! Two that are drawn by weight are almost as good as all of them (Mitzenmacher, "The Power of Two Choices", 2001), cost the
//! same for ten nodes and for thousands, and keep workers that decide at the same moment from all taking the same node.

use std::cmp::Ordering;

use arrayvec::ArrayVec;

use super::Nodes;
use super::sample::{self, Draws};
use crate::logic::limits::FULL_SCAN_MAX;

/// The nodes that one pick compares.
#[derive(Debug)]
pub struct Candidates {
    places: ArrayVec<usize, FULL_SCAN_MAX>,
    /// The load of an idle node that was drawn; `None` where all nodes are compared.
    drawn: Option<f64>,
}

impl Candidates {
    /// All usable nodes, or two of them that are drawn by weight without replacement.
    pub fn new(nodes: &impl Nodes, draws: &mut Draws) -> Self {
        if nodes.len() <= FULL_SCAN_MAX {
            return Self { places: (0..nodes.len()).filter(|&at| nodes.usable(at)).collect(), drawn: None };
        }
        let mut places = ArrayVec::new();
        if let Some((one, other)) = two(nodes, draws) {
            places.push(one);
            places.extend(other);
        }
        Self { places, drawn: Some(1.0 / f64::from(nodes.weight_max().max(1))) }
    }

    /// Does this hold for each of them?
    pub fn all(&self, holds: impl Fn(usize) -> bool) -> bool {
        self.places.iter().all(|&at| holds(at))
    }

    /// The one with the lowest `cost`, which is given its place and its load.
    ///
    /// The load of one of all is (in flight + 1) / weight: what it would be with this request; ties go by chance. Where
    /// nodes were drawn, their weights have counted once already, and idle ones must not differ by them again: their load
    /// is in flight / weight, and the same bit more for all; ties go to the one that was drawn first.
    pub fn cheapest(
        &self,
        nodes: &impl Nodes,
        draws: &mut Draws,
        cost: impl Fn(usize, f64) -> f64,
    ) -> Option<usize> {
        let places = self.places.iter().copied();
        match self.drawn {
            None => scan(places, draws, |at| cost(at, load_with_one_more(nodes, at))),
            Some(idle) => {
                let cost = |at| cost(at, load(nodes, at) + idle);
                places.min_by(|&one, &other| cost(one).total_cmp(&cost(other)))
            }
        }
    }
}

/// Requests in flight for its weight.
pub fn load(nodes: &impl Nodes, at: usize) -> f64 {
    f64::from(nodes.in_flight(at)) / f64::from(nodes.weight(at).max(1))
}

/// What [`load`] would be with one more.
pub fn load_with_one_more(nodes: &impl Nodes, at: usize) -> f64 {
    (f64::from(nodes.in_flight(at)) + 1.0) / f64::from(nodes.weight(at).max(1))
}

/// The cheapest of `candidates`; among those that share the minimum each is as likely as the other.
pub fn scan(
    candidates: impl Iterator<Item = usize>,
    draws: &mut Draws,
    cost: impl Fn(usize) -> f64,
) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut ties = 1;
    for at in candidates {
        let cost = cost(at);
        match best.map_or(Ordering::Less, |(_, least)| cost.total_cmp(&least)) {
            Ordering::Less => {
                best = Some((at, cost));
                ties = 1;
            }
            Ordering::Equal => {
                // Reservoir sampling: the n-th of equals takes the place with probability 1/n.
                ties += 1;
                if draws.below(ties) == 0 {
                    best = Some((at, cost));
                }
            }
            Ordering::Greater => {}
        }
    }
    best.map(|(at, _)| at)
}

/// Two different usable nodes by weight; the second is missing where there is but one.
pub fn two(nodes: &impl Nodes, draws: &mut Draws) -> Option<(usize, Option<usize>)> {
    let one = sample::draw(nodes, draws, None)?;
    Some((one, sample::draw(nodes, draws, Some(one))))
}
