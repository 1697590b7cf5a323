//! Units that run and should get no new requests: frozen by somebody, or failing their own health check.

use std::time::Duration;

use super::Wiring;
use super::group::Group;
use super::mate::Mate;
use crate::control::fleet::{Unfit, UnitId};
use crate::logic::limits::WARM_TIMEOUT;
use crate::logic::scale::lifecycle::{Leaving, Phase};
use crate::shared::event::Level;

impl Group {
    /// A unit that runs should get no new requests, or may get them again.
    pub(super) fn is_unfit(&mut self, unit: &UnitId, why: Option<Unfit>, wiring: &Wiring, now: Duration) {
        let is_it = |mate: &Mate| mate.unit.as_ref().is_some_and(|known| known.id == *unit);
        let Some(index) = self.nodes.iter().position(is_it) else { return };
        let before = self.nodes[index].unfit;
        if before.map(|(why, _)| why) == why {
            return;
        }
        self.nodes[index].unfit = why.map(|why| (why, now));
        let mate = &self.nodes[index];
        match why {
            Some(why) => {
                self.tell(mate, Level::Warning, &format!("gets no new requests: it {}", why.words()), wiring)
            }
            None => self.tell(mate, Level::Info, "is fit again", wiring),
        }
    }

    /// One of ours whose own health check fails for as long as a start may take is replaced.
    pub(super) fn drain_unhealthy(&mut self, wiring: &Wiring, now: Duration) {
        for index in 0..self.nodes.len() {
            let mate = &self.nodes[index];
            let late = |(why, since)| why == Unfit::Unhealthy && now.saturating_sub(since) > WARM_TIMEOUT;
            if mate.life.is_ours() && *mate.life.phase() == Phase::Serving && mate.unfit.is_some_and(late) {
                self.drain(index, Leaving::Unhealthy, wiring, now);
            }
        }
    }
}
