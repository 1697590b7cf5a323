//! Answers that the balancer makes itself, and the end of a connection after one.

use std::task::Poll;
use std::time::{Duration, Instant};

use super::outcome::Exchange;
use super::{Input, Session};
use crate::dataplane::access::Draft;
use crate::dataplane::buffers::{Buf, Size};
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::http1::answer::{Answering, write_fault};
use crate::logic::limits::{LINGER, LINGER_BYTES_MAX};

impl Exchange {
    /// This is the whole response.
    fn composed(&mut self, response: &Buf) {
        self.written = response.len() as u64;
        let head = memchr::memmem::find(response.filled(), b"\r\n\r\n").map_or(0, |at| at + 4);
        self.body_out = (response.len() - head) as u64;
    }
}

impl Session {
    /// Sends a composed response. False where the connection is over.
    pub(super) async fn answer(&mut self, exchange: &mut Exchange, response: Buf, keep_alive: bool) -> bool {
        exchange.composed(&response);
        let sent = self.send(response).await;
        if !sent {
            exchange.end(self, End::ClientGone);
            return false;
        }
        let end = exchange.fault.map_or(End::Complete, End::Fault);
        exchange.end(self, end);
        if !keep_alive {
            self.linger().await;
        }
        keep_alive
    }

    /// Answers what is no request, and lets the connection end.
    pub(super) async fn refuse(mut self, fault: Fault) {
        let worker = std::rc::Rc::clone(self.worker());
        let mut exchange = Exchange::new(worker.view(), Instant::now());
        exchange.draft = exchange.view.snapshot.access_log.map(|_| Draft::unread(&worker.log));
        exchange.status = fault.status();
        let response = worker.with_scratch(|out| {
            self.compose_unread(fault, out);
            Buf::holding(out)
        });
        exchange.composed(&response);
        let sent = self.send(response).await;
        exchange.end(&self, if sent { End::Fault(fault) } else { End::ClientGone });
        self.linger().await;
    }

    /// Answers a request that no node could. False where the connection is over.
    pub(super) async fn fail(&mut self, exchange: &mut Exchange, fault: Fault, clean: bool) -> bool {
        let Some(facts) = exchange.facts else { return false };
        let keep_alive = clean && facts.keep_alive && !fault.closes() && !self.worker().is_draining();
        let response = self.worker().with_scratch(|out| {
            self.with_answering(&facts, keep_alive, |answering| {
                let answering = Answering { retry_after_s: exchange.retry_after_s, ..*answering };
                write_fault(out, fault, None, &answering);
            });
            Buf::holding(out)
        });
        exchange.status = fault.status();
        exchange.composed(&response);
        let sent = self.send(response).await;
        exchange.end(self, if sent { End::Fault(fault) } else { End::ClientGone });
        if sent && !keep_alive {
            self.linger().await;
        }
        sent && keep_alive
    }

    /// Sends all of `buf` to the client. False where it left or does not read.
    pub(super) async fn send(&mut self, buf: Buf) -> bool {
        let timeout = self.worker().view().snapshot.timeouts.body;
        if !self.settle(timeout).await {
            return false;
        }
        self.client.start_write(buf);
        self.settle(timeout).await
    }

    /// Waits for the end of the write that is under way, if there is one. False where the client left or does not read.
    pub(super) async fn settle(&mut self, timeout: Duration) -> bool {
        if !self.client.is_writing() {
            return true;
        }
        if let Poll::Ready((result, _)) = self.client.glance_at_write() {
            return result.is_ok();
        }
        self.expect_taken(timeout);
        std::future::poll_fn(|cx| match self.client.poll_write(cx) {
            Poll::Ready((result, _)) => Poll::Ready(result.is_ok()),
            Poll::Pending if self.is_too_late(timeout) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Says goodbye, and reads what is still on its way for a moment: closing on unread bytes sends a reset, which can
    /// take the answer with it before the client has read it (RFC 9112, 9.6).
    pub(super) async fn linger(&mut self) {
        self.client.shutdown_write();
        self.timer.set(LINGER);
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            if !self.client.is_reading() {
                if matches!(self.input, Input::Ended) {
                    return;
                }
                self.client.start_read(Buf::new(Size::Small));
            }
            let (client, timer) = (&mut self.client, &self.timer);
            let read = std::future::poll_fn(|cx| match client.poll_read(cx) {
                Poll::Ready((Ok(count), _)) => Poll::Ready(count),
                Poll::Ready((Err(_), _)) => Poll::Ready(0),
                Poll::Pending if timer.expired() => Poll::Ready(0),
                Poll::Pending => Poll::Pending,
            });
            match read.await {
                0 => return,
                count => left = left.saturating_sub(count),
            }
        }
    }
}
