//! A rolling update: new nodes serve before old ones drain, one at a time; a new one that fails ends it.

use std::time::Duration;

use super::group::Group;
use super::{Wiring, refuse};
use crate::logic::scale::lifecycle::{Leaving, Phase};
use crate::shared::event::{Event, Kind, Level};
use crate::shared::order::{Fault, Outcome};

/// A roll that is under way.
#[derive(Debug)]
pub(super) struct Roll {
    began: Duration,
    /// A new node did not come up.
    pub(super) failed: bool,
    /// Old nodes that were let go.
    replaced: usize,
}

impl Roll {
    pub(super) fn new(now: Duration) -> Self {
        Self { began: now, failed: false, replaced: 0 }
    }
}

impl Group {
    /// Marks all nodes as old ones.
    pub(super) fn roll(&mut self, now: Duration) -> Outcome {
        if self.roll.is_some() {
            let message = format!("the nodes of {} are being replaced already", self.name);
            return Err(refuse(Fault::Conflict, "rolling", message, "wait until it is done"));
        }
        self.nodes.iter_mut().filter(|mate| mate.life.is_ours()).for_each(|mate| mate.is_old = true);
        self.starts.forgive();
        self.roll = Some(Roll::new(now));
        let count = self.nodes.iter().filter(|mate| mate.is_old).count();
        Ok(format!("{count} nodes of {} are replaced, one at a time", self.name))
    }

    /// One step: a new node is started, or, once it serves, an old one is drained.
    pub(super) fn go_on_rolling(&mut self, wiring: &Wiring, now: Duration) {
        let Some(roll) = &self.roll else { return };
        if roll.failed {
            self.nodes.iter_mut().for_each(|mate| mate.is_old = false);
            let text = "the roll has stopped: a new node did not come up; the old ones go on. Correct the image or the \
                        command, and roll again";
            return self.end_roll(Level::Error, text.into(), wiring);
        }
        let here = |phase: &Phase| matches!(phase, Phase::Serving | Phase::Warming);
        let old = self.nodes.iter().position(|mate| mate.is_old && here(mate.life.phase()));
        let Some(old) = old else {
            let text = format!("all nodes were replaced, in {:.0} s", (now - roll.began).as_secs_f64());
            return self.end_roll(Level::Info, text, wiring);
        };
        if self.nodes.iter().any(|mate| mate.of_roll && mate.life.is_starting()) {
            return;
        }
        let served =
            self.nodes.iter().filter(|mate| mate.of_roll && *mate.life.phase() == Phase::Serving).count();
        // Each new one lets one old one go.
        match &mut self.roll {
            Some(roll) if served > roll.replaced => {
                roll.replaced += 1;
                self.drain(old, Leaving::Replaced, wiring, now);
            }
            _ => self.start(now),
        }
    }

    fn end_roll(&mut self, level: Level, text: String, wiring: &Wiring) {
        self.roll = None;
        self.nodes.iter_mut().for_each(|mate| mate.of_roll = false);
        wiring.events.send(Event::now(Kind::Scale, level, text).backend(&self.name));
    }
}
