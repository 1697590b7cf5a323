//! Bytes both ways, for as long as they flow; and the rest that a silent connection comes to.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::direction::{Broke, Direction};
use super::{Link, Session};
use crate::dataplane::socket::Socket;
use crate::dataplane::timers::{Ms, to_ms};
use crate::logic::access::End;
use crate::logic::limits::{HOT_WINDOW, UNWATCHED_WRITE};

/// When a connection is given up.
struct Patience {
    idle: Ms,
    /// When something moved last.
    moved_at: Ms,
}

impl Patience {
    fn ends_at(&self) -> Ms {
        self.moved_at.saturating_add(self.idle)
    }
}

impl Session {
    /// Until the end, and how it came.
    pub(super) async fn relay(&mut self, mut link: Link) -> End {
        let idle: Duration = self.worker().view().snapshot.timeouts.tunnel_idle;
        let mut patience = Patience { idle: to_ms(idle), moved_at: self.timer.now() };
        let mut judged = false;
        let end = loop {
            if let Some(end) = self.flow(&mut link, &mut patience).await {
                break end;
            }
            if !std::mem::replace(&mut judged, true) {
                // It took the connection and has not broken it off since.
                link.in_flight.answered(200);
            }
            match self.take_back_reads(&mut link.socket).await {
                Ok(true) => {}
                Ok(false) => {
                    self.client.lighten();
                    link.socket.lighten();
                    if let Some(end) = self.rest(&link, patience.ends_at()).await {
                        break end;
                    }
                }
                Err(end) => break end,
            }
        };
        if !judged {
            match end {
                End::NodeBroke if self.down.bytes() == 0 => link.in_flight.failed(),
                _ => link.in_flight.answered(200),
            }
        }
        if end != End::Closed {
            link.socket.reset_on_close();
        }
        end
    }

    /// Moves bytes. `None`: nothing has moved for a while.
    async fn flow(&mut self, link: &mut Link, patience: &mut Patience) -> Option<End> {
        self.look_up_within(HOT_WINDOW, patience);
        std::future::poll_fn(|cx| {
            loop {
                match self.poll_both(cx, &mut link.socket) {
                    Ok(false) => {}
                    Ok(true) => {
                        patience.moved_at = self.timer.now();
                        let unwatched = self.client.is_writing() || link.socket.is_writing();
                        let window = if unwatched { UNWATCHED_WRITE } else { HOT_WINDOW };
                        self.look_up_within(window, patience);
                    }
                    Err(end) => return Poll::Ready(Some(end)),
                }
                if self.up.is_closed() && self.down.is_closed() {
                    return Poll::Ready(Some(End::Closed));
                }
                if link.in_flight.node().cut.get() {
                    return Poll::Ready(Some(End::NodeBroke));
                }
                if !self.timer.expired() {
                    return Poll::Pending;
                }
                let now = self.timer.now();
                if now >= patience.ends_at() {
                    return Poll::Ready(Some(End::Idle));
                }
                let writing = self.client.is_writing() || link.socket.is_writing();
                if !writing && self.up.come_to_rest() & self.down.come_to_rest() {
                    return Poll::Ready(None);
                }
                self.up.watch();
                self.down.watch();
                self.look_up_within(HOT_WINDOW, patience);
            }
        })
        .await
    }

    fn look_up_within(&self, window: Duration, patience: &Patience) {
        self.timer.set_at(patience.ends_at().min(self.timer.now() + to_ms(window)));
    }

    /// Both directions, and what came of them counted. True where something moved.
    fn poll_both(&mut self, cx: &mut Context<'_>, node: &mut Socket) -> Result<bool, End> {
        let up = self.up.poll(cx, &mut self.client, node, self.down.is_closed());
        let down = self.down.poll(cx, node, &mut self.client, self.up.is_closed());
        let bytes = (self.up.bytes(), self.down.bytes());
        // What came before there was a node too.
        let before = std::mem::replace(&mut self.counted, bytes);
        let (bytes_in, bytes_out) = (bytes.0 - before.0, bytes.1 - before.1);
        if bytes_in + bytes_out > 0 {
            self.worker().stats.total(|totals| {
                totals.bytes_in += bytes_in;
                totals.bytes_out += bytes_out;
            });
        }
        if bytes_out > 0 && self.account.first_byte_us == 0 {
            self.account.first_byte_us = self.account.elapsed_us().max(1);
        }
        match (up, down) {
            (Ok(up), Ok(down)) => Ok(up | down),
            (Err(Broke::Source), _) | (_, Err(Broke::Target)) => Err(End::ClientGone),
            (Err(Broke::Target), _) | (_, Err(Broke::Source)) => Err(End::NodeBroke),
        }
    }

    /// Cancels the reads that are under way, to have their buffers back. True where one had read something after all.
    async fn take_back_reads(&mut self, node: &mut Socket) -> Result<bool, End> {
        let up = take_back(&mut self.up, &mut self.client).await.map_err(|_| End::ClientGone)?;
        let down = take_back(&mut self.down, node).await.map_err(|_| End::NodeBroke)?;
        Ok(up | down)
    }

    /// Waits without a buffer until a side has something to say: `None`; or an end.
    async fn rest(&self, link: &Link, due: Ms) -> Option<End> {
        self.timer.set_at(due);
        let (up, down) = (self.up.is_open(), self.down.is_open());
        let (mut client, mut node) = (pin!(self.client.readable()), pin!(link.socket.readable()));
        std::future::poll_fn(|cx| {
            if (up && client.as_mut().poll(cx).is_ready()) || (down && node.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(None);
            }
            if link.in_flight.node().cut.get() {
                return Poll::Ready(Some(End::NodeBroke));
            }
            if self.timer.expired() { Poll::Ready(Some(End::Idle)) } else { Poll::Pending }
        })
        .await
    }
}

async fn take_back(direction: &mut Direction, from: &mut Socket) -> Result<bool, Broke> {
    if !from.is_reading() {
        return Ok(false);
    }
    from.cancel_read();
    let done = std::future::poll_fn(|cx| from.poll_read(cx)).await;
    direction.take(done)
}
