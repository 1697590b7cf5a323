//! One accepted connection: buffers, reads that give up on an idle peer, writes that go out with the next read.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use monoio::{
    buf::IoBufMut,
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable},
    net::tcp::{TcpOwnedReadHalf, TcpOwnedWriteHalf, TcpStream},
    time::Sleep,
};

use super::{ledger, socket, worker::Worker};

/// Bytes of a read, and of a buffered write before it is sent.
pub(crate) const BUFFER_LEN: usize = 16 << 10;
/// How long the rest of a request is awaited and thrown away after the last response, so that the client
/// can read that response before it sees a reset (RFC 9112 section 9.6).
const LINGER_MAX: Duration = Duration::from_secs(1);
/// How much of it is read at most.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// A connection with its buffers.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    reader: TcpOwnedReadHalf,
    writer: TcpOwnedWriteHalf,
    /// Bytes received; those before `at` are used up.
    input: Vec<u8>,
    at: usize,
    /// Bytes to send with the next exchange.
    pub(crate) out: Vec<u8>,
    /// Responses whose last byte is in `out`: their status, and when their request's head was read.
    unsent: Vec<(u16, Instant)>,
    /// Responses that went out, or will not.
    pub(crate) ended: u64,
    idle: IdleClock,
}

/// Why a read ended without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The peer closed.
    Closed,
    /// Nothing came for the keep-alive time.
    Idle,
}

impl Connection {
    /// Takes over an accepted stream.
    pub(crate) fn new(worker: Rc<Worker>, stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        let idle = IdleClock::new(worker.node.keepalive);
        Self {
            worker,
            reader,
            writer,
            input: Vec::with_capacity(BUFFER_LEN),
            at: 0,
            out: Vec::with_capacity(1024),
            unsent: Vec::new(),
            ended: 0,
            idle,
        }
    }

    /// The bytes that wait to be used.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// When the last of them came: the start of every service time, and no further look at the clock.
    pub(crate) fn received_at(&self) -> Instant {
        self.idle.last
    }

    /// Uses up `len` of them.
    pub(crate) fn consume(&mut self, len: usize) {
        self.at += len;
    }

    /// Lets this connection be silent for as long as it likes.
    pub(crate) fn never_idle(&mut self) {
        self.idle = IdleClock::new(None);
    }

    /// Notes that the whole response to the request that came at `since` is in `out`.
    pub(crate) fn answered(&mut self, status: u16, since: Instant) {
        self.unsent.push((status, since));
    }

    /// Sends what is in `out`, and reads more. The read is queued before the write is awaited: one entry into the
    /// kernel serves both.
    pub(crate) async fn exchange(&mut self) -> io::Result<Result<(), Over>> {
        self.input.drain(..self.at);
        self.at = 0;
        let mut input = std::mem::take(&mut self.input);
        let start = input.len();
        input.reserve(BUFFER_LEN);
        let read = self.reader.read(input.slice_mut(start..));
        if !self.out.is_empty() {
            write(&self.worker, &mut self.writer, &mut self.out).await?;
            self.ended += note(&self.worker, &mut self.unsent, &mut self.idle);
        }
        let Some((result, input)) = self.idle.limit(read).await else { return Ok(Err(Over::Idle)) };
        self.input = input.into_inner();
        self.idle.last = Instant::now();
        Ok(if result? == 0 { Err(Over::Closed) } else { Ok(()) })
    }

    /// Sends what is in `out`.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            write(&self.worker, &mut self.writer, &mut self.out).await?;
        }
        self.ended += note(&self.worker, &mut self.unsent, &mut self.idle);
        Ok(())
    }

    /// Closes the sending half.
    pub(crate) async fn shut(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.writer.shutdown().await
    }

    /// Closes in a way that lets the client read the last response: what it still sends is thrown away.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        self.shut().await?;
        self.idle = IdleClock::new(Some(LINGER_MAX));
        let mut thrown_away = 0;
        while thrown_away < LINGER_BYTES_MAX && self.exchange().await?.is_ok() {
            thrown_away += self.input().len();
            self.consume(self.input().len());
        }
        Ok(())
    }

    /// Throws away what the client sends until it closes or is idle.
    pub(crate) async fn drain(mut self) -> io::Result<()> {
        while self.exchange().await?.is_ok() {
            self.consume(self.input().len());
        }
        Ok(())
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) -> io::Result<()> {
        match self.reader.reunite(self.writer) {
            Ok(stream) => socket::reset(stream),
            Err(_) => Err(io::Error::other("the halves of one connection do not fit together")),
        }
    }
}

async fn write(worker: &Worker, writer: &mut TcpOwnedWriteHalf, out: &mut Vec<u8>) -> io::Result<()> {
    let len = out.len() as u64;
    let (result, buffer) = writer.write_all(std::mem::take(out)).await;
    *out = buffer;
    out.clear();
    result?;
    ledger::add(&worker.ledger().bytes_sent, len);
    Ok(())
}

/// Enters the responses that just went out; returns how many.
fn note(worker: &Worker, unsent: &mut Vec<(u16, Instant)>, idle: &mut IdleClock) -> u64 {
    let now = Instant::now();
    idle.last = now;
    let count = unsent.len() as u64;
    for (status, since) in unsent.drain(..) {
        worker.ledger().answer(status, now - since);
    }
    count
}

/// One timer a connection. It is not moved with each request: when it fires too early, it is set again.
struct IdleClock {
    limit: Option<Duration>,
    last: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleClock {
    fn new(limit: Option<Duration>) -> Self {
        Self { limit, last: Instant::now(), timer: None }
    }

    /// What `read` gives, or `None` when the connection was silent for too long: it must then be closed, because
    /// the bytes of the abandoned read are lost.
    async fn limit<F: Future>(&mut self, read: F) -> Option<F::Output> {
        let mut read = pin!(read);
        poll_fn(|context| {
            if let Poll::Ready(done) = read.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let Some(limit) = self.limit else { return Poll::Pending };
            let deadline = (self.last + limit).into();
            let timer = self.timer.get_or_insert_with(|| Box::pin(monoio::time::sleep_until(deadline)));
            while timer.as_mut().poll(context).is_ready() {
                if deadline <= monoio::time::Instant::now() {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}
