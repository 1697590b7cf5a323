//! A response to the client: one read and one write at a time, whatever the body's size.

use std::pin::pin;
use std::task::{Context, Poll};

use super::forward::{Event, Started};
use super::outcome::Exchange;
use super::prepare::Job;
use super::upload::{Stopped, Upload};
use super::{Input, Session};
use crate::dataplane::buffers::{Buf, Size};
use crate::dataplane::splice::{Pipe, Turn};
use crate::dataplane::upstream::{Connection, InFlight};
use crate::logic::access::End;
use crate::logic::http1::body::BodyFlow;
use crate::logic::http1::response::Kind;
use crate::logic::limits::{SPLICE_BYTES_MIN, Timeouts, UNWATCHED_WRITE_BYTES_MAX};

/// A response's body on its way.
struct Download {
    flow: BodyFlow,
    /// Nothing more is to be read.
    done: bool,
    /// Read and reframed, waiting for the write before it.
    ready: Option<Buf>,
    /// Bytes handed to the client's socket.
    written: u64,
    /// Bytes that the node sent behind the response's end.
    left_over: bool,
}

/// Why a response broke off.
enum Broken {
    Client,
    Node,
    Timeout,
}

impl Session {
    /// Sends a response that has begun, and settles what becomes of both connections. False where the client's is over.
    pub(super) async fn deliver(
        &mut self,
        exchange: &mut Exchange,
        job: &mut Job,
        started: Started,
        mut connection: Connection,
        in_flight: InFlight,
        timeouts: &Timeouts,
    ) -> bool {
        // Nothing of the request will be sent again.
        job.out = None;
        let Started { kind, head, first, flow, done, node_keeps, keep_alive_s, client_keeps, head_bytes } =
            started;
        if !self.settle(timeouts.body).await {
            exchange.end(self, End::ClientGone);
            return false;
        }
        self.expect_within(timeouts.body);
        if kind == Kind::Switch {
            in_flight.answered(exchange.status);
            return self.switch(exchange, head, first, connection, timeouts).await;
        }
        let mut download = Download { flow, done, ready: None, written: 0, left_over: false };
        // All there is, and small: the end of the write is looked at when the next request comes.
        let small = done
            && head.is_none()
            && job.is_clean()
            && !download.flow.has_tail()
            && first.len() <= UNWATCHED_WRITE_BYTES_MAX;
        let hand_over = small && client_keeps;
        if small && !client_keeps {
            // The end of the connection goes with the last bytes: one packet and one answer to it fewer.
            self.client.send_with_end();
        }
        if hand_over {
            download.written = first.len() as u64;
        }
        let sending = head.as_ref().unwrap_or(&first).len() as u64;
        match head {
            Some(head) => {
                self.client.start_write(head);
                download.ready = Some(first).filter(|first| !first.is_empty());
            }
            None => self.client.start_write(first),
        }
        let ended = match hand_over {
            true => Ok(()),
            false => match download.pipe(job) {
                Some(pipe) => self.splice(pipe, sending, &mut download, &connection, timeouts).await,
                None => self.relay(&mut download, job, &mut connection, timeouts).await,
            },
        };
        exchange.body_in += job.upload.as_ref().map_or(job.uploaded, Upload::bytes);
        exchange.written += download.written;
        exchange.body_out = download.flow.total().min(download.written);
        let node = in_flight.node();
        if !matches!(ended, Err(Broken::Node)) {
            in_flight.answered(exchange.status);
        }
        let end = match ended {
            Ok(()) => {
                node.saw_response(
                    usize::try_from(download.flow.total()).unwrap_or(usize::MAX).saturating_add(head_bytes),
                );
                if node_keeps && !download.left_over && !connection.socket.is_writing() {
                    node.give_idle(connection.socket, keep_alive_s, self.timer.now());
                }
                End::Complete
            }
            Err(Broken::Client) => End::ClientGone,
            Err(Broken::Node) => {
                in_flight.failed();
                End::NodeBroke
            }
            Err(Broken::Timeout) => End::BodyTimeout,
        };
        drop(in_flight);
        exchange.end(self, end);
        match end {
            End::Complete if client_keeps => true,
            End::Complete => {
                if !job.is_clean() || matches!(self.input, Input::Held(_)) || self.client.has_unread() {
                    self.linger().await;
                }
                false
            }
            _ => {
                // What the client has of the response must not look whole.
                self.client.reset_on_close();
                false
            }
        }
    }

    async fn relay(
        &mut self,
        download: &mut Download,
        job: &mut Job,
        connection: &mut Connection,
        timeouts: &Timeouts,
    ) -> Result<(), Broken> {
        std::future::poll_fn(|cx| {
            if self.poll_rest_of_upload(cx, job, connection, timeouts).is_err() {
                return Poll::Ready(Err(Broken::Client));
            }
            match self.poll_relay(cx, download, connection, timeouts) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => {}
            }
            if job.upload.is_none() && self.poll_client_gone(cx) {
                return Poll::Ready(Err(Broken::Client));
            }
            if self.is_too_late(timeouts.body) { Poll::Ready(Err(Broken::Timeout)) } else { Poll::Pending }
        })
        .await
    }

    /// A long body whose length is known: its bytes never come to user space. `sending`: bytes of the write under way.
    async fn splice(
        &mut self,
        mut pipe: Pipe,
        sending: u64,
        download: &mut Download,
        connection: &Connection,
        timeouts: &Timeouts,
    ) -> Result<(), Broken> {
        let mut left = download.flow.opaque().unwrap_or(0);
        if !self.settle(timeouts.body).await {
            return Err(Broken::Client);
        }
        download.written += sending;
        if let Some(ready) = download.ready.take() {
            let sending = ready.len() as u64;
            if !self.send(ready).await {
                return Err(Broken::Client);
            }
            download.written += sending;
        }
        self.expect_within(timeouts.body);
        loop {
            let (passed, turn) = pipe.turn(connection.socket.fd(), self.client.fd(), &mut left);
            download.written += passed;
            download.flow.passed(passed);
            if passed > 0 {
                self.expect_taken(timeouts.body);
            }
            match turn {
                Turn::Done => {
                    download.done = true;
                    return Ok(());
                }
                Turn::NeedsInput => self.until(connection.socket.readable(), timeouts).await?,
                Turn::NeedsOutput | Turn::Enough => self.until(self.client.writable(), timeouts).await?,
                Turn::SourceEnded | Turn::SourceBroke => return Err(Broken::Node),
                Turn::TargetBroke => return Err(Broken::Client),
            }
        }
    }

    /// Waits for a socket, for as long as the client is there and the deadline has not passed.
    async fn until(
        &mut self,
        ready: impl Future<Output = std::io::Result<()>>,
        timeouts: &Timeouts,
    ) -> Result<(), Broken> {
        let mut ready = pin!(ready);
        std::future::poll_fn(|cx| {
            // What is wrong with a socket is seen when it is used.
            if ready.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if self.poll_client_gone(cx) {
                return Poll::Ready(Err(Broken::Client));
            }
            if self.is_too_late(timeouts.body) { Poll::Ready(Err(Broken::Timeout)) } else { Poll::Pending }
        })
        .await
    }

    /// A node may answer while it reads: the request's body goes on for as long as the response does.
    fn poll_rest_of_upload(
        &mut self,
        cx: &mut Context<'_>,
        job: &mut Job,
        connection: &mut Connection,
        timeouts: &Timeouts,
    ) -> Result<(), Stopped> {
        if job.broken {
            return Ok(());
        }
        match self.poll_upload(cx, connection, job, timeouts) {
            Poll::Ready(Event::Upload(Ok(_))) => {
                job.uploaded = job.upload.take().map_or(0, |upload| upload.bytes());
                Ok(())
            }
            Poll::Ready(Event::Upload(Err(Stopped::NodeGone))) => {
                // It has heard enough; what it says is still worth passing on.
                job.broken = true;
                job.cut = true;
                Ok(())
            }
            Poll::Ready(Event::Upload(Err(stopped))) => Err(stopped),
            _ => Ok(()),
        }
    }

    fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        download: &mut Download,
        connection: &mut Connection,
        timeouts: &Timeouts,
    ) -> Poll<Result<(), Broken>> {
        let node = &mut connection.socket;
        loop {
            let mut moved = false;
            if self.client.is_writing()
                && let Poll::Ready((result, _)) = self.client.poll_write(cx)
            {
                match result {
                    Ok(count) => download.written += count as u64,
                    Err(_) => return Poll::Ready(Err(Broken::Client)),
                }
                moved = true;
            }
            if !self.client.is_writing() {
                if let Some(ready) = download.next_write() {
                    self.client.start_write(ready);
                    moved = true;
                } else if download.done {
                    return Poll::Ready(Ok(()));
                }
            }
            if !download.done && !node.is_reading() && download.ready.is_none() {
                node.start_read(Buf::new(download.read_size()));
            }
            if node.is_reading()
                && !download.done
                && let Poll::Ready((result, buf)) = node.poll_read(cx)
            {
                download.take(result, buf)?;
                moved = true;
            }
            if !moved {
                return Poll::Pending;
            }
            self.expect_taken(timeouts.body);
        }
    }
}

impl Download {
    /// A pipe for the rest, where that is worth one.
    fn pipe(&self, job: &Job) -> Option<Pipe> {
        let long = self.flow.opaque().is_some_and(|left| left >= SPLICE_BYTES_MIN);
        if long && job.is_clean() { Pipe::lend() } else { None }
    }

    /// What the client gets next.
    fn next_write(&mut self) -> Option<Buf> {
        if let Some(ready) = self.ready.take() {
            return Some(ready);
        }
        if !self.done || !self.flow.has_tail() {
            return None;
        }
        let mut tail = Vec::new();
        self.flow.tail(&mut tail);
        Some(Buf::holding(&tail))
    }

    /// Reframes what was read.
    fn take(&mut self, read: std::io::Result<usize>, mut buf: Buf) -> Result<(), Broken> {
        let flow = &mut self.flow;
        let step = match read {
            Ok(0) => buf.step(0, |bytes, start, _| flow.close(bytes, start)),
            Ok(_) => buf.step(0, |bytes, start, end| flow.step(bytes, start, end)),
            Err(_) => return Err(Broken::Node),
        };
        let step = step.map_err(|_| Broken::Node)?;
        self.done = step.done;
        self.left_over |= buf.holds_beyond(step.consumed);
        buf.set_range(step.start, step.end);
        self.ready = Some(buf).filter(|buf| !buf.is_empty());
        Ok(())
    }

    fn read_size(&self) -> Size {
        match self.flow.expected() {
            Some(left) => Size::fitting(usize::try_from(left).unwrap_or(usize::MAX)),
            None => Size::Medium,
        }
    }
}
