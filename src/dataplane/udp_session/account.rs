//! What is remembered of one session, and counted and logged when it ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::dataplane::access::{Draft, Ended};
use crate::dataplane::stats::{Labels, Timing};
use crate::dataplane::upstream::LocalNode;
use crate::dataplane::worker::Worker;
use crate::logic::access::{End, Hedged};
use crate::logic::latency::Sample;
use crate::logic::udp::sessions::Client;
use crate::shared::clock;

/// The status of a session that had a node, as for tcp: nobody knows whether an answer was to come.
const SERVED: u16 = 200;

/// One session, or a datagram that found no node for one.
pub(super) struct Account {
    pub(super) listener: Arc<str>,
    pub(super) backend: Arc<str>,
    pub(super) client: Client,
    pub(super) began: Instant,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) retries: u32,
    /// From the first datagram to the node's first one; 0 while there is none.
    pub(super) first_byte_us: u64,
}

impl Account {
    pub(super) fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The node has answered for the first time.
    pub(super) fn answered(&mut self, node: &LocalNode) {
        self.first_byte_us = self.elapsed_us().max(1);
        if node.measured.get() {
            let now_us = clock::micros(self.began).saturating_add(self.first_byte_us);
            node.node.sample(Sample::Answered(self.first_byte_us), now_us);
        }
    }

    pub(super) fn close(self, worker: &Worker, node: Option<&Rc<LocalNode>>, end: End) {
        let timing = Timing {
            queue_us: 0,
            connect_us: 0,
            first_byte_us: self.first_byte_us,
            total_us: self.elapsed_us(),
        };
        let status = match end {
            End::Fault(fault) => fault.status(),
            _ => SERVED,
        };
        let labels = Labels {
            listener: Arc::clone(&self.listener),
            route: "".into(),
            backend: Arc::clone(&self.backend),
        };
        worker.stats.request(worker.stats.series(labels), status, timing);
        worker.stats.total(|totals| totals.retries += u64::from(self.retries));
        if let Some(node) = node {
            node.record(timing);
        }
        if worker.view().snapshot.access_log.is_some() || worker.log.is_watched() {
            self.log(worker, node, (status, timing, end));
        }
    }

    fn log(&self, worker: &Worker, node: Option<&Rc<LocalNode>>, (status, timing, end): (u16, Timing, End)) {
        Draft::unread(&worker.log).end(
            worker,
            &Ended {
                client: &self.client.address.ip().to_canonical().to_string(),
                listener: &self.listener,
                route: "",
                backend: &self.backend,
                node: node.map_or("", |node| &node.node.id),
                protocol: "UDP",
                status,
                bytes_in: self.bytes_in,
                bytes_out: self.bytes_out,
                retries: self.retries,
                hedged: Hedged::No,
                timing,
                end,
            },
        );
    }
}
