//! One connection: asks, listens, counts, asks again.
//!
//! ```text
//!   no socket --order--> connect --ok--> conversing --answer, keep--> next order
//!       ^                   |                |
//!       +---- failed -------+                +-- closed, broken, timed out, not kept --> no socket
//! ```
//!
//! While a socket is open a read is always pending on it: it brings the answer, and between two questions
//! it tells at once when the peer has closed. The write of a question and that read go to the kernel
//! together.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use super::context::{Begun, Context};
use super::job::Endpoint;
use super::lane::{Lane, Turn};
use super::seat::{Order, Seat};
use super::socket::{Reader, Returned, Socket, Writer, connect};
use super::upgrade;
use crate::dialogue::{Dialogue, Progress, Question};
use crate::fault::{Cause, Fault};

/// Size of a read: large answers come in few pieces, small ones do not care.
const READ_SIZE: usize = 32 * 1024;
/// After a failed connect a closed loop waits, lest it do nothing but fail.
const PAUSE: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub struct Connection {
    /// The thread.
    pub context: Rc<Context>,
    /// Where orders come from.
    pub lane: Rc<Lane>,
    /// Where they are laid down.
    pub seat: Rc<Seat>,
    /// Which endpoint is asked.
    pub endpoint: usize,
    /// Number of the connection within the run.
    pub number: usize,
}

/// Why a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The socket is of no use any more.
    Closed,
    /// There is nothing more to ask.
    Finished,
}

/// What to do next.
enum Next {
    Order(Order),
    Closed,
    Finished,
}

impl Connection {
    /// Works until there is nothing more to ask. `socket`: opened beforehand.
    pub async fn work(self, mut socket: Option<Socket>) {
        self.seat.take().await;
        loop {
            let end = match socket.take() {
                Some(socket) => self.converse(socket, None).await,
                None => self.begin_anew().await,
            };
            if end == End::Finished {
                break;
            }
        }
    }

    /// Opens a socket before the run.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub async fn open_early(&self) -> Result<Socket, Fault> {
        self.seat.take().await;
        self.open().await
    }

    async fn begin_anew(&self) -> End {
        let order = match self.next(None::<Pin<&mut std::future::Pending<()>>>).await {
            Next::Order(order) => order,
            Next::Closed | Next::Finished => return End::Finished,
        };
        let begun = self.context.begin(order);
        match self.open().await {
            Ok(socket) => self.converse(socket, Some(begun)).await,
            Err(fault) => {
                self.context.failed(begun, self.or_abandoned(fault));
                if self.context.job.load.is_none() {
                    monoio::time::sleep(PAUSE).await;
                }
                End::Closed
            }
        }
    }

    async fn open(&self) -> Result<Socket, Fault> {
        let from_ns = self.context.now_ns();
        self.seat.set_deadline(from_ns.saturating_add(self.context.job.timeout_ns));
        let source = self.context.job.source(self.number);
        let endpoint = self.endpoint();
        let opened = connect(&endpoint.address, source, &self.seat).await;
        let opened = opened.map_err(|error| Fault::of_connect(&error));
        let ready = match opened {
            Ok(socket) if !endpoint.handshake.is_empty() => {
                upgrade::shake_hands(socket, &endpoint.handshake, &endpoint.accept, &self.seat).await
            }
            other => other,
        };
        self.seat.clear_deadline();
        if ready.is_ok() {
            self.context.connected(self.context.now_ns() - from_ns);
        }
        ready
    }

    fn endpoint(&self) -> &Endpoint {
        &self.context.job.endpoints[self.endpoint]
    }

    async fn converse(&self, socket: Socket, mut first: Option<Begun>) -> End {
        let mut dialogue = Dialogue::new(&self.context.job.question);
        let (reader, writer) = socket.split();
        let mut reading = pin!(reader.read(Vec::with_capacity(READ_SIZE)));
        let mut writing = pin!(None);
        let mut idle = Some((writer, Vec::new()));
        loop {
            let begun = match first.take() {
                Some(begun) => begun,
                None => match self.next(Some(reading.as_mut())).await {
                    Next::Order(order) => self.context.begin(order),
                    Next::Closed => return End::Closed,
                    Next::Finished => return End::Finished,
                },
            };
            // A write that outlasts its answer ends the conversation, so here there is none.
            let Some((writer, mut question)) = idle.take() else { return End::Closed };
            dialogue.ask(begun.order.target, begun.order.number, &mut question);
            self.context.moved(&begun, 0, question.len() as u64);
            self.seat.set_deadline(begun.at_ns.saturating_add(self.context.job.timeout_ns));
            writing.set(Some(writer.write(question)));
            let result = loop {
                match poll_fn(|task| self.poll(task, writing.as_mut(), reading.as_mut())).await {
                    Event::Expired => break Err(Fault::new(Cause::Timeout, "")),
                    Event::Written((_, writer, question)) => {
                        // Why a write failed, the read says better: there may even be an answer.
                        writing.set(None);
                        idle = Some((writer, question));
                    }
                    Event::Read((Err(error), ..)) => break Err(Fault::of_transfer(&error)),
                    Event::Read((Ok(0), ..)) => break dialogue.finish().map(|_| Some(End::Closed)),
                    Event::Read((Ok(length), reader, buffer)) => {
                        self.context.moved(&begun, length as u64, 0);
                        let progress = dialogue.feed(&buffer[..length]);
                        reading.set(reader.read(buffer));
                        match progress {
                            Ok(Progress::More) => {}
                            Ok(Progress::Done) => break Ok(self.after(&dialogue)),
                            Err(fault) => break Err(fault),
                        }
                    }
                }
            };
            self.seat.clear_deadline();
            let end = match result {
                Ok(end) => {
                    self.context.answered(begun, dialogue.head());
                    end
                }
                Err(fault) => {
                    self.context.failed(begun, self.or_abandoned(fault));
                    Some(End::Closed)
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// What follows a whole answer: `None` to go on.
    fn after(&self, dialogue: &Dialogue) -> Option<End> {
        let kept = dialogue.head().is_none_or(|head| head.keep) || self.is_websocket();
        (!kept || !self.context.job.keepalive).then_some(End::Closed)
    }

    fn is_websocket(&self) -> bool {
        matches!(*self.context.job.question, Question::WebSocket(_))
    }

    fn or_abandoned(&self, fault: Fault) -> Fault {
        if self.seat.is_abandoned() { Fault::new(Cause::Unfinished, "the run was broken off") } else { fault }
    }

    /// Waits for the next order, and for the peer's close meanwhile.
    async fn next<F: Future>(&self, mut reading: Option<Pin<&mut F>>) -> Next {
        let now_ns = self.context.now_ns();
        if !self.seat.is_waiting() {
            match self.lane.turn(now_ns, self.seat.free_since(now_ns)) {
                Turn::Order(order) => return Next::Order(order),
                Turn::Finished => return Next::Finished,
                Turn::Wait => self.lane.wait(&self.seat, now_ns),
            }
        }
        poll_fn(|task| {
            if self.seat.is_dismissed() {
                return Poll::Ready(Next::Finished);
            }
            if reading.as_mut().is_some_and(|reading| reading.as_mut().poll(task).is_ready()) {
                return Poll::Ready(Next::Closed);
            }
            self.seat.pick_up().map_or(Poll::Pending, |order| Poll::Ready(Next::Order(order)))
        })
        .await
    }

    fn poll<W, R>(
        &self,
        task: &mut Task<'_>,
        writing: Pin<&mut Option<W>>,
        reading: Pin<&mut R>,
    ) -> Poll<Event>
    where
        W: Future<Output = Returned<Writer>>,
        R: Future<Output = Returned<Reader>>,
    {
        if self.seat.is_expired() {
            return Poll::Ready(Event::Expired);
        }
        if let Some(writing) = writing.as_pin_mut()
            && let Poll::Ready(written) = writing.poll(task)
        {
            return Poll::Ready(Event::Written(written));
        }
        reading.poll(task).map(Event::Read)
    }
}

/// What happened while an answer was awaited.
enum Event {
    Expired,
    Written(Returned<Writer>),
    Read(Returned<Reader>),
}
