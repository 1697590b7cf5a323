//! Before a route: is this request within what it lets through?

use super::Session;
use super::outcome::Exchange;
use super::prepare::Composed;
use crate::logic::fault::Fault;
use crate::logic::http1::answer::{Answering, write_fault};
use crate::logic::http1::request::Request;
use crate::logic::rate_limit::{Verdict, retry_after_s};
use crate::logic::route::{Action, RouteIndex};

/// A request that is not let through.
pub(super) struct Refusal {
    fault: Fault,
    retry_after_s: u32,
}

impl Session {
    /// Charges the request to the limits of its route. One branch where it has none.
    pub(super) fn pass_gate(
        &self,
        exchange: &mut Exchange,
        route: RouteIndex,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let snapshot = &exchange.view.snapshot;
        let Some(gate) = snapshot.gates.get(usize::from(route.0)).and_then(Option::as_ref) else {
            return Ok(());
        };
        let client = || self.client_address(&exchange.view, request);
        let verdict = gate.charge(client, |name| request.head.field(name), exchange.began);
        if let Verdict::Refuse { wait_ns } = verdict {
            self.worker().stats.total(|totals| totals.rate_limited += 1);
            return Err(Refusal { fault: Fault::RateLimited, retry_after_s: retry_after_s(wait_ns) });
        }
        let forwards = matches!(snapshot.routes.get(route).action, Action::Forward { .. });
        if forwards {
            exchange.place =
                gate.enter().map_err(|_| Refusal { fault: Fault::RouteFull, retry_after_s: 1 })?;
        }
        Ok(())
    }

    pub(super) fn compose_refusal(
        &self,
        Refusal { fault, retry_after_s }: Refusal,
        request: &Request<'_>,
        after: usize,
        out: &mut Vec<u8>,
    ) -> Composed {
        let keep_alive = self.may_go_on(&request.facts, after);
        self.with_answering(&request.facts, keep_alive, |answering| {
            let answering = Answering { retry_after_s: Some(retry_after_s), ..*answering };
            write_fault(out, fault, None, &answering);
        });
        Composed::Response { status: fault.status(), keep_alive, fault: Some(fault) }
    }
}
