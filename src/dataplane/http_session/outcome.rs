//! What is remembered of one exchange, and counted and logged when it ends.

use std::rc::Rc;
use std::time::Instant;

use super::Session;
use crate::dataplane::access::{Draft, Ended};
use crate::dataplane::stats::Timing;
use crate::dataplane::upstream::LocalNode;
use crate::dataplane::view::View;
use crate::logic::access::{End, Hedged};
use crate::logic::fault::Fault;
use crate::logic::http1::request::{RequestFacts, Version};
use crate::logic::latency::Sample;
use crate::logic::route::{Action, RouteIndex};
use crate::shared::clock;
use crate::shared::route_gate::RoutePlace;

/// One request and its response.
pub(super) struct Exchange {
    pub(super) view: Rc<View>,
    pub(super) route: Option<RouteIndex>,
    /// `None` for a request that could not be read.
    pub(super) facts: Option<RequestFacts>,
    pub(super) draft: Option<Draft>,
    pub(super) began: Instant,
    pub(super) node: Option<Rc<LocalNode>>,
    /// Why the balancer answered by itself, where that was a refusal.
    pub(super) fault: Option<Fault>,
    /// The status that the client got; 0 while it got none.
    pub(super) status: u16,
    /// Bytes of the head as they were received.
    pub(super) head_in: u64,
    /// Bytes of the body, without its framing.
    pub(super) body_in: u64,
    /// Bytes written to the client, heads and framing too.
    pub(super) written: u64,
    /// Bytes of the response's body, without its framing.
    pub(super) body_out: u64,
    pub(super) retries: u32,
    pub(super) hedged: Hedged,
    /// Its place among the requests of its route, where those are counted.
    pub(super) place: Option<RoutePlace>,
    /// What a refusal says of when to come again.
    pub(super) retry_after_s: Option<u32>,
    /// Microseconds that it waited for a node to have room.
    pub(super) queue_us: u64,
    pub(super) connect_us: u64,
    pub(super) first_byte_us: u64,
    /// From when on it was the node that was waited for: the end of an upload, or of the attempt before.
    pub(super) asked_us: u64,
    /// When the first node was asked, where a second one may be asked too.
    pub(super) first_asked_us: Option<u64>,
}

impl Exchange {
    pub(super) fn new(view: Rc<View>, began: Instant) -> Self {
        Self {
            view,
            route: None,
            facts: None,
            draft: None,
            began,
            node: None,
            fault: None,
            status: 0,
            head_in: 0,
            body_in: 0,
            written: 0,
            body_out: 0,
            retries: 0,
            hedged: Hedged::No,
            place: None,
            retry_after_s: None,
            queue_us: 0,
            connect_us: 0,
            first_byte_us: 0,
            asked_us: 0,
            first_asked_us: None,
        }
    }

    pub(super) fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counts it, records how long it took, writes its line, and gives its place among those of its route back.
    pub(super) fn end(&mut self, session: &Session, end: End) {
        let worker = session.worker();
        let listener = session.admission.listener;
        let total_us = self.elapsed_us();
        let timing = Timing {
            queue_us: self.queue_us,
            connect_us: self.connect_us,
            first_byte_us: self.first_byte_us,
            total_us,
        };
        let key = self.view.series(&worker.stats, listener, self.route);
        worker.stats.request(key, self.status, timing);
        if let Some(node) = &self.node {
            node.record(timing);
            self.sample(node, total_us);
        }
        self.pace();
        worker.stats.total(|totals| {
            totals.bytes_in += self.head_in + self.body_in;
            totals.bytes_out += self.written;
            totals.retries += u64::from(self.retries);
            totals.hedges += u64::from(self.hedged != Hedged::No);
            totals.hedges_won += u64::from(self.hedged == Hedged::Won);
        });
        if let Some(draft) = self.draft.take() {
            self.log(session, draft, end, timing);
        }
        self.place = None;
    }

    /// Tells the node's estimate how long it took to answer. Failures have told theirs; a client that leaves before the
    /// answer tells nothing.
    fn sample(&self, node: &LocalNode, total_us: u64) {
        if node.measured.get() && self.first_byte_us > 0 && self.status < 500 {
            let took = Sample::Answered(self.first_byte_us.saturating_sub(self.asked_us));
            node.node.sample(took, clock::micros(self.began).saturating_add(total_us));
        }
    }

    /// Tells what requests are hedged by how long it took until a node began to answer since the first one was asked.
    fn pace(&self) {
        let Some(first_asked_us) = self.first_asked_us else { return };
        let answered = self.first_byte_us > 0 && self.status < 500 && self.retries == 0;
        let action = self.route.map(|index| &self.view.snapshot.routes.get(index).action);
        if let Some(Action::Forward { backend, .. }) = action
            && answered
            && let Some(pace) = self.view.backend(*backend).pace()
        {
            let took_us = self.first_byte_us.saturating_sub(first_asked_us);
            pace.borrow_mut().answered(took_us, clock::millis(self.began));
        }
    }

    fn log(&self, session: &Session, draft: Draft, end: End, timing: Timing) {
        let snapshot = &self.view.snapshot;
        let route = self.route.map(|index| snapshot.routes.get(index));
        let backend = route.and_then(|route| match route.action {
            Action::Forward { backend, .. } => Some(backend),
            _ => None,
        });
        let listener = snapshot.listeners.get(usize::from(session.admission.listener));
        draft.end(
            session.worker(),
            &Ended {
                client: session.peer.name(),
                listener: listener.map_or("", |name| name),
                route: route.map_or("", |route| &route.name),
                backend: backend.map_or("", |backend| self.view.backend(backend).name()),
                node: self.node.as_ref().map_or("", |node| &node.node.id),
                protocol: match self.facts.map(|facts| facts.version) {
                    Some(Version::Http11) => "HTTP/1.1",
                    Some(Version::Http10) => "HTTP/1.0",
                    None => "",
                },
                status: self.status,
                bytes_in: self.body_in,
                bytes_out: self.body_out,
                retries: self.retries,
                hedged: self.hedged,
                timing,
                end,
            },
        );
    }
}
