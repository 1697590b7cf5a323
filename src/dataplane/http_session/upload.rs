//! The rest of a request's body: from the client to the node, one read and one write at a time.

use std::task::{Context, Poll};

use super::Input;
use crate::dataplane::buffers::{Buf, Size};
use crate::dataplane::socket::Socket;
use crate::logic::http1::body::{BodyFault, BodyFlow};

/// A body on its way.
pub(super) struct Upload {
    flow: BodyFlow,
    done: bool,
    /// How large a buffer the next read gets: what a client announces costs nothing, what it sends does.
    size: Size,
}

/// Why a body stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The client left in the middle of it.
    ClientGone,
    /// Its framing is broken.
    Malformed,
    /// It is longer than its limit.
    TooLarge,
    /// The node takes no more.
    NodeGone,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The node has all of it.
    Done,
    /// Waiting for the client: the deadline is the client's.
    Client,
    /// Waiting for the node to take more.
    Node,
}

impl Upload {
    pub(super) fn new(flow: BodyFlow) -> Self {
        Self { flow, done: false, size: Size::Small }
    }

    /// Bytes of data so far, without framing.
    pub(super) fn bytes(&self) -> u64 {
        self.flow.total()
    }

    /// Moves what can be moved. `Ok` is where it stands now; it calls `moved` whenever a read or a write was done.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input,
        client: &mut Socket,
        node: &mut Socket,
        mut moved: impl FnMut(),
    ) -> Result<Progress, Stopped> {
        loop {
            if node.is_writing() {
                match node.poll_write(cx) {
                    Poll::Pending => return Ok(Progress::Node),
                    Poll::Ready((Err(_), _)) => return Err(Stopped::NodeGone),
                    Poll::Ready((Ok(_), _)) => moved(),
                }
            }
            if self.done {
                if !self.flow.has_tail() {
                    return Ok(Progress::Done);
                }
                let mut tail = Vec::new();
                self.flow.tail(&mut tail);
                node.start_write(Buf::holding(&tail));
                continue;
            }
            match std::mem::replace(input, Input::Empty) {
                Input::Held(buf) => self.forward(buf, input, node)?,
                Input::Empty => {
                    client.start_read(Buf::new(self.read_size()));
                    *input = Input::Reading;
                }
                Input::Reading => match client.poll_read(cx) {
                    Poll::Pending => {
                        *input = Input::Reading;
                        return Ok(Progress::Client);
                    }
                    Poll::Ready((Ok(0) | Err(_), _)) => {
                        *input = Input::Ended;
                        return Err(Stopped::ClientGone);
                    }
                    Poll::Ready((Ok(_), buf)) => {
                        if buf.room() == 0 {
                            self.size = buf.size().larger();
                        }
                        *input = Input::Held(buf);
                        moved();
                    }
                },
                Input::Ended => return Err(Stopped::ClientGone),
            }
        }
    }

    /// Sends what `buf` holds of the body; what follows stays in `input`.
    fn forward(&mut self, mut buf: Buf, input: &mut Input, node: &mut Socket) -> Result<(), Stopped> {
        let flow = &mut self.flow;
        let step =
            buf.step(0, |bytes, start, end| flow.step(bytes, start, end)).map_err(|fault| match fault {
                BodyFault::TooLarge => Stopped::TooLarge,
                BodyFault::Malformed | BodyFault::Truncated => Stopped::Malformed,
            })?;
        let rest = buf.beyond(step.consumed);
        if !rest.is_empty() {
            *input = Input::Held(Buf::holding(rest));
        }
        self.done = step.done;
        buf.set_range(step.start, step.end);
        if !buf.is_empty() {
            node.start_write(buf);
        }
        Ok(())
    }

    fn read_size(&self) -> Size {
        match self.flow.expected() {
            Some(left) => self.size.min(Size::fitting(usize::try_from(left).unwrap_or(usize::MAX))),
            None => self.size,
        }
    }
}
