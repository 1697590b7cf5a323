//! A rolling update: new nodes serve before old ones drain, one at a time; a new one that fails ends it, and what is
//! started after that is of the version that serves.

use std::sync::Arc;
use std::time::Duration;

use super::group::Group;
use super::mate::Mate;
use super::orders::may_act;
use super::{Wiring, refuse};
use crate::config::settings::{DEFAULT_STOP_GRACE, FleetSettings, Pull};
use crate::control::fleet::Unit;
use crate::logic::limits::WARM_TIMEOUT;
use crate::logic::scale::decide::nodes;
use crate::logic::scale::lifecycle::{Leaving, Phase};
use crate::shared::event::{Event, Kind, Level};
use crate::shared::order::{Fault, Outcome};

/// What nodes are started from.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) settings: Arc<FleetSettings>,
    /// Tells one way of starting nodes from another.
    pub(super) fingerprint: Arc<str>,
    /// The image of its first node: that of all.
    pub(super) image: Option<Arc<str>>,
}

impl Spec {
    pub(super) fn of(settings: &Arc<FleetSettings>) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("{:?}", what_makes_a_node(settings)).as_bytes());
        let fingerprint = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into();
        Self { settings: Arc::clone(settings), fingerprint, image: None }
    }

    /// Was this unit started from it?
    fn made(&self, unit: &Unit) -> bool {
        let same_image = self.image.is_none() || self.image == unit.image;
        self.fingerprint == unit.fingerprint && same_image
    }
}

/// The settings but for those that say nothing of a node that runs: when its image is pulled, and how it is stopped.
fn what_makes_a_node(settings: &FleetSettings) -> FleetSettings {
    let mut settings = settings.clone();
    if let FleetSettings::Docker(docker) = &mut settings {
        (docker.pull, docker.stop_grace) = (Pull::Missing, DEFAULT_STOP_GRACE);
    }
    settings
}

/// A roll that is under way.
#[derive(Debug)]
pub(super) struct Roll {
    began: Duration,
    /// What the nodes were started from before.
    before: Spec,
    /// A new node did not come up, or did not last.
    pub(super) failed: bool,
    /// Old nodes that were let go.
    replaced: usize,
    /// Nodes that were started because the load asked for more: they let nobody go.
    pub(super) added: usize,
}

impl Roll {
    pub(super) fn new(before: Spec, now: Duration) -> Self {
        Self { began: now, before, failed: false, replaced: 0, added: 0 }
    }
}

impl Group {
    /// Replaces all nodes, by the order of an operator.
    pub(super) fn roll(&mut self, wiring: &Wiring, now: Duration) -> Outcome {
        may_act(wiring)?;
        if self.roll.is_some() {
            let message = format!("the nodes of {} are being replaced already", self.name);
            return Err(refuse(Fault::Conflict, "rolling", message, "wait until it is done"));
        }
        self.begin_roll(wiring, now);
        let count = self.nodes.iter().filter(|mate| mate.is_old).count() as u32;
        let verb = if count == 1 { "is" } else { "are" };
        Ok(format!("{} of {} {verb} replaced, one at a time", nodes(count), self.name))
    }

    /// All nodes are old ones from now on, and new ones are what the configuration says.
    pub(super) fn begin_roll(&mut self, wiring: &Wiring, now: Duration) {
        self.drain_unfit(wiring, now);
        // A roll that another one overtakes has proven nothing: what was there before it is what can be gone back to.
        let before = self.roll.take().map_or_else(|| self.spec.clone(), |roll| roll.before);
        self.spec = self.wanted.clone();
        self.roll_trouble = None;
        self.starts.forgive();
        for mate in self.nodes.iter_mut().filter(|mate| mate.life.is_ours()) {
            (mate.is_old, mate.of_roll) = (true, false);
        }
        self.roll = Some(Roll::new(before, now));
    }

    /// One step: a new node is started, or, once it serves, an old one is drained.
    pub(super) fn go_on_rolling(&mut self, wiring: &Wiring, now: Duration) {
        let Some(roll) = &self.roll else { return };
        if roll.failed {
            return self.give_up_roll(wiring, now);
        }
        let here = |phase: &Phase| matches!(phase, Phase::Serving | Phase::Warming);
        let snapshot = wiring.published.current();
        let backend = snapshot.backends.iter().find(|backend| backend.name == self.name);
        // Those first that carry nothing, then those with the least to lose.
        let rank = |(_, mate): &(usize, &Mate)| {
            (mate.takes_requests(&self.name, backend.map(|backend| &**backend)), mate.in_flight())
        };
        let olds = self.nodes.iter().enumerate().filter(|(_, mate)| mate.is_old && here(mate.life.phase()));
        let Some((old, _)) = olds.min_by_key(rank) else {
            let text = format!("all nodes were replaced, in {:.0} s", (now - roll.began).as_secs_f64());
            return self.end_roll(Level::Info, text, wiring);
        };
        let mut served = 0;
        for mate in self.nodes.iter().filter(|mate| mate.of_roll) {
            match mate.life.phase() {
                _ if mate.life.is_starting() => return,
                Phase::Serving if mate.takes_requests(&self.name, backend.map(|backend| &**backend)) => {
                    served += 1;
                }
                // It listens, and fails its probes.
                Phase::Serving if now.saturating_sub(mate.life.since()) < WARM_TIMEOUT => return,
                Phase::Serving => return self.give_up_roll(wiring, now),
                _ => {}
            }
        }
        // Each new one lets one old one go.
        match &mut self.roll {
            Some(roll) if served > roll.replaced + roll.added => {
                roll.replaced += 1;
                self.drain(old, Leaving::Replaced, wiring, now);
            }
            // The engine is out of order: it is asked again after a pause.
            _ if self.starts.is_blocked(now) => {}
            _ => self.start(now),
        }
    }

    /// New nodes that take no requests go; those that are started from now on are of the version that serves.
    fn give_up_roll(&mut self, wiring: &Wiring, now: Duration) {
        self.drain_unfit(wiring, now);
        let Some(roll) = self.roll.take() else { return };
        let serves = self.nodes.iter().any(|mate| {
            *mate.life.phase() == Phase::Serving
                && mate.unit.as_ref().is_some_and(|unit| roll.before.made(unit))
        });
        let is_another =
            self.spec.fingerprint != roll.before.fingerprint || self.spec.image != roll.before.image;
        let mut text =
            "the roll has stopped: a new node did not come up, or did not last; the old ones go on. Correct \
                        the image or the command, and reload or roll again"
                .to_owned();
        if serves && is_another {
            self.spec = roll.before;
            self.starts.forgive();
            text += "; until then nodes are started as they were before";
        }
        self.nodes.iter_mut().for_each(|mate| mate.is_old = false);
        self.end_roll(Level::Error, text, wiring);
    }

    /// New nodes that take no requests go.
    fn drain_unfit(&mut self, wiring: &Wiring, now: Duration) {
        let snapshot = wiring.published.current();
        let backend = snapshot.backends.iter().find(|backend| backend.name == self.name);
        for index in 0..self.nodes.len() {
            let mate = &self.nodes[index];
            if mate.of_roll && !mate.takes_requests(&self.name, backend.map(|backend| &**backend)) {
                self.drain(index, Leaving::Unfit, wiring, now);
            }
        }
    }

    fn end_roll(&mut self, level: Level, text: String, wiring: &Wiring) {
        self.roll = None;
        self.nodes.iter_mut().for_each(|mate| mate.of_roll = false);
        self.roll_trouble = (level == Level::Error).then(|| text.clone());
        wiring.events.send(Event::now(Kind::Scale, level, text).backend(&self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_an_image_is_pulled_and_how_a_node_stops_make_no_other_node() {
        let fingerprint = |keys: &str| {
            let text = format!(
                "routes: [{{ path: /*, backend: api }}]\nbackends: {{ api: {{ docker: {{ image: x, {keys} }} }} }}\n"
            );
            let settings = crate::config::parse(&text, "plimsoll.yaml", &|_| None).unwrap();
            Spec::of(settings.backends[0].fleet.as_ref().unwrap()).fingerprint
        };
        let first = fingerprint("port: 80");
        assert_eq!(fingerprint("port: 80, pull: never, stop_grace: 3s"), first);
        assert_ne!(fingerprint("port: 81"), first);
        assert_ne!(fingerprint("port: 80, env: { A: b }"), first);
    }
}
