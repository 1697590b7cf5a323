//! Which nodes have refused a connection, and whether another one is asked.

use std::time::Instant;

use crate::dataplane::timers::Ms;
use crate::dataplane::view::LocalBackend;
use crate::logic::fault::Fault;
use crate::logic::limits::CONNECT_ATTEMPTS_MAX;
use crate::shared::clock;

/// The attempts of one connection. A node that refused it has seen nothing of it, so the next one may have it whole;
/// once a node took it, it is with that node.
pub(super) struct Attempts<'a> {
    backend: &'a LocalBackend,
    refused: [u16; CONNECT_ATTEMPTS_MAX],
    count: usize,
    last: Option<Fault>,
    /// When it has waited in the queue for long enough.
    pub(super) queue_due: Option<Ms>,
}

impl<'a> Attempts<'a> {
    pub(super) fn begin(backend: &'a LocalBackend, began: Instant) -> Self {
        backend.budget().request(clock::millis(began));
        Self { backend, refused: [0; CONNECT_ATTEMPTS_MAX], count: 0, last: None, queue_due: None }
    }

    /// Nodes that have refused it.
    pub(super) fn tried(&self) -> &[u16] {
        &self.refused[..self.count]
    }

    /// What has become of it where no node is left.
    pub(super) fn last_fault(&self) -> Fault {
        self.last.unwrap_or(Fault::NoHealthyNode)
    }

    /// The node in this place has refused it. Is another one asked? Then one retry of the budget is spent.
    pub(super) fn refused(&mut self, at: u16, fault: Fault) -> bool {
        self.last = Some(fault);
        self.refused[self.count] = at;
        self.count += 1;
        self.count < CONNECT_ATTEMPTS_MAX
            && self.backend.has_other(self.tried())
            && self.backend.budget().spend(self.backend.retry().budget_permille, clock::now_ms())
    }

    /// A node has taken it: the refusals before it have cost nobody anything.
    pub(super) fn connected(&self) {
        (0..self.count).for_each(|_| self.backend.budget().refund(clock::now_ms()));
    }
}
