//! What is remembered of one connection, and counted and logged when it ends.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dataplane::access::{Draft, Ended};
use crate::dataplane::socket::Socket;
use crate::dataplane::stats::{Labels, Timing};
use crate::dataplane::upstream::LocalNode;
use crate::dataplane::worker::{Admission, Worker};
use crate::logic::access::{End, Hedged};
use crate::logic::latency::Sample;
use crate::shared::clock;

/// The status of a connection that got a node: what nginx calls it in its stream module, so that the counters of requests
/// and their alarms hold for connections too. One that got none has that of its fault.
const SERVED: u16 = 200;

/// One connection. Names and no view: it may live for days, and a view holds every backend of its time.
pub(super) struct Account {
    listener: Arc<str>,
    pub(super) backend: Arc<str>,
    /// The pattern of the name that it asked for.
    pub(super) route: Option<Arc<str>>,
    /// `None` for a unix socket.
    pub(super) client: Option<IpAddr>,
    pub(super) began: Instant,
    /// The last node that was tried.
    pub(super) node: Option<Rc<LocalNode>>,
    /// Did that one take it?
    pub(super) served: bool,
    pub(super) retries: u32,
    /// Microseconds that it waited for a node to have room.
    pub(super) queue_us: u64,
    pub(super) connect_us: u64,
    /// From the first moment to the node's first byte; 0 while there is none.
    pub(super) first_byte_us: u64,
}

impl Account {
    pub(super) fn open(client: &Socket, admission: &Admission) -> Self {
        let view = admission.worker.view();
        let listener = view.snapshot.listeners.get(usize::from(admission.listener)).cloned();
        Self {
            listener: listener.unwrap_or_else(|| "".into()),
            backend: "".into(),
            route: None,
            client: admission.client_address(client).map(|address| address.ip().to_canonical()),
            began: Instant::now(),
            node: None,
            served: false,
            retries: 0,
            queue_us: 0,
            connect_us: 0,
            first_byte_us: 0,
        }
    }

    pub(super) fn elapsed_us(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// A node has taken the connection. How long that took is what latency strategies go by: when its first byte comes
    /// may be the client's doing.
    pub(super) fn connected(&mut self, node: &LocalNode, connect_us: u64) {
        self.served = true;
        self.connect_us = connect_us;
        if node.measured.get() {
            let now_us = clock::micros(self.began).saturating_add(self.elapsed_us());
            node.node.sample(Sample::Answered(connect_us), now_us);
        }
    }

    /// `bytes`: from the client, and to it.
    pub(super) fn close(self, worker: &Worker, bytes: (u64, u64), end: End) {
        let timing = Timing {
            queue_us: self.queue_us,
            connect_us: self.connect_us,
            first_byte_us: self.first_byte_us,
            total_us: self.elapsed_us(),
        };
        let status = match end {
            End::Fault(fault) => fault.status(),
            _ if self.served => SERVED,
            _ => 0,
        };
        let labels = Labels {
            listener: Arc::clone(&self.listener),
            route: self.route.clone().unwrap_or_else(|| "".into()),
            backend: Arc::clone(&self.backend),
        };
        worker.stats.request(worker.stats.series(labels), status, timing);
        worker.stats.total(|totals| totals.retries += u64::from(self.retries));
        if let Some(node) = &self.node {
            node.record(timing);
        }
        if worker.view().snapshot.access_log.is_some() || worker.log.is_watched() {
            self.log(worker, bytes, (status, timing, end));
        }
    }

    fn log(&self, worker: &Worker, bytes: (u64, u64), (status, timing, end): (u16, Timing, End)) {
        let client = self.client.map_or_else(|| "unix".to_owned(), |client| client.to_string());
        Draft::unread(&worker.log).end(
            worker,
            &Ended {
                client: &client,
                listener: &self.listener,
                route: self.route.as_deref().unwrap_or_default(),
                backend: &self.backend,
                node: self.node.as_ref().map_or("", |node| &node.node.id),
                protocol: "TCP",
                status,
                bytes_in: bytes.0,
                bytes_out: bytes.1,
                retries: self.retries,
                hedged: Hedged::No,
                timing,
                end,
            },
        );
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
