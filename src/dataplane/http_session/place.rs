//! A place on a node for one request: taken where there is one, waited for in the queue where there is none.

use std::rc::Rc;
use std::task::Poll;

use super::Session;
use super::outcome::Exchange;
use super::prepare::Job;
use super::retry::Course;
use crate::dataplane::queue::LocalQueue;
use crate::dataplane::timers::to_ms;
use crate::dataplane::upstream::InFlight;
use crate::dataplane::view::{ELSEWHERE, LocalBackend, Taken};
use crate::logic::fault::Fault;
use crate::logic::limits::TIMER_TICK;

/// Why there is no place.
pub(super) enum NoPlace {
    ClientGone,
    Fault(Fault),
}

impl Session {
    /// A place on a node that the request was not sent to yet, and that node's place in the backend.
    pub(super) async fn take_place(
        &mut self,
        backend: &LocalBackend,
        course: &mut Course<'_>,
        exchange: &mut Exchange,
        job: &mut Job,
    ) -> Result<(u16, InFlight), NoPlace> {
        loop {
            let draw = self.worker().draw();
            match backend.take(&mut job.tie, course.tried(), draw, exchange.began, &self.timer) {
                Taken::Node(at, in_flight) => return Ok((at, in_flight)),
                Taken::Nobody => return Err(refusal(backend, course.last_fault(), exchange)),
                Taken::Busy(queue) => {
                    let waited = self.wait_for_place(backend, &queue, course, exchange, job).await?;
                    if let Some(taken) = waited {
                        return Ok(taken);
                    }
                }
            }
        }
    }

    /// `None`: it came to be a place on a node that was ejected meanwhile, or that has failed this request before.
    async fn wait_for_place(
        &mut self,
        backend: &LocalBackend,
        queue: &Rc<LocalQueue>,
        course: &mut Course<'_>,
        exchange: &mut Exchange,
        job: &mut Job,
    ) -> Result<Option<(u16, InFlight)>, NoPlace> {
        let mut waiting = queue.enter().map_err(|fault| refusal(backend, fault, exchange))?;
        // One may have become free between the look and the entry.
        self.worker().settle(queue);
        self.watch_client(job);
        let timeout = waiting.patience();
        self.expect_within(timeout);
        // However often it waits, it waits for as long as one.
        let entered_us = exchange.elapsed_us();
        let due = *course.queue_due.get_or_insert(self.timer.now() + to_ms(timeout));
        self.timer.bring_forward(due);
        let waited = std::future::poll_fn(|cx| {
            if let Poll::Ready(waited) = waiting.poll(cx) {
                return Poll::Ready(waited.map_err(NoPlace::Fault));
            }
            if job.upload.is_none() && self.poll_client_gone(cx) {
                return Poll::Ready(Err(NoPlace::ClientGone));
            }
            if self.timer.now() >= due {
                return Poll::Ready(Err(NoPlace::Fault(waiting.too_late())));
            }
            Poll::Pending
        })
        .await;
        let too_late = waiting.too_late();
        drop(waiting);
        // The node is not to be blamed for what was waited for before it was asked.
        exchange.asked_us = exchange.elapsed_us();
        exchange.queue_us += exchange.asked_us.saturating_sub(entered_us);
        match waited {
            Ok(node) => {
                let (at, local) = backend.find(node, &self.worker().view());
                if course.tried().contains(&at) {
                    let alone = queue.decline(&local.node);
                    if self.timer.now() >= due {
                        return Err(refusal(backend, too_late, exchange));
                    }
                    return if alone { self.pause(job).await.map(|()| None) } else { Ok(None) };
                }
                if at != ELSEWHERE {
                    backend.placed(&mut job.tie, course.tried(), at);
                }
                let begun = InFlight::on_place(&local, queue, &self.timer, backend.panics());
                Ok(begun.map(|begun| (at, begun)))
            }
            Err(NoPlace::Fault(fault)) => Err(refusal(backend, fault, exchange)),
            Err(NoPlace::ClientGone) => Err(NoPlace::ClientGone),
        }
    }
}

impl Session {
    /// Waits for a moment: for a place on another node.
    async fn pause(&mut self, job: &Job) -> Result<(), NoPlace> {
        let due = self.timer.now() + to_ms(TIMER_TICK);
        self.timer.bring_forward(due);
        std::future::poll_fn(|cx| {
            if job.upload.is_none() && self.poll_client_gone(cx) {
                return Poll::Ready(Err(NoPlace::ClientGone));
            }
            if self.timer.now() >= due { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }
}

/// The client is told when to come again, where that is known.
fn refusal(backend: &LocalBackend, fault: Fault, exchange: &mut Exchange) -> NoPlace {
    exchange.retry_after_s = backend.retry_after_s(fault);
    NoPlace::Fault(fault)
}
