//! A request to a node, until the head of its response: pick, connect, send, wait; elsewhere or again where that helps.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::hedge::{Hedge, News};
use super::outcome::Exchange;
use super::place::NoPlace;
use super::prepare::Job;
use super::retry::Course;
use super::upload::{Progress, Stopped, Upload};
use super::{Input, Session};
use crate::dataplane::buffers::{Buf, Size};
use crate::dataplane::socket::Done;
use crate::dataplane::timers::to_ms;
use crate::dataplane::upstream::{Connection, InFlight, LocalNode, connect};
use crate::dataplane::view::LocalBackend;
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::http1::body::{BodyFault, BodyFlow};
use crate::logic::http1::exchange::{Failure, Reply, reply};
use crate::logic::http1::framing::Framing;
use crate::logic::http1::head::{HeadScanner, Scan};
use crate::logic::http1::request::{FieldRoom, Version};
use crate::logic::http1::response::{self, BadResponse, Kind};
use crate::logic::http1::rewrite::write_response;
use crate::logic::limits::{
    CLIENT_GONE_GRACE, INTERIM_RESPONSES_MAX, MessageLimits, Timeouts, UNWATCHED_WRITE,
    UNWATCHED_WRITE_BYTES_MAX,
};
use crate::logic::retry::Next;
use crate::logic::route::Edits;

/// A final response that has begun: its head is rewritten, its body has yet to be relayed.
pub(super) struct Started {
    pub(super) kind: Kind,
    /// The rewritten head, apart, where the buffer had no room for it before the body.
    pub(super) head: Option<Buf>,
    /// The head (unless it stands apart) and the first bytes of the body; the bytes behind a switch.
    pub(super) first: Buf,
    pub(super) flow: BodyFlow,
    pub(super) done: bool,
    /// May the node's connection carry another request once the body is through?
    pub(super) node_keeps: bool,
    pub(super) keep_alive_s: Option<u32>,
    pub(super) client_keeps: bool,
    /// Bytes in `first` and `head` that are the head's.
    pub(super) head_bytes: usize,
}

/// Why an attempt has no response.
enum Trouble {
    /// Another attempt may help.
    Failed(Failure),
    /// The node answered, and another one is asked in its place. `keeps`: its connection may carry another request, for
    /// so many seconds if it said so.
    Unwanted { status: u16, keeps: Option<Option<u32>> },
    /// The client is told.
    Fault(Fault),
    /// There is nobody to be told.
    ClientGone,
}

/// What an attempt goes by.
pub(super) struct Attempt<'a, 'b> {
    /// The node's place in the backend.
    pub(super) at: u16,
    pub(super) in_flight: &'a mut InFlight,
    pub(super) hedge: &'a mut Hedge,
    backend: &'a LocalBackend,
    course: &'a mut Course<'b>,
    timeouts: &'a Timeouts,
    limits: &'a MessageLimits,
}

/// What happened next on an attempt.
pub(super) enum Event {
    Sent(std::io::Result<usize>, Buf),
    Upload(Result<Progress, Stopped>),
    Read(Done),
    Hedge(News),
    ClientGone,
    Expired,
}

impl Session {
    /// Serves one request from a node. False where the client's connection is over.
    pub(super) async fn forward(&mut self, exchange: &mut Exchange, job: &mut Job) -> bool {
        let view = Rc::clone(&exchange.view);
        let timeouts = &view.snapshot.routes.get(job.route).timeouts;
        let limits = &view.snapshot.limits;
        let backend = view.backend(job.backend);
        let mut course = Course::begin(backend, exchange.began);
        let mut hedge = Hedge::Off;
        loop {
            let taken = self.take_place(backend, &mut course, exchange, job).await;
            let (mut at, mut in_flight) = match taken {
                Ok(taken) => taken,
                Err(NoPlace::ClientGone) => {
                    exchange.end(self, End::ClientGone);
                    return false;
                }
                Err(NoPlace::Fault(fault)) => return self.fail(exchange, fault, job.upload.is_none()).await,
            };
            let node = Rc::clone(in_flight.node());
            exchange.node = Some(Rc::clone(&node));
            let (trouble, refused) = match self.open(&node, course.wants_fresh(), timeouts).await {
                Ok(mut connection) => {
                    exchange.connect_us = connection.connect_us;
                    course.connected();
                    in_flight.connected();
                    if exchange.retries == 0 {
                        hedge = Hedge::arm(backend, job, exchange);
                    }
                    let mut attempt = Attempt {
                        at,
                        in_flight: &mut in_flight,
                        hedge: &mut hedge,
                        backend,
                        course: &mut course,
                        timeouts,
                        limits,
                    };
                    let response = self.attempt(&mut connection, job, exchange, &mut attempt).await;
                    at = attempt.at;
                    // Whatever is under way on another node is over with it.
                    hedge.end();
                    match response {
                        Ok(started) => {
                            if connection.reused {
                                in_flight.node().was_good();
                            }
                            in_flight.responded(exchange.status);
                            return self
                                .deliver(exchange, job, started, connection, in_flight, timeouts)
                                .await;
                        }
                        Err(trouble) => {
                            // What came of a body was received, whatever became of it. One that is repeated has none left.
                            exchange.body_in += job.upload.as_ref().map_or(0, Upload::bytes);
                            if let Trouble::Unwanted { keeps: Some(keep_alive_s), .. } = trouble {
                                in_flight.node().give_idle(connection.socket, keep_alive_s, self.timer.now());
                            }
                            (trouble, false)
                        }
                    }
                }
                Err(trouble) => {
                    let refused = matches!(trouble, Trouble::Failed(_));
                    (trouble, refused)
                }
            };
            let (failure, next) = match trouble {
                Trouble::ClientGone => {
                    exchange.end(self, End::ClientGone);
                    return false;
                }
                Trouble::Fault(fault) => {
                    if matches!(fault.status(), 502 | 504) {
                        in_flight.failed();
                    }
                    // Whoever waits for the place need not wait until a slow client was told.
                    drop(in_flight);
                    return self.fail(exchange, fault, job.is_clean()).await;
                }
                Trouble::Unwanted { status, .. } => {
                    in_flight.answered(status);
                    (exchange.status, exchange.first_byte_us) = (0, 0);
                    (Failure::Status(status), Next::Elsewhere)
                }
                Trouble::Failed(failure) => {
                    let next = course.after(failure, at, job);
                    match next {
                        Next::Again => in_flight.node().was_stale(),
                        _ => in_flight.failed(),
                    }
                    (failure, next)
                }
            };
            if refused {
                in_flight.refused();
            } else {
                drop(in_flight);
            }
            if next == Next::GiveUp {
                return self.fail(exchange, failure.fault(), job.is_clean()).await;
            }
            job.rewind();
            exchange.retries += 1;
            exchange.asked_us = exchange.elapsed_us();
        }
    }

    /// A connection to the node: from the pool, unless it must be `fresh`.
    async fn open(
        &mut self,
        node: &Rc<LocalNode>,
        fresh: bool,
        timeouts: &Timeouts,
    ) -> Result<Connection, Trouble> {
        if !fresh && let Some(connection) = node.take_idle(self.timer.now()) {
            return Ok(connection);
        }
        self.expect_within(timeouts.connect);
        let due = self.timer.now() + to_ms(timeouts.connect);
        let mut connecting = std::pin::pin!(connect(&node.node.address));
        let opened = std::future::poll_fn(|cx| {
            if let Poll::Ready(opened) = connecting.as_mut().poll(cx) {
                return Poll::Ready(opened.map_err(|_| Trouble::Failed(Failure::Connect)));
            }
            if self.poll_client_gone(cx) {
                return Poll::Ready(Err(Trouble::ClientGone));
            }
            if self.timer.now() >= due {
                return Poll::Ready(Err(Trouble::Failed(Failure::ConnectTimeout)));
            }
            Poll::Pending
        })
        .await;
        let mut connection = opened?;
        node.record_connect(connection.connect_us);
        node.start_read(&mut connection.socket);
        Ok(connection)
    }

    /// Sends the request on an open connection, and waits for the head of the final response.
    async fn attempt(
        &mut self,
        connection: &mut Connection,
        job: &mut Job,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_, '_>,
    ) -> Result<Started, Trouble> {
        let (timeouts, limits) = (attempt.timeouts, attempt.limits);
        if let Some(out) = job.out.take() {
            job.watched = job.upload.is_some() || out.len() > UNWATCHED_WRITE_BYTES_MAX;
            connection.socket.start_write(out);
        }
        self.expect_within(if job.watched { timeouts.body } else { UNWATCHED_WRITE });
        // What a client sends next is the next request. One that sends no more is only watched for its leaving, and a read
        // that has to be taken back costs more than the whole wait for most responses.
        if job.watched || job.facts.keep_alive {
            self.watch_client(job);
        }
        let mut scanner = HeadScanner::default();
        let mut interims = 0;
        let mut arrived: Option<Buf> = None;
        loop {
            if let Some(buf) = arrived.take() {
                match self.begin_response(buf, &mut scanner, job, exchange, limits) {
                    Begin::Partial(mut buf) => {
                        if !buf.make_room() {
                            return Err(Trouble::Fault(Fault::BadResponse));
                        }
                        connection.socket.start_read(buf);
                    }
                    Begin::Interim(head, rest) => {
                        arrived = Some(rest);
                        interims += 1;
                        if interims > INTERIM_RESPONSES_MAX {
                            return Err(Trouble::Fault(Fault::BadResponse));
                        }
                        scanner = HeadScanner::default();
                        if let Some(head) = head
                            && !self.send_interim(head, exchange).await
                        {
                            return Err(Trouble::ClientGone);
                        }
                        self.expect_within(timeouts.response_head);
                        continue;
                    }
                    // Once the client has got an interim response, this exchange is with this node.
                    Begin::Final(started)
                        if interims == 0
                            && attempt.course.prefers_another(exchange.status, attempt.at, job) =>
                    {
                        let keeps = (started.done && started.node_keeps).then_some(started.keep_alive_s);
                        return Err(Trouble::Unwanted { status: exchange.status, keeps });
                    }
                    Begin::Final(started) => return Ok(started),
                    Begin::Bad => return Err(Trouble::Fault(Fault::BadResponse)),
                }
            }
            match self.next_event(connection, job, attempt).await {
                Event::Sent(result, buf) => {
                    // A node that closed may have answered before it did: what it sent is read before it is given up.
                    job.broken = result.is_err();
                    job.out = Some(buf);
                    job.watched |= job.facts.keep_alive;
                    self.expect_within(if job.upload.is_some() {
                        timeouts.client_body
                    } else if job.watched {
                        timeouts.response_head
                    } else {
                        timeouts.response_head.min(UNWATCHED_WRITE)
                    });
                }
                Event::Upload(Ok(_)) => {
                    exchange.body_in += job.upload.take().map_or(0, |upload| upload.bytes());
                    job.sent_more = true;
                    exchange.asked_us = exchange.elapsed_us();
                    self.expect_within(timeouts.response_head);
                    self.watch_client(job);
                }
                Event::Upload(Err(stopped)) => self.upload_stopped(stopped, job)?,
                Event::Read((Ok(0) | Err(_), buf)) => {
                    // Half a head is no answer, and no reason to ask again.
                    if !arrived_nothing(&buf) || interims > 0 {
                        return Err(Trouble::Fault(Fault::NodeClosed));
                    }
                    let failure = Failure::Broke { reused: connection.reused };
                    let first = attempt.at;
                    if !self.go_on_alone(failure, job, exchange, attempt) {
                        return Err(Trouble::Failed(failure));
                    }
                    attempt.course.has_tried(first);
                    self.expect_within(timeouts.response_head);
                }
                Event::Read((Ok(_), buf)) => {
                    attempt.hedge.end();
                    arrived = Some(buf);
                }
                Event::Hedge(News::Due) => {
                    let Attempt { hedge, backend, at, .. } = attempt;
                    self.ask_second(hedge, backend, job, exchange, *at);
                }
                Event::Hedge(News::Answered(buf)) => {
                    self.second_wins(connection, job, exchange, attempt);
                    self.expect_within(timeouts.response_head);
                    arrived = Some(buf);
                }
                Event::Hedge(News::Over(failure)) => {
                    if attempt.hedge.is_alone() {
                        return Err(Trouble::Failed(failure));
                    }
                    attempt.hedge.end();
                }
                Event::ClientGone => return Err(Trouble::ClientGone),
                // The second node was taken down, and the first one was not.
                Event::Expired if attempt.hedge.is_cut() => attempt.hedge.end(),
                Event::Expired if interims == 0 => {
                    let trouble = self.expired(job);
                    let Trouble::Failed(failure) = trouble else { return Err(trouble) };
                    if !self.go_on_alone(failure, job, exchange, attempt) {
                        return Err(Trouble::Failed(failure));
                    }
                    self.expect_within(timeouts.response_head);
                }
                Event::Expired => {
                    return Err(match self.expired(job) {
                        Trouble::Failed(failure) => Trouble::Fault(failure.fault()),
                        trouble => trouble,
                    });
                }
            }
        }
    }

    /// The next thing that happens, looked for in this order: the request, then the response, then the client.
    async fn next_event(
        &mut self,
        connection: &mut Connection,
        job: &mut Job,
        attempt: &mut Attempt<'_, '_>,
    ) -> Event {
        let timeouts = attempt.timeouts;
        std::future::poll_fn(|cx| {
            if !job.watched && self.timer.expired() {
                job.watched = true;
                self.watch_client(job);
                self.expect_within(match job.out {
                    None => timeouts.body,
                    Some(_) => timeouts.response_head.saturating_sub(UNWATCHED_WRITE),
                });
            }
            if job.out.is_none() {
                let socket = &mut connection.socket;
                let written = if job.watched { socket.poll_write(cx) } else { socket.glance_at_write() };
                if let Poll::Ready((result, buf)) = written {
                    return Poll::Ready(Event::Sent(result, buf));
                }
            } else if !job.broken
                && let Poll::Ready(event) = self.poll_upload(cx, connection, job, timeouts)
            {
                return Poll::Ready(event);
            }
            // A first node that has failed while a second one was asked has nothing more to say.
            if !attempt.hedge.is_alone()
                && let Poll::Ready(done) = connection.socket.poll_read(cx)
            {
                return Poll::Ready(Event::Read(done));
            }
            if let Poll::Ready(news) = attempt.hedge.poll(cx) {
                return Poll::Ready(Event::Hedge(news));
            }
            if job.upload.is_none() && self.poll_client_gone(cx) {
                return Poll::Ready(Event::ClientGone);
            }
            if self.timer.expired() { Poll::Ready(Event::Expired) } else { Poll::Pending }
        })
        .await
    }

    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        job: &mut Job,
        timeouts: &Timeouts,
    ) -> Poll<Event> {
        let Some(upload) = &mut job.upload else { return Poll::Pending };
        let mut moved = false;
        let progress =
            upload.poll(cx, &mut self.input, &mut self.client, &mut connection.socket, || moved = true);
        match progress {
            Ok(Progress::Client) if moved => self.expect_within(timeouts.client_body),
            Ok(Progress::Node) if moved => self.expect_within(timeouts.body),
            Ok(Progress::Client | Progress::Node) => {}
            Ok(Progress::Done) | Err(_) => return Poll::Ready(Event::Upload(progress)),
        }
        job.sent_more = true;
        job.waits_for_client = progress == Ok(Progress::Client);
        Poll::Pending
    }

    async fn send_interim(&mut self, head: Buf, exchange: &mut Exchange) -> bool {
        exchange.written += head.len() as u64;
        self.send(head).await
    }

    /// While nothing more is expected of the client, a read shows whether it is still there; what it brings is the
    /// beginning of the next request.
    pub(super) fn watch_client(&mut self, job: &Job) {
        if job.upload.is_none() && matches!(self.input, Input::Empty) {
            self.client.start_cancellable_read(Buf::new(Size::Small));
            self.input = Input::Reading;
        }
    }

    /// A body that does not go on: whose fault, and is there still an answer to wait for?
    fn upload_stopped(&mut self, stopped: Stopped, job: &mut Job) -> Result<(), Trouble> {
        job.cut = true;
        match stopped {
            Stopped::ClientGone => Err(Trouble::ClientGone),
            Stopped::Malformed => Err(Trouble::Fault(Fault::BadBody)),
            Stopped::TooLarge => Err(Trouble::Fault(Fault::BodyTooLarge)),
            Stopped::NodeGone => {
                job.broken = true;
                self.expect_within(CLIENT_GONE_GRACE);
                Ok(())
            }
        }
    }

    fn expired(&self, job: &Job) -> Trouble {
        if self.gone_at.is_some_and(|gone_at| gone_at <= self.timer.now()) {
            return Trouble::ClientGone;
        }
        match &job.upload {
            _ if job.broken => Trouble::Fault(Fault::NodeClosed),
            Some(_) if job.waits_for_client => Trouble::Fault(Fault::BodyTimeout),
            _ => Trouble::Failed(Failure::ResponseTimeout),
        }
    }

    /// Looks at what has arrived of a response.
    fn begin_response(
        &self,
        mut buf: Buf,
        scanner: &mut HeadScanner,
        job: &Job,
        exchange: &mut Exchange,
        limits: &MessageLimits,
    ) -> Begin {
        let end = match scanner.advance(buf.filled(), limits) {
            Ok(Scan::Partial) => return Begin::Partial(buf),
            // Empty lines before a response are nobody's mistake to forgive.
            Ok(Scan::Complete { start: 0, end }) => end,
            Ok(Scan::Complete { .. }) | Err(_) => return Begin::Bad,
        };
        let worker = Rc::clone(self.worker());
        worker.with_scratch(|scratch| {
            let Ok(meaning) = self.compose_response(&buf.filled()[..end], job, exchange, limits, scratch)
            else {
                return Begin::Bad;
            };
            if meaning.kind == Kind::Interim {
                buf.consume(end);
                // An HTTP/1.0 client does not know what an interim response is (RFC 9110, 15.2).
                let known = job.facts.version == Version::Http11;
                return Begin::Interim(known.then(|| Buf::holding(scratch)), buf);
            }
            exchange.status = meaning.status;
            exchange.first_byte_us = exchange.elapsed_us();
            let edits = &exchange.view.snapshot.routes.get(job.route).response_edits;
            start(buf, end, scratch, &meaning, edits, job.is_clean()).map_or(Begin::Bad, Begin::Final)
        })
    }

    /// Parses a head, and writes what the client gets of it into `out`.
    fn compose_response(
        &self,
        head: &[u8],
        job: &Job,
        exchange: &Exchange,
        limits: &MessageLimits,
        out: &mut Vec<u8>,
    ) -> Result<Meaning, BadResponse> {
        let mut room = FieldRoom::new();
        let response = response::parse(head, &job.facts, limits, &mut room)?;
        let reply = reply(&job.facts, &response, job.is_clean(), self.worker().is_draining());
        let edits = &exchange.view.snapshot.routes.get(job.route).response_edits;
        self.worker().with_date(|date| write_response(out, &response, &reply, edits, date));
        if response.kind == Kind::Final {
            exchange.view.backend(job.backend).give_cookie(&job.tie, out);
        }
        Ok(Meaning {
            status: response.head.status,
            kind: response.kind,
            framing: response.framing,
            node_keeps: response.node_keeps,
            keep_alive_s: response.keep_alive_s,
            nominates: response.nominates,
            reply,
        })
    }
}

/// What is left of a response's head once it is composed anew.
struct Meaning {
    status: u16,
    kind: Kind,
    framing: Framing,
    node_keeps: bool,
    keep_alive_s: Option<u32>,
    nominates: bool,
    reply: Reply,
}

/// What the bytes of a response amount to.
enum Begin {
    Partial(Buf),
    /// The rewritten head, for a client that knows such responses, and what has arrived behind it.
    Interim(Option<Buf>, Buf),
    Final(Started),
    Bad,
}

/// Puts the rewritten head before the first bytes of the body. `clean`: the request was read to its end.
fn start(
    mut buf: Buf,
    end: usize,
    head: &[u8],
    meaning: &Meaning,
    edits: &Arc<Edits>,
    clean: bool,
) -> Result<Started, BodyFault> {
    let flow = BodyFlow::new(meaning.framing, meaning.reply.chunked, None);
    let mut flow = flow.without(meaning.nominates, edits);
    let mut done = true;
    let mut left_over = false;
    if meaning.kind == Kind::Switch {
        buf.advance(end);
    } else {
        let step = buf.step(end, |bytes, start, end| flow.step(bytes, start, end))?;
        done = step.done;
        // Bytes behind the end of a response were never asked for: this connection is not to be trusted again.
        left_over = buf.holds_beyond(step.consumed);
        buf.set_range(step.start, step.end);
    }
    let apart = !buf.replace_head(0, head);
    Ok(Started {
        kind: meaning.kind,
        head: apart.then(|| Buf::holding(head)),
        first: buf,
        flow,
        done,
        node_keeps: meaning.node_keeps && clean && !left_over,
        keep_alive_s: meaning.keep_alive_s,
        client_keeps: meaning.reply.keep_alive,
        head_bytes: head.len(),
    })
}

/// Did a connection break before the first byte of a response?
fn arrived_nothing(buf: &Buf) -> bool {
    buf.is_empty()
}
