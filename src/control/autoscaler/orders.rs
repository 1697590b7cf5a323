//! What operators want of one fleet.

use std::time::Duration;

use super::group::Group;
use super::{Wiring, refuse};
use crate::logic::scale::lifecycle::{Leaving, Phase};
use crate::shared::order::{Fault, Outcome, Refused};

impl Group {
    pub(super) fn scale(&mut self, replicas: Option<u32>, paused: Option<bool>) -> Outcome {
        let (min, max) = (self.scale.min, self.scale.max);
        if let Some(count) = replicas.filter(|count| !(min..=max).contains(count)) {
            let message = format!("{count} nodes are outside of `min` ({min}) and `max` ({max})");
            return Err(refuse(
                Fault::Invalid,
                "out_of_range",
                message,
                "change `scale` in the configuration",
            ));
        }
        if replicas.is_some() && paused.is_some() {
            let message = "a number of nodes and `paused` were said at once".to_owned();
            let hint = "say a number, which holds until `paused: false`; or `paused` alone";
            return Err(refuse(Fault::Invalid, "contradiction", message, hint));
        }
        if let Some(paused) = paused {
            self.view.paused = paused;
            if !paused {
                self.view.replicas = None;
            }
        }
        if replicas.is_some() {
            (self.view.replicas, self.view.paused) = (replicas, false);
            self.starts.forgive();
        }
        Ok(match (replicas, self.view.paused) {
            (Some(count), _) => {
                format!("{} shall have {count} nodes until its scaler is resumed", self.name)
            }
            (None, true) => format!("the autoscaler of {} is paused", self.name),
            (None, false) => format!("the autoscaler of {} decides again", self.name),
        })
    }

    pub(super) fn add_node(&mut self, wiring: &Wiring, now: Duration) -> Outcome {
        may_act(wiring)?;
        let there = self.count(|life| life.is_starting() || *life.phase() == Phase::Serving);
        self.scale(Some(there + 1), None)?;
        self.grow(1, wiring, now);
        Ok(format!(
            "one more node of {} starts: {} in all, until its scaler is resumed: from now on the number is yours",
            self.name,
            there + 1
        ))
    }

    pub(super) fn remove_node(&mut self, id: &str, wiring: &Wiring, now: Duration) -> Option<Outcome> {
        let index = self.nodes.iter().position(|mate| *mate.id(&self.name) == *id)?;
        if let Err(refused) = may_act(wiring) {
            return Some(Err(refused));
        }
        self.drain(index, Leaving::Operator, wiring, now);
        Some(Ok(format!(
            "{id} drains, and is stopped when nothing is in flight; {} may start another",
            self.name
        )))
    }
}

/// Orders that change nodes are for a balancer that may.
pub(super) fn may_act(wiring: &Wiring) -> Result<(), Refused> {
    if !wiring.dry_run {
        return Ok(());
    }
    let message = "this is a dry run: it starts and stops nothing".to_owned();
    Err(refuse(Fault::Conflict, "dry_run", message, "run without `--dry-run`"))
}
