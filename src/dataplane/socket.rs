//! The one type that touches the runtime's I/O: a connected stream socket, TCP or unix.
//!
//! At most one read and one write are under way at a time. Both are started, then polled, so one task can wait for
//! either, and a read can be left waiting while the connection idles in a pool: it is how a closed peer is noticed.
//! Everything above speaks of `start_` and `poll_`; another ring could be measured by writing this file again.
#![allow(
    unsafe_code,
    reason = "the runtime wants `&mut` for what are independent operations on one descriptor"
)]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, Canceller};
use monoio::net::TcpStream;

use super::buffers::Buf;

/// What a finished read or write gives back. A read of zero bytes is the end of the stream.
pub(crate) type Done = (io::Result<usize>, Buf);

/// Linux's number of the question how much of a socket's sending queue is left.
const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
/// Linux's ECANCELED: what a cancelled read that had read nothing ends with.
const ECANCELED: i32 = 125;

/// Did a read end because it was cancelled, with nothing lost?
pub(crate) fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ECANCELED)
}

/// A connected stream socket.
pub(crate) struct Socket {
    shared: Rc<Shared>,
    /// One long-lived task for each direction, made at its first operation: starting another one allocates nothing.
    reader: Option<Loop>,
    writer: Option<Loop>,
}

type Loop = Pin<Box<dyn Future<Output = ()>>>;

struct Shared {
    /// `None` once it was given up: by `into_fd`, and at the end.
    stream: UnsafeCell<Option<TcpStream>>,
    read: Slot,
    write: Slot,
    canceller: RefCell<Option<Canceller>>,
    /// Was there a poll, which the ring may still know of?
    polled: Cell<bool>,
    /// The peer's address, where it is known and nobody has asked yet. Boxed: it is asked for once, and connections are many.
    peer: Cell<Option<Box<SocketAddr>>>,
}

impl Shared {
    /// Is neither a read nor a write under way?
    fn is_quiet(&self) -> bool {
        !self.read.is_busy() && !self.write.is_busy()
    }

    /// # Safety
    /// The runtime's read, write and poll take the descriptor out of the stream when they are called, and keep no reference
    /// to it; the stream lives as long as `self`, and all of this is on one thread. The runtime splits its own streams in
    /// the same way. So: no reference may be kept across anything but such a call.
    #[expect(clippy::mut_from_ref, reason = "see the safety section")]
    unsafe fn stream(&self) -> &mut TcpStream {
        // SAFETY: what the caller vouches for.
        match unsafe { &mut *self.stream.get() } {
            Some(stream) => stream,
            None => unreachable!("who gives the stream up owns all of it"),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(stream) = self.stream.get_mut().take() else { return };
        // The runtime closes by an operation, which it then asks the kernel to cancel: two where a call is enough. Its way
        // is needed where operations of this descriptor may be under way, which must be over before it.
        if self.is_quiet() && !self.polled.get() {
            drop(own(stream));
        }
    }
}

/// The descriptor of a stream that no operation uses.
fn own(stream: TcpStream) -> OwnedFd {
    let fd = stream.into_raw_fd();
    // SAFETY: the stream has just given up the descriptor, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// One direction's operation.
#[derive(Default)]
struct Slot {
    stage: Cell<Stage>,
    /// The buffer while the operation waits to be started, and all that it gives back when it has ended: never both.
    held: Cell<Option<Done>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Free,
    Wanted,
    Running,
    Ended,
}

impl Slot {
    /// The next buffer; pending while there is none. Nobody needs to be woken: whoever puts one in polls right after.
    async fn next(&self) -> Buf {
        std::future::poll_fn(|_| match self.stage.get() {
            Stage::Wanted => {
                self.stage.set(Stage::Running);
                self.held.take().map_or(Poll::Pending, |(_, buf)| Poll::Ready(buf))
            }
            _ => Poll::Pending,
        })
        .await
    }

    fn start(&self, buf: Buf) {
        assert!(self.stage.replace(Stage::Wanted) == Stage::Free, "one operation a direction at a time");
        self.held.set(Some((Ok(0), buf)));
    }

    fn end(&self, done: Done) {
        self.stage.set(Stage::Ended);
        self.held.set(Some(done));
    }

    fn finish(&self) -> Option<Done> {
        if self.stage.get() != Stage::Ended {
            return None;
        }
        self.stage.set(Stage::Free);
        self.held.take()
    }

    fn is_busy(&self) -> bool {
        self.stage.get() != Stage::Free
    }
}

impl Socket {
    /// Takes over a connected socket.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // The runtime's stream only ever calls recv, send, poll and close on it, which a unix socket has too.
        let stream = TcpStream::from_std(std::net::TcpStream::from(fd))?;
        let shared = Rc::new(Shared {
            stream: UnsafeCell::new(Some(stream)),
            read: Slot::default(),
            write: Slot::default(),
            canceller: RefCell::default(),
            polled: Cell::new(false),
            peer: Cell::default(),
        });
        Ok(Self { shared, reader: None, writer: None })
    }

    /// Takes over a connection whose peer was told with it.
    pub(crate) fn accepted(fd: OwnedFd, peer: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Self::new(fd)?;
        socket.shared.peer.set(peer.map(Box::new));
        Ok(socket)
    }

    /// Starts a read that appends to `buf`, which has room. It is queued at once.
    pub(crate) fn start_read(&mut self, buf: Buf) {
        self.shared.read.start(buf);
        self.push_reader();
    }

    /// As [`Socket::start_read`], and [`Socket::cancel_read`] can take it back.
    pub(crate) fn start_cancellable_read(&mut self, buf: Buf) {
        self.shared.canceller.borrow_mut().get_or_insert_default();
        self.start_read(buf);
    }

    /// The end of the read that was started.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        if let Some(done) = self.shared.read.finish() {
            return Poll::Ready(done);
        }
        self.run_reader(cx);
        self.shared.read.finish().map_or(Poll::Pending, Poll::Ready)
    }

    /// Asks for the read to end. It still has to be polled to its end: it may have read something.
    pub(crate) fn cancel_read(&self) {
        let mut canceller = self.shared.canceller.borrow_mut();
        if let Some(armed) = canceller.take() {
            armed.cancel();
        }
    }

    /// Is a read under way that nobody has polled to its end?
    pub(crate) fn is_reading(&self) -> bool {
        self.shared.read.is_busy()
    }

    /// Did the peer of an idle connection close it, or send something that nobody asked for?
    pub(crate) fn has_spoken(&mut self) -> bool {
        self.poll_read(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Starts to write all of `buf`. It is queued at once.
    pub(crate) fn start_write(&mut self, buf: Buf) {
        self.shared.write.start(buf);
        self.run_writer(&mut Context::from_waker(Waker::noop()));
    }

    /// The end of the write: all of it, or an error. The buffer comes back with what was not written.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        if let Some(done) = self.shared.write.finish() {
            return Poll::Ready(done);
        }
        self.run_writer(cx);
        self.shared.write.finish().map_or(Poll::Pending, Poll::Ready)
    }

    /// The end of the write, if it has come; nobody is woken when it does. For small writes, whose end is looked at when
    /// something else happens: a wake-up of its own would cost more than the write.
    pub(crate) fn glance_at_write(&mut self) -> Poll<Done> {
        self.poll_write(&mut Context::from_waker(Waker::noop()))
    }

    /// Has the peer sent something that was not read? Closing on it would take back what the peer has not received yet.
    pub(crate) fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(self.fd()).is_ok_and(|bytes| bytes > 0)
    }

    /// Bytes that were written and that the peer has not taken yet; 0 where the kernel does not say.
    pub(crate) fn untaken(&self) -> u32 {
        // SAFETY: TIOCOUTQ, which sockets know as SIOCOUTQ (tcp(7), unix(7)), writes one int, and the getter has room for it.
        let asked = unsafe { rustix::ioctl::ioctl(self.fd(), rustix::ioctl::Getter::<SIOCOUTQ, i32>::new()) };
        asked.ok().and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(0)
    }

    /// Is a write under way?
    pub(crate) fn is_writing(&self) -> bool {
        self.shared.write.is_busy()
    }

    /// Says that nothing more will be sent; reading goes on.
    pub(crate) fn shutdown_write(&self) {
        let _ = rustix::net::shutdown(self.fd(), rustix::net::Shutdown::Write);
    }

    /// Keeps back what is written from now on until the sending side ends, as long as it fills no packet.
    pub(crate) fn send_with_end(&self) {
        // Only TCP has packets to save.
        let _ = rustix::net::sockopt::set_tcp_cork(self.fd(), true);
    }

    /// Makes the close a reset: the peer must not take what it got for the whole.
    pub(crate) fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(self.fd(), Some(std::time::Duration::ZERO));
    }

    /// The peer's address; `None` on a unix socket.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        let ask = || rustix::net::getpeername(self.fd()).ok().flatten();
        let known = self.shared.peer.take().map(|known| *known);
        known.or_else(|| ask().and_then(|address| address.try_into().ok()))
    }

    /// The address that the peer connected to; `None` on a unix socket.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(self.fd()).ok().and_then(|address| address.try_into().ok())
    }

    /// Waits until it can be written to: the end of a connect, or room for more. May be dropped at any time.
    pub(crate) fn writable(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let shared = self.to_poll();
        // SAFETY: nothing but the call uses the reference.
        async move { unsafe { shared.stream() }.writable(false).await }
    }

    /// Waits until it can be read from. May be dropped at any time.
    pub(crate) fn readable(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let shared = self.to_poll();
        // SAFETY: nothing but the call uses the reference.
        async move { unsafe { shared.stream() }.readable(false).await }
    }

    /// For a poll, which the ring may know of for longer than anybody waits for it.
    fn to_poll(&self) -> Rc<Shared> {
        self.shared.polled.set(true);
        Rc::clone(&self.shared)
    }

    /// The error that a connect ended with.
    pub(crate) fn take_error(&self) -> io::Result<()> {
        rustix::net::sockopt::socket_error(self.fd())?.map_err(io::Error::from)
    }

    /// Gives the descriptor back. `None`, and the connection closes, where an operation is still under way.
    pub(crate) fn into_fd(self) -> Option<OwnedFd> {
        let Self { shared, reader, writer } = self;
        if !shared.is_quiet() {
            return None;
        }
        drop((reader, writer));
        let mut shared = Rc::into_inner(shared)?;
        shared.stream.get_mut().take().map(own)
    }

    /// Gives back what operations need, where none is under way: the next one makes it anew.
    pub(crate) fn lighten(&mut self) {
        if !self.shared.read.is_busy() {
            self.reader = None;
            *self.shared.canceller.borrow_mut() = None;
        }
        if !self.shared.write.is_busy() {
            self.writer = None;
        }
    }

    /// The descriptor, for calls that the ring has no part in.
    pub(crate) fn fd(&self) -> impl std::os::fd::AsFd + '_ {
        // SAFETY: only its number is taken; and the descriptor stays open while `self` is borrowed.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(self.shared.stream().as_raw_fd()) }
    }

    /// Queues what was started. Whoever polls next brings the waker that counts.
    fn push_reader(&mut self) {
        self.run_reader(&mut Context::from_waker(Waker::noop()));
    }

    fn run_reader(&mut self, cx: &mut Context<'_>) {
        let shared = &self.shared;
        let reader = self.reader.get_or_insert_with(|| Box::pin(read_loop(Rc::clone(shared))));
        let _ = reader.as_mut().poll(cx);
    }

    fn run_writer(&mut self, cx: &mut Context<'_>) {
        let shared = &self.shared;
        let writer = self.writer.get_or_insert_with(|| Box::pin(write_loop(Rc::clone(shared))));
        let _ = writer.as_mut().poll(cx);
    }
}

async fn read_loop(shared: Rc<Shared>) {
    loop {
        let buf = shared.read.next().await;
        let handle = shared.canceller.borrow().as_ref().map(Canceller::handle);
        // SAFETY: nothing but the read uses the reference.
        let stream = unsafe { shared.stream() };
        let done = match handle {
            Some(handle) => stream.cancelable_read(buf, handle).await,
            None => stream.read(buf).await,
        };
        shared.read.end(done);
    }
}

async fn write_loop(shared: Rc<Shared>) {
    loop {
        let mut buf = shared.write.next().await;
        let total = buf.len();
        let mut result = Ok(total);
        let mut left = total;
        while left > 0 {
            // SAFETY: nothing but the write uses the reference.
            let stream = unsafe { shared.stream() };
            let (written, back) = stream.write(buf).await;
            buf = back;
            match written {
                Ok(0) => {
                    result = Err(io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(count) => {
                    left -= count;
                    buf.advance(count);
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        shared.write.end((result, buf));
    }
}
