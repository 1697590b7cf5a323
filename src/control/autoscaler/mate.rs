//! One node of a fleet: its unit, its life, and how others name it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::{Call, FleetNode};
use crate::control::fleet::Unit;
use crate::logic::scale::lifecycle::{Lifecycle, Phase};
use crate::logic::scale::processor::Processor;
use crate::shared::node::{Node, NodeAddress, NodeState, Origin};
use crate::shared::snapshot::Backend;

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
            Phase::Warming => (Call::Warming, "it runs, and does not listen yet"),
            Phase::Serving => (Call::Serving, "it listens"),
            Phase::Draining { why, .. } => (Call::Draining, why.words()),
            _ => return None,
        };
        let origin = if unit.ours { origin } else { Origin::Label };
        let unit_id = Arc::clone(&unit.id.0);
        Some(FleetNode { address, origin, weight: unit.weight, unit: unit_id, call, reason: reason.into() })
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

    /// The node that the workers count on.
    pub(super) fn node(&self, backend_name: &str, backend: Option<&Backend>) -> Option<Arc<Node>> {
        let id = self.id(backend_name);
        let entry = backend?.nodes.iter().find(|entry| entry.node.id == id)?;
        Some(Arc::clone(&entry.node))
    }

    /// As the registry names it.
    pub(super) fn id(&self, backend: &str) -> Arc<str> {
        match self.unit.as_ref().and_then(|unit| unit.address) {
            Some(address) => format!("{backend}/{address}").into(),
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
