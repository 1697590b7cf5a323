//! The attempts of one request: which nodes have had it, what it may still cost, and what comes next.

use std::time::Instant;

use crate::dataplane::timers::Ms;
use crate::dataplane::view::LocalBackend;
use crate::logic::fault::Fault;
use crate::logic::http1::exchange::Failure;
use crate::logic::limits::{CONNECT_ATTEMPTS_MAX, RETRY_ATTEMPTS_CEILING};
use crate::logic::retry::{Next, Tries, after_failure};
use crate::shared::clock;

use super::prepare::Job;

const TRIED_MAX: usize = CONNECT_ATTEMPTS_MAX + RETRY_ATTEMPTS_CEILING as usize;

/// See the module.
pub(super) struct Course<'a> {
    backend: &'a LocalBackend,
    tried: [u16; TRIED_MAX],
    tried_count: usize,
    tries: Tries,
    last: Option<Failure>,
    /// Retries that the budget gets back if the next node takes the connection.
    borrowed: u32,
    /// When it has waited in the queue for long enough.
    pub(super) queue_due: Option<Ms>,
}

impl<'a> Course<'a> {
    /// A request for this backend has come.
    pub(super) fn begin(backend: &'a LocalBackend, began: Instant) -> Self {
        backend.budget().request(clock::millis(began));
        Self {
            backend,
            tried: [0; TRIED_MAX],
            tried_count: 0,
            tries: Tries::default(),
            last: None,
            borrowed: 0,
            queue_due: None,
        }
    }

    /// Nodes that have failed it.
    pub(super) fn tried(&self) -> &[u16] {
        &self.tried[..self.tried_count]
    }

    /// One of two nodes that were asked at once has failed it.
    pub(super) fn has_tried(&mut self, at: u16) {
        if self.tried_count + 1 < TRIED_MAX {
            self.tried[self.tried_count] = at;
            self.tried_count += 1;
        }
    }

    /// What the client is told where no node is left.
    pub(super) fn last_fault(&self) -> Fault {
        self.last.map_or(Fault::NoHealthyNode, Failure::fault)
    }

    /// Must the next attempt be on a new connection?
    pub(super) fn wants_fresh(&self) -> bool {
        self.tries.stale > 0
    }

    /// A node has taken the connection: the refusals before it have cost nobody anything.
    pub(super) fn connected(&mut self) {
        self.tries.sent += 1;
        for _ in 0..std::mem::take(&mut self.borrowed) {
            self.backend.budget().refund(clock::now_ms());
        }
    }

    /// Is a response with this status given up for one of another node? Then that has been decided, and paid for.
    pub(super) fn prefers_another(&mut self, status: u16, at: u16, job: &Job) -> bool {
        self.backend.retry().on.has_status(status)
            && self.after(Failure::Status(status), at, job) == Next::Elsewhere
    }

    /// What comes after the attempt at node `at` has failed.
    pub(super) fn after(&mut self, failure: Failure, at: u16, job: &Job) -> Next {
        let policy = self.backend.retry();
        let refused = matches!(failure, Failure::Connect | Failure::ConnectTimeout);
        let next = after_failure(policy, failure, &job.facts, job.is_whole(), self.tries);
        match next {
            // The node may never have seen it.
            Next::Again => {
                self.tries = Tries { stale: self.tries.stale + 1, sent: self.tries.sent - 1, ..self.tries }
            }
            Next::Elsewhere => {
                self.tried[self.tried_count] = at;
                if self.tried_count + 1 == TRIED_MAX
                    || !self.backend.has_other(&self.tried[..=self.tried_count])
                    || (refused && self.tries.refused as usize + 1 >= CONNECT_ATTEMPTS_MAX)
                    || !self.backend.budget().spend(policy.budget_permille, clock::now_ms())
                {
                    return Next::GiveUp;
                }
                self.tried_count += 1;
                if refused {
                    self.tries.refused += 1;
                    self.borrowed += 1;
                }
            }
            Next::GiveUp => {}
        }
        self.last = Some(failure);
        next
    }
}
