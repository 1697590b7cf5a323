//! A second node for a request that the first one keeps waiting: see `logic::hedge` for when.
//!
//! ```text
//!   off <--already tried, or never-- armed --time--> out --the first node begins to answer--> off, the second is let go
//!                                                     |
//!                                                     +--the second one does--> off, and it takes the first one's place
//! ```

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Session;
use super::forward::Attempt;
use super::outcome::Exchange;
use super::prepare::Job;
use crate::dataplane::buffers::Buf;
use crate::dataplane::upstream::{Connection, InFlight, LocalNode, connect};
use crate::dataplane::view::{LocalBackend, Taken, Tie};
use crate::logic::access::Hedged;
use crate::logic::hedge::{may_be_hedged, wins};
use crate::logic::http1::exchange::Failure;
use crate::logic::latency::Sample;
use crate::shared::clock;

/// Where a request stands with its second node.
pub(super) enum Hedge {
    /// It has none.
    Off,
    /// It gets one when this time has passed.
    Armed(Pin<Box<monoio::time::Sleep>>),
    /// It is on both.
    Out(Box<Second>),
}

/// A request's second node.
pub(super) struct Second {
    at: u16,
    tie: Tie,
    node: Rc<LocalNode>,
    /// `None` where the first one has failed meanwhile: then this one is all that there is, and the attempt's own.
    in_flight: Option<InFlight>,
    link: Link,
    /// When it was asked, on the exchange's scale.
    asked_us: u64,
}

enum Link {
    Opening(Opening),
    Open(Connection),
    /// Nothing is to be expected of it.
    Gone,
}

struct Opening {
    connecting: Pin<Box<dyn Future<Output = io::Result<Connection>>>>,
    request: Buf,
}

/// What has happened.
pub(super) enum News {
    /// The first node has had its time.
    Due,
    /// The second node has begun to answer.
    Answered(Buf),
    /// The second node has failed, which is told already unless it is all that there was.
    Over(Failure),
}

impl Hedge {
    /// Of a request that is about to be sent to its first node.
    pub(super) fn arm(backend: &LocalBackend, job: &Job, exchange: &mut Exchange) -> Self {
        let Some(pace) = backend.pace() else { return Self::Off };
        if job.upload.is_some() || !may_be_hedged(&job.facts) {
            return Self::Off;
        }
        exchange.first_asked_us = Some(exchange.elapsed_us());
        let after_us = pace.borrow_mut().after_us(clock::millis(exchange.began));
        let sleep = |after_us| Self::Armed(Box::pin(monoio::time::sleep(Duration::from_micros(after_us))));
        after_us.map_or(Self::Off, sleep)
    }

    /// The first node answers: the second one, if there is one, is let go. Its connection closes, and its place is free.
    pub(super) fn end(&mut self) {
        *self = Self::Off;
    }

    /// Is the second node all that there is?
    pub(super) fn is_alone(&self) -> bool {
        matches!(self, Self::Out(second) if second.in_flight.is_none())
    }

    /// Was the second node taken down by an operator, while there is a first one?
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Self::Out(second) if second.in_flight.is_some() && second.node.cut.get())
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        match self {
            Self::Off => Poll::Pending,
            Self::Armed(sleep) => {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                *self = Self::Off;
                Poll::Ready(News::Due)
            }
            Self::Out(second) => second.poll(cx),
        }
    }
}

impl Second {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        loop {
            match &mut self.link {
                Link::Gone => return Poll::Pending,
                Link::Opening(opening) => {
                    let Poll::Ready(opened) = opening.connecting.as_mut().poll(cx) else {
                        return Poll::Pending;
                    };
                    let request = std::mem::replace(&mut opening.request, Buf::holding(b""));
                    self.opened(opened, request);
                }
                Link::Open(connection) => {
                    // Its end is of no interest: a node that takes no more is seen when it is read from.
                    if connection.socket.is_writing() {
                        let _ = connection.socket.glance_at_write();
                    }
                    let Poll::Ready((read, buf)) = connection.socket.poll_read(cx) else {
                        return Poll::Pending;
                    };
                    let reused = connection.reused;
                    return Poll::Ready(self.read(read, buf, reused));
                }
            }
            if matches!(self.link, Link::Gone) {
                return Poll::Ready(News::Over(Failure::Connect));
            }
        }
    }

    fn opened(&mut self, opened: io::Result<Connection>, request: Buf) {
        self.link = match opened {
            Ok(mut connection) => {
                self.node.record_connect(connection.connect_us);
                self.node.start_read(&mut connection.socket);
                connection.socket.start_write(request);
                Link::Open(connection)
            }
            Err(_) => {
                self.failed();
                Link::Gone
            }
        };
    }

    fn read(&mut self, read: io::Result<usize>, buf: Buf, reused: bool) -> News {
        let closed = !matches!(read, Ok(1..));
        if !closed && (self.in_flight.is_none() || wins(buf.filled())) {
            return News::Answered(buf);
        }
        self.link = Link::Gone;
        // A connection of the pool may have been closed just as it was used, which is nobody's failure.
        if !(closed && reused) {
            self.failed();
        }
        News::Over(Failure::Broke { reused })
    }

    fn failed(&self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.failed();
        }
    }
}

impl Session {
    /// Sends the request to a second node too, where one may be asked.
    pub(super) fn ask_second(
        &self,
        hedge: &mut Hedge,
        backend: &LocalBackend,
        job: &mut Job,
        exchange: &mut Exchange,
        at: u16,
    ) {
        if !job.is_whole() || job.broken || !backend.is_calm() {
            return;
        }
        let now_ms = clock::now_ms();
        if !backend.budget().spend(backend.retry().budget_permille, now_ms) {
            return;
        }
        let mut tie = job.tie;
        let taken = backend.take(&mut tie, &[at], self.worker().draw(), exchange.began, &self.timer);
        let Taken::Node(at, in_flight) = taken else { return backend.budget().refund(now_ms) };
        let Some(request) = job.copy() else { return };
        exchange.hedged = Hedged::Lost;
        let node = Rc::clone(in_flight.node());
        let link = match node.take_idle(self.timer.now()) {
            Some(mut connection) => {
                connection.socket.start_write(request);
                Link::Open(connection)
            }
            None => {
                let to = Rc::clone(&node);
                let connecting = Box::pin(async move { connect(&to.node.address).await });
                Link::Opening(Opening { connecting, request })
            }
        };
        let asked_us = exchange.elapsed_us();
        *hedge = Hedge::Out(Box::new(Second { at, tie, node, in_flight: Some(in_flight), link, asked_us }));
    }

    /// The first node has failed: its place is free, and what is left is the second one. False where there is none.
    pub(super) fn go_on_alone(
        &self,
        failure: Failure,
        job: &mut Job,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_, '_>,
    ) -> bool {
        let Hedge::Out(second) = &mut *attempt.hedge else { return false };
        let Some(in_flight) = second.in_flight.take() else { return false };
        let first = std::mem::replace(attempt.in_flight, in_flight);
        if failure != (Failure::Broke { reused: true }) {
            first.failed();
        }
        drop(first);
        (attempt.at, job.tie, job.broken) = (second.at, second.tie, false);
        exchange.node = Some(Rc::clone(&second.node));
        true
    }

    /// The second node has begun to answer: it is the exchange's from here on, and the first one is let go.
    pub(super) fn second_wins(
        &self,
        connection: &mut Connection,
        job: &mut Job,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_, '_>,
    ) {
        let Hedge::Out(second) = std::mem::replace(attempt.hedge, Hedge::Off) else { return };
        let Second { at, tie, node, in_flight, link: Link::Open(open), asked_us } = *second else { return };
        if let Some(in_flight) = in_flight {
            let first = std::mem::replace(attempt.in_flight, in_flight);
            // It takes this long at least, and those who go by that should know.
            exchange.sample_silence(first.node());
        }
        *connection = open;
        attempt.at = at;
        exchange.hedged = Hedged::Won;
        exchange.node = Some(node);
        exchange.connect_us = connection.connect_us;
        exchange.asked_us = asked_us;
        (job.tie, job.broken) = (tie, false);
    }
}

impl Exchange {
    /// A node has not begun to answer in all this time.
    fn sample_silence(&self, node: &LocalNode) {
        if node.measured.get() {
            let now_us = self.elapsed_us();
            let silent = Sample::Answered(now_us.saturating_sub(self.asked_us));
            node.node.sample(silent, clock::micros(self.began).saturating_add(now_us));
        }
    }
}
