//! One node of a fleet: its unit, its life, and how others name it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::{Call, FleetNode};
use crate::control::fleet::{Unfit, Unit};
use crate::logic::scale::lifecycle::{Lifecycle, Phase};
use crate::logic::scale::processor::Processor;
use crate::shared::node::{Node, NodeAddress, NodeState, Origin};
use crate::shared::roster::Roster;
use crate::shared::snapshot::{Backend, Entry};

/// What an engine is asked to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    Start,
    Stop,
    Remove,
}

/// One node of the fleet.
pub(super) struct Mate {
    pub(super) ticket: u64,
    pub(super) unit: Option<Unit>,
    /// When its unit became known: no older list can know of it.
    pub(super) named: Duration,
    pub(super) life: Lifecycle,
    /// The node that the workers count on, once it was published. It outlives its backend, whose requests finish on it.
    pub(super) node: Option<Arc<Node>>,
    /// Why it should get no new requests though it runs, and since when.
    pub(super) unfit: Option<(Unfit, Duration)>,
    /// To be replaced by the roll that is under way.
    pub(super) is_old: bool,
    /// Started by the roll that is under way.
    pub(super) of_roll: bool,
    pub(super) requests_seen: u64,
    /// What its engine is doing about it.
    pub(super) call: Option<(Errand, AbortHandle)>,
    /// Its last lines are to be read before it is removed.
    pub(super) log_is_due: bool,
    pub(super) processor: Processor,
}

impl Mate {
    /// What the registry shall publish of it.
    pub(super) fn published(&self, origin: Origin) -> Option<FleetNode> {
        let unit = self.unit.as_ref()?;
        let address = NodeAddress::Tcp(unit.address?);
        let (call, reason) = match self.life.phase() {
            Phase::Warming if self.life.is_unproven() => {
                (Call::Warming, "it runs, and has not passed its own health check (HEALTHCHECK) yet")
            }
            Phase::Warming => (Call::Warming, "it runs, and does not listen yet"),
            Phase::Serving => match self.unfit {
                Some((why, _)) => (Call::Unfit, why.words()),
                None => (Call::Serving, "it listens"),
            },
            Phase::Draining { why, .. } => (Call::Draining, why.words()),
            _ => return None,
        };
        let origin = if unit.ours { origin } else { Origin::Label };
        let unit_id = Some(Arc::clone(&unit.id.0));
        Some(FleetNode { address, origin, weight: unit.weight, unit: unit_id, call, reason: reason.into() })
    }

    /// The same while it has no address: how far it is. `number`: which of those it is.
    pub(super) fn coming(&self, number: usize, origin: Origin) -> Option<FleetNode> {
        let reason = match self.life.phase() {
            Phase::Pulling(words) => format!("its image comes: {words}").into(),
            Phase::Creating => "its engine creates it".into(),
            Phase::Starting => "it is created, and does not run yet".into(),
            _ => return None,
        };
        let address = NodeAddress::Unresolved(format!("starting-{number}").into());
        Some(FleetNode { address, origin, weight: 1, unit: None, call: Call::Starting, reason })
    }

    /// Does its engine still owe an answer?
    pub(super) fn is_calling(&self, what: Errand) -> bool {
        self.call.as_ref().is_some_and(|(errand, call)| *errand == what && !call.is_finished())
    }

    /// Waits for no answer of its engine any more. Was one due?
    pub(super) fn give_up_call(&mut self) -> bool {
        let call = self.call.take().filter(|(_, call)| !call.is_finished());
        if let Some((_, call)) = &call {
            call.abort();
        }
        call.is_some()
    }

    /// Do the workers send requests to it: has it passed its probes too?
    pub(super) fn takes_requests(&self, backend_name: &str, backend: Option<&Backend>) -> bool {
        let id = self.id(backend_name);
        let entry = backend.and_then(|backend| backend.nodes.iter().find(|entry| entry.node.id == id));
        *self.life.phase() == Phase::Serving && entry.is_some_and(|entry| entry.state == NodeState::Serving)
    }

    /// Finds the node that the workers count on. One that drains stays what it is: its address may have another one soon.
    pub(super) fn look_up(&mut self, backend_name: &str, roster: &Roster) {
        if self.node.is_none() || !matches!(self.life.phase(), Phase::Draining { .. }) {
            self.node = roster.find(&self.id(backend_name)).or(self.node.take());
        }
    }

    /// Requests that it has in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.node.as_ref().map_or(0, |node| node.in_flight())
    }

    /// Is it one of ours that serves, and fails its own health check?
    pub(super) fn is_unhealthy(&self) -> bool {
        let unhealthy = self.unfit.is_some_and(|(why, _)| why == Unfit::Unhealthy);
        unhealthy && self.life.is_ours() && *self.life.phase() == Phase::Serving
    }

    /// Has an operator taken it out, or is it unfit?
    pub(super) fn is_withheld(&self, backend_name: &str, backend: Option<&Backend>) -> bool {
        let id = self.id(backend_name);
        let mut nodes = backend.into_iter().flat_map(|backend| &backend.nodes);
        let entry = nodes.find(|entry| entry.node.id == id);
        let taken_out = |entry: &Entry| matches!(entry.state, NodeState::Draining | NodeState::Down);
        *self.life.phase() == Phase::Serving && (self.unfit.is_some() || entry.is_some_and(taken_out))
    }

    /// As the registry names it.
    pub(super) fn id(&self, backend: &str) -> Arc<str> {
        match self.unit.as_ref() {
            Some(Unit { address: Some(address), .. }) => format!("{backend}/{address}").into(),
            Some(unit) => format!("{backend}/{}", unit.id).into(),
            None => format!("{backend}/(new)").into(),
        }
    }
}

/// Rises with each call, over restarts too.
pub(super) fn ticket() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let next = |last: u64| Some(micros.max(last + 1));
    LAST.fetch_update(Relaxed, Relaxed, next).map_or(micros, |last| micros.max(last + 1))
}
