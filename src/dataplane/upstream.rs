//! Connections to nodes: opened, pooled last-in-first-out, and given up when the node has spoken out of turn.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Type};

use super::buffers::{Buf, Size};
use super::queue::LocalQueue;
use super::socket::Socket;
use super::stats::Timing;
use super::timers::{Cut, Ms, Timer, Watch, to_ms};
use crate::logic::limits::{DISTRUST_MAX, UPSTREAM_IDLE, UPSTREAM_IDLE_MAX};
use crate::logic::outlier::is_failure;
use crate::shared::node::{Node, NodeAddress};
use crate::shared::report::{Durations, Phases, new_durations};

/// One node as one worker knows it.
pub(crate) struct LocalNode {
    pub(crate) node: Arc<Node>,
    idle: RefCell<Vec<Idle>>,
    /// Bytes of the responses of late: how large a buffer the next read gets.
    response_bytes: Cell<usize>,
    /// How often of late a connection of the pool turned out to be closed when it was used, less how often it did not;
    /// and how many were given back since one was kept.
    distrust: Cell<(u32, u32)>,
    durations: RefCell<Option<NodeDurations>>,
    /// An operator took it down: what is in flight on it is given up.
    pub(crate) cut: Cut,
    /// Does its backend's strategy go by what it takes to answer?
    pub(crate) measured: Cell<bool>,
}

/// Whole durations, connects, and the other phases.
type NodeDurations = (Durations, Durations, Phases);

/// An open connection that nobody uses. A read is under way on it: the node closing it is seen there.
struct Idle {
    socket: Socket,
    until: Ms,
}

/// A connection that carries a request.
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    /// Has it carried one before?
    pub(crate) reused: bool,
    /// How long opening it took, in microseconds; zero for one from the pool.
    pub(crate) connect_us: u64,
}

impl LocalNode {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            idle: RefCell::default(),
            response_bytes: Cell::new(0),
            distrust: Cell::default(),
            durations: RefCell::default(),
            cut: Cut::default(),
            measured: Cell::new(false),
        }
    }

    /// The connection that was used last, if it is still good.
    pub(crate) fn take_idle(&self, now: Ms) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut socket, until }) = idle.pop() {
            if until > now && !socket.has_spoken() {
                return Some(Connection { socket, reused: true, connect_us: 0 });
            }
        }
        None
    }

    /// Keeps a connection whose framing has proved it clean. `keep_alive_s`: how long the node says it will.
    pub(crate) fn give_idle(&self, mut socket: Socket, keep_alive_s: Option<u32>, now: Ms) {
        // A second less than the node keeps it: a request on its way must not meet the close.
        let said = keep_alive_s.map(|seconds| Duration::from_secs(u64::from(seconds.saturating_sub(1))));
        let keep = said.map_or(UPSTREAM_IDLE, |said| said.min(UPSTREAM_IDLE));
        let mut idle = self.idle.borrow_mut();
        if keep.is_zero() || idle.len() >= UPSTREAM_IDLE_MAX || !self.is_trusted() {
            return;
        }
        self.start_read(&mut socket);
        idle.push(Idle { socket, until: now + to_ms(keep) });
    }

    /// A connection of the pool was closed before it answered: the others are as old, and go with it. A node that does so
    /// again and again has fewer and fewer kept, because each costs it a request more.
    pub(crate) fn was_stale(&self) {
        let (distrust, given) = self.distrust.get();
        self.distrust.set(((distrust + 1).min(DISTRUST_MAX), given));
        self.idle.borrow_mut().clear();
    }

    /// A connection of the pool has answered.
    pub(crate) fn was_good(&self) {
        let (distrust, given) = self.distrust.get();
        if distrust > 0 {
            self.distrust.set((distrust - 1, given));
        }
    }

    /// Is this one of those connections that are kept: all, or of a node that is not trusted one in so many?
    fn is_trusted(&self) -> bool {
        let (distrust, given) = self.distrust.get();
        if distrust == 0 {
            return true;
        }
        let given = (given + 1) % (1 << distrust);
        self.distrust.set((distrust, given));
        given == 0
    }

    /// Starts the read that a response will arrive in.
    pub(crate) fn start_read(&self, socket: &mut Socket) {
        socket.start_read(Buf::new(Size::of_response(self.response_bytes.get())));
    }

    /// Closes what the node closed, and what was not needed for too long.
    pub(crate) fn sweep(&self, now: Ms) {
        self.idle.borrow_mut().retain_mut(|idle| idle.until > now && !idle.socket.has_spoken());
    }

    /// Remembers how large a response was, to read the next one into a buffer that fits.
    pub(crate) fn saw_response(&self, bytes: usize) {
        // Falls slowly, so that a small response between large ones does not make the next large one two reads.
        let decayed = self.response_bytes.get() - self.response_bytes.get() / 8;
        self.response_bytes.set(decayed.max(bytes));
    }

    pub(crate) fn record(&self, timing: Timing) {
        self.with_durations(|(durations, _, phases)| {
            durations.saturating_record(timing.total_us.max(1));
            phases.record(timing.queue_us, 0, timing.first_byte_us);
        });
    }

    pub(crate) fn record_connect(&self, connect_us: u64) {
        self.with_durations(|(_, connects, _)| connects.saturating_record(connect_us.max(1)));
    }

    fn with_durations(&self, change: impl FnOnce(&mut NodeDurations)) {
        change(self.durations.borrow_mut().get_or_insert_with(fresh));
    }

    /// Is there something for [`LocalNode::take_durations`] to take?
    pub(crate) fn has_durations(&self) -> bool {
        let durations = self.durations.borrow();
        durations.as_ref().is_some_and(|(all, connects, _)| !all.is_empty() || !connects.is_empty())
    }

    /// What was recorded since the last call.
    pub(crate) fn take_durations(&self) -> Option<NodeDurations> {
        if self.has_durations() { self.durations.replace(Some(fresh())) } else { None }
    }
}

fn fresh() -> NodeDurations {
    (new_durations(), new_durations(), Phases::default())
}

/// One request in flight on a node: counted exactly, however it ends.
pub(crate) struct InFlight {
    node: Rc<LocalNode>,
    /// It tries out whether an ejected node is well again, and nothing has come of it yet.
    trial: Cell<bool>,
    watch: Watch,
    /// Where its place goes when it ends; `None` where the backend has no limits.
    queue: Option<Rc<LocalQueue>>,
    /// Where the node's limit is found out: when the request began, and with how many in flight.
    began: Option<(Instant, u32)>,
}

impl InFlight {
    /// `None` where the node was ejected since it was picked, and is tried by another request; not where `panics`.
    /// `timer`: the session's, which passes at once where the node is taken down.
    pub(crate) fn begin(node: &Rc<LocalNode>, timer: &Timer, panics: bool) -> Option<Self> {
        let trial = enter(node, panics)?;
        node.node.begin();
        Some(Self::new(node, timer, trial))
    }

    /// On a place that was claimed; as [`Self::begin`]. Where there is none the place is free again, and handed to nobody:
    /// those who wait are no better placed there.
    pub(crate) fn on_place(
        node: &Rc<LocalNode>,
        queue: &Rc<LocalQueue>,
        timer: &Timer,
        panics: bool,
    ) -> Option<Self> {
        let Some(trial) = enter(node, panics) else {
            node.node.give_back();
            return None;
        };
        node.node.count_request();
        let mut this = Self::new(node, timer, trial);
        this.began = node.node.adaptive().map(|_| (Instant::now(), node.node.in_flight()));
        this.queue = Some(Rc::clone(queue));
        Some(this)
    }

    fn new(node: &Rc<LocalNode>, timer: &Timer, trial: bool) -> Self {
        Self {
            trial: Cell::new(trial),
            watch: timer.watch(&node.cut),
            node: Rc::clone(node),
            queue: None,
            began: None,
        }
    }

    /// Ends the watch of the timer: of a task that holds many of these, none speaks for the others.
    pub(crate) fn unwatched(self) -> Self {
        self.watch.end();
        self
    }

    pub(crate) fn node(&self) -> &Rc<LocalNode> {
        &self.node
    }

    /// The node refused it, broke off, was late or answered nonsense.
    pub(crate) fn failed(&self) {
        self.watch.end();
        self.node.node.count_error();
        self.node.node.conduct.bad(self.trial.take());
    }

    /// The node answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        if status >= 500 {
            self.node.node.count_error();
        }
        if is_failure(status) {
            self.node.node.conduct.bad(self.trial.take());
        } else {
            self.node.node.conduct.good(self.trial.take());
        }
    }

    /// A response with this status has begun.
    pub(crate) fn responded(&self, status: u16) {
        // A failure says nothing of how much a node can do: it may fail in no time.
        if let Some(((began, in_flight), adaptive)) = self.began.zip(self.node.node.adaptive())
            && status < 500
        {
            let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            adaptive.answered(took_us, in_flight);
        }
    }

    /// The node took a connection.
    pub(crate) fn connected(&self) {
        self.node.node.conduct.connected();
    }

    /// The node took no connection: it is left alone for a while.
    pub(crate) fn refused(self) {
        self.node.node.conduct.refused();
        self.set_free();
    }

    /// Its place is free, but handed to nobody: those who wait would run into the same wall, one after the other, as fast
    /// as the node refuses.
    pub(crate) fn set_free(mut self) {
        // Without the queue it ends as any other.
        self.queue = None;
    }
}

/// Is a request to this node its trial? `None` where it must not be sent there.
fn enter(node: &LocalNode, panics: bool) -> Option<bool> {
    match node.node.conduct.enter() {
        Ok(trial) => Some(trial),
        Err(_) => panics.then_some(false),
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match &self.queue {
            None => self.node.node.end(),
            Some(queue) => queue.hand_on(Arc::clone(&self.node.node)),
        }
        if self.trial.get() {
            self.node.node.conduct.undecided();
        }
    }
}

/// Opens a connection. The future may be dropped at any time: the descriptor closes with it.
pub(crate) async fn connect(address: &NodeAddress) -> io::Result<Connection> {
    let began = Instant::now();
    let (fd, waiting) = begin_connect(address)?;
    let socket = Socket::new(fd)?;
    // With epoll readiness is an event: a write that begins before it has come waits for it, and nobody may be waiting for
    // that write.
    if waiting || monoio::utils::is_legacy() {
        socket.writable().await?;
        socket.take_error()?;
    }
    let connect_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Connection { socket, reused: false, connect_us })
}

/// A non-blocking connect(2): (the socket, whether its outcome has to be waited for).
fn begin_connect(address: &NodeAddress) -> io::Result<(OwnedFd, bool)> {
    let (domain, protocol, to) = match address {
        NodeAddress::Tcp(address) => {
            (Domain::for_address(*address), Some(Protocol::TCP), SockAddr::from(*address))
        }
        NodeAddress::Unix(path) => (Domain::UNIX, None, SockAddr::unix(path)?),
        NodeAddress::Unresolved(_) => return Err(io::ErrorKind::NotFound.into()),
    };
    let socket = socket2::Socket::new(domain, Type::STREAM.nonblocking(), protocol)?;
    if protocol.is_some() {
        socket.set_tcp_nodelay(true)?;
    }
    match socket.connect(&to) {
        Ok(()) => Ok((socket.into(), false)),
        // On the same machine the whole handshake is over when the call returns, which says so only when it is asked again:
        // that is cheaper than the ring's poll.
        Err(error) if is(&error, Errno::INPROGRESS) => match socket.connect(&to) {
            Ok(()) => Ok((socket.into(), false)),
            Err(error) if is(&error, Errno::ALREADY) => Ok((socket.into(), true)),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
