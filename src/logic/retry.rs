//! What is tried again, on which failure, and how much of it: a retry helps one client, and retries by themselves can
//! bring down what was merely slow.
//!
//! The budget counts retries beside requests over the last ten seconds (as Finagle's retry budget does; Envoy's counts
//! concurrent ones, which lets every request be repeated where failures come fast); `shared::budget` does the counting.

use super::http1::exchange::Failure;
use super::http1::request::RequestFacts;
use super::limits::{RETRIES_AT_ONCE_MIN, RETRY_ATTEMPTS_DEFAULT, RETRY_BUDGET_PERMILLE};

/// `retry:` of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first one too. One that never reached a node (its connection was refused) does not count.
    pub attempts: u32,
    /// What is tried again, beside connections that could not be opened.
    pub on: RetryOn,
    /// Retries beside requests, in thousandths.
    pub budget_permille: u32,
}

impl RetryPolicy {
    /// Where the file says nothing: no request is sent twice, and a refused connection is tried elsewhere.
    pub const OFF: Self = Self { attempts: 1, on: RetryOn::NOTHING, budget_permille: RETRY_BUDGET_PERMILLE };
}

impl Default for RetryPolicy {
    /// What `retry: {}` means.
    fn default() -> Self {
        let on = [502, 503, 504].into_iter().fold(RetryOn::NOTHING.with_reset(), RetryOn::with_status);
        Self { attempts: RETRY_ATTEMPTS_DEFAULT, on, budget_permille: RETRY_BUDGET_PERMILLE }
    }
}

/// A set of failures: broken connections, and statuses from 500 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn {
    reset: bool,
    /// One bit a status, from 500.
    statuses: u128,
}

impl RetryOn {
    /// No failure at all.
    pub const NOTHING: Self = Self { reset: false, statuses: 0 };

    /// And connections that break before the first byte of a response.
    #[must_use]
    pub fn with_reset(self) -> Self {
        Self { reset: true, ..self }
    }

    /// And this status; none where it is not from 500 to 599.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { statuses: self.statuses | bit(status), ..self }
    }

    fn has(self, failure: Failure) -> bool {
        match failure {
            Failure::Connect | Failure::ConnectTimeout => true,
            Failure::Broke { .. } => self.reset,
            Failure::ResponseTimeout => self.has_status(504),
            Failure::Status(status) => self.has_status(status),
        }
    }

    /// Is a connection that broke tried again?
    pub fn has_reset(self) -> bool {
        self.reset
    }

    /// Is a response with this status tried again?
    pub fn has_status(self, status: u16) -> bool {
        self.statuses & bit(status) != 0
    }
}

fn bit(status: u16) -> u128 {
    if (500..600).contains(&status) { 1 << (status - 500) } else { 0 }
}

/// What was done for a request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// Attempts that reached a node, the one that has just failed too.
    pub sent: u32,
    /// Attempts whose connection could not be opened.
    pub refused: u32,
    /// How often a stale connection of the pool has led to [`Next::Again`].
    pub stale: u32,
}

/// What to do about a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try a node that was not tried yet. One retry of the budget is to be spent.
    Elsewhere,
    /// Try once more on a new connection: the pooled one may have been closed just as it was used. It costs nothing.
    Again,
    /// Tell the client.
    GiveUp,
}

/// Decides it, the budget apart.
///
/// Nothing of a request was read by a node that refused the connection, so the next one may have it. A request that was
/// sent may be repeated only where that does no harm (RFC 9110, 9.2.2; RFC 9112, 9.3.1), and where all of it is still at
/// hand: `whole` says that the bytes sent so far are kept, and are all that there is.
pub fn after_failure(
    policy: &RetryPolicy,
    failure: Failure,
    request: &RequestFacts,
    whole: bool,
    tries: Tries,
) -> Next {
    let repeatable = whole && request.idempotent;
    match failure {
        Failure::Connect | Failure::ConnectTimeout => Next::Elsewhere,
        Failure::Broke { reused: true } if repeatable && tries.stale == 0 => Next::Again,
        _ if repeatable && policy.on.has(failure) && tries.sent < policy.attempts => Next::Elsewhere,
        _ => Next::GiveUp,
    }
}

/// How many of so many requests may be tried again, whichever of them: `permille` of them, and [`RETRIES_AT_ONCE_MIN`].
pub fn retries_allowed(requests: u64, permille: u32) -> u64 {
    RETRIES_AT_ONCE_MIN + requests * u64::from(permille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: RequestFacts = RequestFacts::GET;

    fn sent(sent: u32) -> Tries {
        Tries { sent, ..Tries::default() }
    }

    #[test]
    fn without_a_policy_only_what_cannot_do_harm_is_repeated() {
        let decide = |failure, facts: &RequestFacts, whole, tries| {
            after_failure(&RetryPolicy::OFF, failure, facts, whole, tries)
        };
        let post = RequestFacts { idempotent: false, ..GET };
        let stale = Failure::Broke { reused: true };
        assert_eq!(decide(stale, &GET, true, sent(1)), Next::Again);
        assert_eq!(decide(stale, &GET, true, Tries { stale: 1, ..sent(1) }), Next::GiveUp);
        assert_eq!(decide(stale, &GET, false, sent(1)), Next::GiveUp);
        assert_eq!(decide(stale, &post, true, sent(1)), Next::GiveUp);
        assert_eq!(decide(Failure::Broke { reused: false }, &GET, true, sent(1)), Next::GiveUp);
        assert_eq!(decide(Failure::Status(503), &GET, true, sent(1)), Next::GiveUp);
        assert_eq!(decide(Failure::Connect, &post, true, sent(3)), Next::Elsewhere);
    }

    #[test]
    fn a_policy_repeats_what_it_names_as_often_as_it_says() {
        let policy = RetryPolicy::default();
        let decide = |failure, tries| after_failure(&policy, failure, &GET, true, tries);
        let broke = Failure::Broke { reused: false };
        for failure in [broke, Failure::Status(502), Failure::Status(503), Failure::ResponseTimeout] {
            assert_eq!(decide(failure, sent(1)), Next::Elsewhere, "{failure:?}");
            assert_eq!(decide(failure, sent(2)), Next::GiveUp, "{failure:?}");
        }
        assert_eq!(decide(Failure::Status(500), sent(1)), Next::GiveUp);
        let post = RequestFacts { idempotent: false, ..GET };
        assert_eq!(after_failure(&policy, broke, &post, true, sent(1)), Next::GiveUp);
        assert_eq!(after_failure(&policy, broke, &GET, false, sent(1)), Next::GiveUp);
    }

    #[test]
    fn statuses_are_a_set() {
        let on = RetryOn::NOTHING.with_status(500).with_status(599).with_status(404).with_status(600);
        let known: Vec<_> = (0..1000).filter(|&status| on.has_status(status)).collect();
        assert_eq!(known, [500, 599]);
    }

    #[test]
    fn a_share_of_the_requests_and_three() {
        assert_eq!([0, 4, 5, 1000].map(|requests| retries_allowed(requests, 200)), [3, 3, 4, 203]);
        assert_eq!(retries_allowed(u64::from(u32::MAX) * 10, 1000), 3 + u64::from(u32::MAX) * 10);
    }
}
