//! A connection that switched protocols (RFC 9110, 7.8): bytes both ways, each direction closed by itself.

use std::task::{Context, Poll};

use super::outcome::Exchange;
use super::{Input, Session};
use crate::dataplane::buffers::{Buf, Size};
use crate::dataplane::socket::Socket;
use crate::dataplane::upstream::Connection;
use crate::logic::access::End;
use crate::logic::limits::Timeouts;

/// One direction.
#[derive(Default)]
struct Pipe {
    /// Bytes to send before anything is read.
    first: Option<Buf>,
    /// The sending side has closed.
    ended: bool,
    /// And the receiving side was told.
    closed: bool,
    bytes: u64,
}

impl Session {
    /// Sends the 101 and becomes a tunnel. Always the connection's last.
    pub(super) async fn switch(
        &mut self,
        exchange: &mut Exchange,
        head: Option<Buf>,
        first: Buf,
        mut connection: Connection,
        timeouts: &Timeouts,
    ) -> bool {
        let to_client = match head {
            Some(head) => [Some(head), Some(first)],
            None => [Some(first), None],
        };
        for buf in to_client.into_iter().flatten().filter(|buf| !buf.is_empty()) {
            exchange.written += buf.len() as u64;
            if !self.send(buf).await {
                exchange.end(self, End::ClientGone);
                return false;
            }
        }
        let mut up = Pipe::default();
        match std::mem::replace(&mut self.input, Input::Empty) {
            Input::Held(buf) => up.first = Some(buf),
            Input::Ended => up.ended = true,
            Input::Empty | Input::Reading => {}
        }
        let mut down = Pipe::default();
        self.timer.set(timeouts.tunnel_idle);
        let (client, timer, node) = (&mut self.client, &self.timer, &mut connection.socket);
        std::future::poll_fn(|cx| {
            let moved = up.bytes + down.bytes;
            let ended = (up.poll(cx, client, node), down.poll(cx, node, client));
            if up.bytes + down.bytes > moved {
                timer.set(timeouts.tunnel_idle);
            }
            match ended {
                (Ok(true), Ok(true)) | (Err(()), _) | (_, Err(())) => Poll::Ready(()),
                _ if timer.expired() => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        exchange.body_in += up.bytes;
        exchange.body_out += down.bytes;
        exchange.written += down.bytes;
        exchange.end(self, End::Tunnel);
        false
    }
}

impl Pipe {
    /// Moves what can be moved. `Ok(true)`: this direction is closed. `Err`: a side broke, and takes the tunnel with it.
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Socket, to: &mut Socket) -> Result<bool, ()> {
        loop {
            if self.closed {
                return Ok(true);
            }
            if to.is_writing() {
                match to.poll_write(cx) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready((result, _)) => self.bytes += result.map_err(|_| ())? as u64,
                }
            }
            if let Some(first) = self.first.take() {
                to.start_write(first);
            } else if self.ended {
                to.shutdown_write();
                self.closed = true;
            } else if !from.is_reading() {
                from.start_read(Buf::new(Size::Medium));
            } else {
                match from.poll_read(cx) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready((Err(_), _)) => return Err(()),
                    Poll::Ready((Ok(0), _)) => self.ended = true,
                    Poll::Ready((Ok(_), buf)) => to.start_write(buf),
                }
            }
        }
    }
}
