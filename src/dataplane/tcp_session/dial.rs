//! A node for a connection: picked as for a request, waited for where all are full, another one where one refuses.

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::attempts::Attempts;
use super::{Link, Session};
use crate::dataplane::buffers::Buf;
use crate::dataplane::queue::LocalQueue;
use crate::dataplane::socket::Socket;
use crate::dataplane::timers::to_ms;
use crate::dataplane::upstream::{Connection, InFlight, LocalNode, connect};
use crate::dataplane::view::{LocalBackend, Taken, Tie};
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::limits::TIMER_TICK;
use crate::logic::proxy_protocol::{self, Version};
use crate::logic::route::BackendIndex;

impl Session {
    /// A connection to a node of this backend; or how it ended without one.
    pub(super) async fn dial(&mut self, backend: BackendIndex) -> Result<Link, End> {
        let view = self.worker().view();
        let backend = view.backend(backend);
        let timeout = view.snapshot.timeouts.connect;
        let mut attempts = Attempts::begin(backend, self.account.began);
        let mut tie = backend.tie_client(self.account.client);
        loop {
            let (at, in_flight) = self.take_place(backend, &mut attempts, &mut tie).await?;
            let node = Rc::clone(in_flight.node());
            self.account.node = Some(Rc::clone(&node));
            match self.open(&node, timeout).await {
                Ok(Connection { mut socket, connect_us, .. }) => {
                    if let Some(version) = backend.proxy_header() {
                        self.announce(version, &mut socket);
                    }
                    node.record_connect(connect_us);
                    attempts.connected();
                    in_flight.connected();
                    self.account.connected(&node, connect_us);
                    in_flight.responded(200);
                    return Ok(Link { socket, in_flight });
                }
                Err(End::Fault(fault)) => {
                    in_flight.failed();
                    let goes_on = attempts.refused(at, fault);
                    in_flight.refused();
                    if !goes_on {
                        return Err(End::Fault(fault));
                    }
                    self.account.retries += 1;
                }
                Err(end) => return Err(end),
            }
        }
    }

    /// Tells the node whose connection it is, before anything else.
    fn announce(&mut self, version: Version, node: &mut Socket) {
        let mut header = Vec::new();
        proxy_protocol::write(version, self.admission.ends(&self.client), &mut header);
        // One write for both, where the client was faster than the node.
        if !self.up.prepend(&header) {
            node.start_write(Buf::holding(&header));
        }
    }

    async fn open(&mut self, node: &LocalNode, timeout: Duration) -> Result<Connection, End> {
        let due = self.timer.now() + to_ms(timeout);
        self.timer.set_at(due);
        let mut connecting = pin!(connect(&node.node.address));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(opened) = connecting.as_mut().poll(cx) {
                return Poll::Ready(opened.map_err(|_| End::Fault(Fault::ConnectFailed)));
            }
            if self.poll_client_gone(cx) {
                return Poll::Ready(Err(End::ClientGone));
            }
            // Beside the time, it passes where the node is taken down.
            if self.timer.expired() {
                return Poll::Ready(Err(End::Fault(Fault::ConnectTimeout)));
            }
            Poll::Pending
        })
        .await
    }

    /// A place on a node that has not refused this connection yet, and that node's place in the backend.
    async fn take_place(
        &mut self,
        backend: &LocalBackend,
        attempts: &mut Attempts<'_>,
        tie: &mut Tie,
    ) -> Result<(u16, InFlight), End> {
        loop {
            let draw = self.worker().draw();
            match backend.take(tie, attempts.tried(), draw, self.account.began, &self.timer) {
                Taken::Node(at, in_flight) => return Ok((at, in_flight)),
                Taken::Nobody => return Err(End::Fault(attempts.last_fault())),
                Taken::Busy(queue) => {
                    if let Some(taken) = self.wait_for_place(backend, &queue, attempts).await? {
                        return Ok(taken);
                    }
                }
            }
        }
    }

    /// `None`: it came to be a place on a node that was ejected meanwhile, or that has refused this connection before.
    async fn wait_for_place(
        &mut self,
        backend: &LocalBackend,
        queue: &Rc<LocalQueue>,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<(u16, InFlight)>, End> {
        let mut waiting = queue.enter().map_err(End::Fault)?;
        // One may have become free between the look and the entry.
        self.worker().settle(queue);
        let entered_us = self.account.elapsed_us();
        // However often it waits, it waits for as long as one.
        let timeout = to_ms(waiting.patience());
        let due = *attempts.queue_due.get_or_insert(self.timer.now() + timeout);
        self.timer.set_at(due);
        let waited = std::future::poll_fn(|cx| {
            if let Poll::Ready(waited) = waiting.poll(cx) {
                return Poll::Ready(waited.map_err(End::Fault));
            }
            if self.poll_client_gone(cx) {
                return Poll::Ready(Err(End::ClientGone));
            }
            if self.timer.now() >= due {
                return Poll::Ready(Err(End::Fault(waiting.too_late())));
            }
            Poll::Pending
        })
        .await;
        let too_late = waiting.too_late();
        drop(waiting);
        self.account.queue_us += self.account.elapsed_us().saturating_sub(entered_us);
        let node = waited?;
        let (at, local) = backend.find(node, &self.worker().view());
        if attempts.tried().contains(&at) {
            let alone = queue.decline(&local.node);
            if self.timer.now() >= due {
                return Err(End::Fault(too_late));
            }
            return if alone { self.pause().await.map(|()| None) } else { Ok(None) };
        }
        Ok(InFlight::on_place(&local, queue, &self.timer, backend.panics()).map(|begun| (at, begun)))
    }

    /// Waits for a moment: for a place on another node.
    async fn pause(&mut self) -> Result<(), End> {
        let due = self.timer.now() + to_ms(TIMER_TICK);
        self.timer.set_at(due);
        std::future::poll_fn(|cx| {
            if self.poll_client_gone(cx) {
                return Poll::Ready(Err(End::ClientGone));
            }
            if self.timer.now() >= due { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Reads what the client sends meanwhile. One that has closed its sending side may still read: only a reset tells
    /// that nobody is there.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        self.up.poll_source(cx, &mut self.client).is_err()
    }
}
