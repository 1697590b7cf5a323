//! Units that run and should get no new requests: frozen by somebody, or failing their own health check.

use std::time::Duration;

use super::Wiring;
use super::group::Group;
use super::mate::Mate;
use crate::control::fleet::{Unfit, UnitId};
use crate::logic::limits::WARM_TIMEOUT;
use crate::logic::scale::lifecycle::{Happening, Leaving, Phase};
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
        let (ticket, unproven) = (mate.ticket, mate.life.is_unproven());
        match why {
            Some(Unfit::Unproven) => self.step(ticket, &Happening::Unproven, wiring, now),
            Some(Unfit::Unhealthy) if unproven => self.step(ticket, &Happening::Failed, wiring, now),
            Some(why) => {
                self.tell(mate, Level::Warning, &format!("gets no new requests: it {}", why.words()), wiring)
            }
            None if unproven => self.step(ticket, &Happening::Proven, wiring, now),
            None => self.tell(mate, Level::Info, "is fit again", wiring),
        }
    }

    /// One of ours whose own health check fails for as long as a start may take is replaced.
    pub(super) fn drain_unhealthy(&mut self, wiring: &Wiring, now: Duration) {
        for index in 0..self.nodes.len() {
            let mate = &self.nodes[index];
            let late = mate.unfit.is_some_and(|(_, since)| now.saturating_sub(since) > WARM_TIMEOUT);
            if late && mate.is_unhealthy() {
                self.replace_unhealthy(index, wiring, now);
            }
        }
    }

    /// How many of `count` nodes may be started. Those that run and get no new requests count against `max` too; where they
    /// fail their own health check, they make room.
    pub(super) fn make_room(&mut self, count: u32, wiring: &Wiring, now: Duration) -> u32 {
        loop {
            let unfit = |mate: &&Mate| *mate.life.phase() == Phase::Serving && mate.unfit.is_some();
            let unfit = self.nodes.iter().filter(|mate| mate.life.is_ours()).filter(unfit).count() as u32;
            let room = self.scale.max.saturating_sub(self.view.there().saturating_add(unfit));
            if room >= count {
                return count;
            }
            match self.nodes.iter().position(Mate::is_unhealthy).filter(|_| !self.starts.is_blocked(now)) {
                Some(index) => self.replace_unhealthy(index, wiring, now),
                None => return room,
            }
        }
    }

    /// Another one takes its place, which may do no better: not at once, where none has lasted.
    fn replace_unhealthy(&mut self, index: usize, wiring: &Wiring, now: Duration) {
        self.starts.fell(now);
        self.drain(index, Leaving::Unhealthy, wiring, now);
    }
}
