//! One client connection that speaks HTTP/1.1: request after request, until one side has had enough.
//!
//! ```text
//!   waiting --head--> prepare --> answer ------------------------------+
//!      |                 |                                             |
//!      | silence         +------> forward --> relay --> the next one --+--> waiting
//!      v                              |
//!   parked                            +--> tunnel (101)
//! ```

mod answer;
mod forward;
mod gate;
mod hedge;
mod outcome;
mod peer;
mod place;
mod prepare;
mod relay;
mod retry;
mod tunnel;
mod upload;

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use self::outcome::Exchange;
use self::peer::Peer;
use self::prepare::Prepared;
use super::buffers::{Buf, Size};
use super::parking::Parked;
use super::socket::{Done, Socket, is_cancelled};
use super::timers::{Ms, Timer, to_ms};
use super::worker::{Admission, Worker};
use crate::logic::fault::Fault;
use crate::logic::http1::head::{HeadScanner, Scan};
use crate::logic::limits::{CLIENT_GONE_GRACE, HOT_WINDOW, UNWATCHED_WRITE};

/// A connection that has come, or come back from its parking place.
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) admission: Admission,
    pub(crate) begun: Option<Begun>,
}

/// A head that is not whole yet.
pub(crate) struct Begun {
    pub(crate) bytes: Box<[u8]>,
    /// When its first byte came.
    pub(crate) since: Ms,
}

impl Arrival {
    /// Makes it a task. A panic in it costs this one connection.
    pub(crate) fn start(self) {
        let worker = Rc::clone(&self.admission.worker);
        super::session_task::spawn(worker, self.run());
    }

    async fn run(self) {
        let timer = self.admission.worker.timer().await;
        let peer = Peer::of(&self.socket, &self.admission);
        let (input, since) = match self.begun {
            Some(Begun { bytes, since }) => (Input::Held(Buf::holding(&bytes)), Some(since)),
            None => (Input::Empty, None),
        };
        Session {
            admission: self.admission,
            client: self.socket,
            timer,
            peer,
            input,
            gone_at: None,
            since,
            untaken: 0,
        }
        .run()
        .await;
    }
}

/// What is known of the bytes that come next from the client.
enum Input {
    /// Nothing was read, and no read is under way.
    Empty,
    /// These came and were not used yet.
    Held(Buf),
    /// A read is under way.
    Reading,
    /// The client has closed its sending side.
    Ended,
}

/// A client connection and everything about it that outlives one request.
struct Session {
    admission: Admission,
    client: Socket,
    timer: Timer,
    peer: Peer,
    input: Input,
    /// When to give up a client that closed its sending side.
    gone_at: Option<Ms>,
    /// When the first byte of a head came that is not whole yet.
    since: Option<Ms>,
    /// Bytes that the client had yet to take when somebody looked last.
    untaken: u32,
}

/// What came of waiting for a request.
enum Next {
    /// A whole head: the buffer, and where the head begins and ends in what it holds.
    Head(Buf, usize, usize),
    /// Nothing for a while.
    Park(Option<Box<Begun>>, Ms),
    /// The client's end, or ours.
    Close,
    /// What came is no request.
    Refuse(Fault),
}

/// Why waiting for bytes ended.
enum Wake {
    Read(Done),
    /// The deadline passed, or the worker drains.
    Timer,
    /// The response before has not been written after all this time.
    Unwritten,
}

impl Session {
    fn worker(&self) -> &Rc<Worker> {
        &self.admission.worker
    }

    async fn run(mut self) {
        loop {
            match self.next_head().await {
                Next::Head(buf, start, end) => {
                    if !self.exchange(buf, start, end).await {
                        return;
                    }
                }
                Next::Refuse(fault) => return self.refuse(fault).await,
                Next::Park(begun, due) => return self.park(begun, due),
                Next::Close => return self.close().await,
            }
        }
    }

    /// Closes, once the client has what was handed over for it.
    async fn close(mut self) {
        let timeout = self.worker().view().snapshot.timeouts.body;
        self.settle(timeout).await;
    }

    /// One request. False where it was the connection's last.
    async fn exchange(&mut self, buf: Buf, start: usize, end: usize) -> bool {
        // Both stay here until the exchange is over: they are large, and would be moved at every step.
        let mut exchange = Exchange::new(self.worker().view(), Instant::now());
        match self.prepare(&mut exchange, buf, start, end) {
            Prepared::Answer { response, keep_alive } => {
                self.answer(&mut exchange, response, keep_alive).await
            }
            Prepared::Forward(ref mut job) => self.forward(&mut exchange, job).await,
        }
    }

    /// Waits for the next request's head.
    async fn next_head(&mut self) -> Next {
        let view = self.worker().view();
        let (limits, timeouts) = (view.snapshot.limits, view.snapshot.timeouts);
        drop(view);
        let quiet_since = self.timer.now();
        let mut scanner = HeadScanner::default();
        loop {
            if let Input::Held(buf) = &mut self.input {
                match scanner.advance(buf.filled(), &limits) {
                    Err(fault) => return Next::Refuse(fault),
                    Ok(Scan::Complete { start, end }) => {
                        self.since = None;
                        return match std::mem::replace(&mut self.input, Input::Empty) {
                            Input::Held(buf) => Next::Head(buf, start, end),
                            _ => Next::Close,
                        };
                    }
                    Ok(Scan::Partial) if scanner.has_begun() => {
                        self.since.get_or_insert(self.timer.now());
                    }
                    Ok(Scan::Partial) => {}
                }
            }
            if !self.read_more() {
                return Next::Close;
            }
            let begun = self.since.is_some();
            let give_up = match self.since {
                Some(since) => since + to_ms(timeouts.client_head),
                None => quiet_since + to_ms(timeouts.client_idle),
            };
            match self.wait_for_bytes(give_up, begun).await {
                Wake::Unwritten => {
                    if !self.settle(timeouts.body).await {
                        return Next::Close;
                    }
                }
                Wake::Read((Ok(0) | Err(_), _)) => return Next::Close,
                Wake::Read((Ok(_), buf)) => self.input = Input::Held(buf),
                Wake::Timer if begun && self.timer.now() >= give_up => {
                    return Next::Refuse(Fault::HeadTimeout);
                }
                Wake::Timer => match self.take_back_read().await {
                    Some(Ok(buf)) => self.input = Input::Held(buf),
                    Some(Err(buf)) => return self.fall_silent(buf, give_up),
                    None => return Next::Close,
                },
            }
        }
    }

    /// Starts a read behind what is held. False where there is nothing to read any more.
    fn read_more(&mut self) -> bool {
        let mut buf = match std::mem::replace(&mut self.input, Input::Reading) {
            Input::Reading => return true,
            Input::Ended => return false,
            Input::Empty => Buf::new(Size::Small),
            Input::Held(buf) => buf,
        };
        // The head's limit is below the largest buffer: there is always room, or it was refused.
        if !buf.make_room() {
            return false;
        }
        self.client.start_cancellable_read(buf);
        true
    }

    /// The end of the read, or a reason to look up: the deadline, the end of the hot window, a drain.
    async fn wait_for_bytes(&mut self, give_up: Ms, begun: bool) -> Wake {
        let worker = Rc::clone(self.worker());
        let hot = if worker.has_hot_space() { to_ms(HOT_WINDOW) } else { 0 };
        self.timer.set_at(give_up.min(self.timer.now() + hot));
        if self.client.is_writing() {
            self.timer.bring_forward(self.timer.now() + to_ms(UNWATCHED_WRITE));
        }
        let _idle = Idle::new(&worker);
        let (client, timer) = (&mut self.client, &self.timer);
        std::future::poll_fn(|cx| match client.poll_read(cx) {
            Poll::Ready(done) => Poll::Ready(Wake::Read(done)),
            Poll::Pending if timer.expired() && client.is_writing() => Poll::Ready(Wake::Unwritten),
            Poll::Pending if timer.expired() || (worker.is_draining() && !begun) => Poll::Ready(Wake::Timer),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Cancels the read that is under way. `Ok`: it had read something after all. `Err`: it had not, and here is its
    /// buffer. `None`: the connection has ended.
    async fn take_back_read(&mut self) -> Option<Result<Buf, Buf>> {
        self.client.cancel_read();
        let (result, buf) = std::future::poll_fn(|cx| self.client.poll_read(cx)).await;
        self.input = Input::Empty;
        match result {
            Ok(0) => None,
            Ok(_) => Some(Ok(buf)),
            Err(error) if is_cancelled(&error) => Some(Err(buf)),
            Err(_) => None,
        }
    }

    /// What becomes of a connection on which nothing has come for a while.
    fn fall_silent(&self, buf: Buf, give_up: Ms) -> Next {
        let now = self.timer.now();
        match self.since {
            None if now >= give_up || self.worker().is_draining() => Next::Close,
            None => Next::Park(None, give_up),
            Some(since) => Next::Park(Some(Box::new(Begun { bytes: buf.filled().into(), since })), give_up),
        }
    }

    /// Leaves a record in the parking place, and ends the task.
    fn park(self, begun: Option<Box<Begun>>, due: Ms) {
        let Self { admission, client, .. } = self;
        let Some(fd) = client.into_fd() else { return };
        let worker = Rc::clone(&admission.worker);
        worker.parking.park(Parked { fd, admission, due, begun });
    }

    /// Watches the client while its request is served. True where nobody is there to be answered any more.
    ///
    /// A client may close its sending side and still read; it cannot be told from one that has left. It is given up
    /// where the exchange has not moved for [`CLIENT_GONE_GRACE`].
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.input, Input::Reading)
            && let Poll::Ready((result, buf)) = self.client.poll_read(cx)
        {
            match result {
                Ok(0) => self.client_ended(),
                Ok(_) => self.input = Input::Held(buf),
                Err(_) => {
                    self.client_ended();
                    return true;
                }
            }
        }
        if self.gone_at.is_none_or(|gone_at| gone_at > self.timer.now()) {
            return false;
        }
        if !self.takes_more() {
            return true;
        }
        let gone_at = self.timer.now() + to_ms(CLIENT_GONE_GRACE);
        self.gone_at = Some(gone_at);
        self.timer.set_at(gone_at);
        false
    }

    /// Waits for the client to take what is sent: `timeout` begins anew whenever it has taken something.
    fn expect_taken(&mut self, timeout: std::time::Duration) {
        self.expect_within(timeout);
        self.untaken = self.client.untaken();
    }

    /// Has the deadline passed? Not where the client takes what is sent, however slowly: the kernel tells of room only when
    /// a third of all that it holds is gone.
    fn is_too_late(&mut self, timeout: std::time::Duration) -> bool {
        if self.timer.expired() && self.takes_more() {
            self.expect_within(timeout);
        }
        self.timer.expired()
    }

    /// Has the client taken something since this was looked at?
    fn takes_more(&mut self) -> bool {
        let before = std::mem::replace(&mut self.untaken, self.client.untaken());
        self.untaken < before
    }

    fn client_ended(&mut self) {
        self.input = Input::Ended;
        self.untaken = self.client.untaken();
        let gone_at = self.timer.now() + to_ms(CLIENT_GONE_GRACE);
        self.gone_at = Some(gone_at);
        self.timer.bring_forward(gone_at);
    }

    /// Sets the deadline of the next step of an exchange.
    fn expect_within(&mut self, timeout: std::time::Duration) {
        self.timer.set(timeout);
        if let Some(gone_at) = &mut self.gone_at {
            *gone_at = self.timer.now() + to_ms(CLIENT_GONE_GRACE);
            self.timer.bring_forward(*gone_at);
        }
    }
}

/// Counts a session that waits for a request, while this exists.
struct Idle<'a>(&'a Worker);

impl<'a> Idle<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.idle.set(worker.idle.get() + 1);
        Self(worker)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.idle.set(self.0.idle.get() - 1);
    }
}
