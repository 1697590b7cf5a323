//! One worker: a thread on its core, with its own runtime, listeners, pools and counters.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use crossbeam_utils::CachePadded;

use super::access::LogSink;
use super::buffers::Buf;
use super::descriptors::Descriptors;
use super::driver::{Choice, Driver, Wanted};
use super::http_session::{Arrival, Begun};
use super::parking::Parking;
use super::queue::{LocalQueue, Queues};
use super::socket::Socket;
use super::stats::Stats;
use super::timers::{Timer, Timers};
use super::view::{LocalBackend, View};
use super::{buffers, listener, proxied, splice, tcp_session, udp_session};
use crate::logic::limits::HEAD_BYTES_CEILING;
use crate::logic::proxy_protocol::Ends;
use crate::shared::log_channel::LogSender;
use crate::shared::mailbox::{Command, Inbox, Mailbox};
use crate::shared::report::Report;
use crate::shared::snapshot::{Protocol, Published, Reader};

/// How often a worker reports, sweeps its pools and gives memory back.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often the pools are looked through for connections that their nodes have closed.
const POOL_SWEEP: Duration = Duration::from_millis(100);
/// How often lines of the access log are handed over where a batch does not fill.
const LOG_FLUSH: Duration = Duration::from_millis(100);
/// A worker hands a new connection on where it has this many more than the emptiest, plus an eighth.
const SKEW_SLACK: usize = 4;

/// What a worker is given. Everything in it can cross threads.
pub struct Assignment {
    /// Which worker, from 0.
    pub index: usize,
    /// The core to stay on; `None` leaves it to the kernel.
    pub core: Option<usize>,
    /// Which driver to build.
    pub driver: Wanted,
    /// Its listening sockets, with the listener that each belongs to.
    pub sockets: Vec<(u16, OwnedFd)>,
    /// Settings and nodes.
    pub published: Published,
    /// Where its commands come in.
    pub inbox: Inbox,
    /// The mailboxes of all workers, by index.
    pub workers: Vec<Mailbox>,
    /// What all workers share of their load.
    pub loads: Arc<Loads>,
    /// Where its reports go.
    pub reports: Sender<Report>,
    /// Where its log lines go.
    pub log: LogSender,
    /// Told once, when the worker accepts, or why it cannot.
    pub ready: Sender<io::Result<Choice>>,
}

/// Open connections, of each worker and of each listener.
#[derive(Debug)]
pub struct Loads {
    workers: Vec<CachePadded<AtomicUsize>>,
    listeners: Vec<(CachePadded<AtomicUsize>, usize)>,
}

impl Loads {
    /// For so many workers, and listeners with these limits.
    pub fn new(workers: usize, limits: &[Option<std::num::NonZeroUsize>]) -> Self {
        let listener = |limit: &Option<std::num::NonZeroUsize>| {
            (CachePadded::default(), limit.map_or(usize::MAX, std::num::NonZeroUsize::get))
        };
        Self {
            workers: (0..workers).map(|_| CachePadded::default()).collect(),
            listeners: limits.iter().map(listener).collect(),
        }
    }

    /// One connection fewer at a listener.
    fn leave(&self, listener: u16) {
        if let Some((open, _)) = self.listeners.get(usize::from(listener)) {
            open.fetch_sub(1, Relaxed);
        }
    }
}

/// Runs a worker on this thread until it has drained or was stopped.
pub fn run(assignment: Assignment) {
    if let Some(core) = assignment.core {
        pin(core);
    }
    let mut driver = match Driver::build(assignment.driver) {
        Ok(driver) => driver,
        Err(error) => {
            let _ = assignment.ready.send(Err(error));
            return;
        }
    };
    let choice = driver.choice.clone();
    driver.block_on(live(assignment, choice));
    // Dropping the runtime leaks parked tasks and their descriptors; the process ends right after.
    std::mem::forget(driver);
}

/// Failing to pin costs some speed and no correctness: a container may forbid it.
fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

async fn live(assignment: Assignment, choice: Choice) {
    let Assignment { index, sockets, published, inbox, workers, loads, reports, log, ready, .. } = assignment;
    let worker = match Worker::new(index, published.reader(), workers, loads, reports, log) {
        Ok(worker) => Rc::new(worker),
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    monoio::spawn(Rc::clone(&worker.timers).run());
    monoio::spawn(Parking::run(Rc::clone(&worker)));
    monoio::spawn(flush_log(Rc::clone(&worker)));
    monoio::spawn(obey(Rc::clone(&worker), inbox));
    for (listener, socket) in sockets {
        worker.listening.set(worker.listening.get() + 1);
        let accepting = Rc::clone(&worker);
        monoio::spawn(async move {
            let takes_datagrams = matches!(accepting.view().snapshot.protocol(listener), Protocol::Udp(_));
            let _ = match takes_datagrams {
                true => udp_session::run(Rc::clone(&accepting), socket, listener).await,
                false => listener::run(Rc::clone(&accepting), socket, listener).await,
            };
            accepting.listening.set(accepting.listening.get() - 1);
        });
    }
    let _ = ready.send(Ok(choice));
    worker.keep_house().await;
}

/// Carries out commands as they come.
async fn obey(worker: Rc<Worker>, inbox: Inbox) -> io::Result<()> {
    let bell = Socket::new(inbox.bell().try_clone_to_owned()?)?;
    loop {
        bell.readable().await?;
        inbox.silence();
        while let Some(command) = inbox.next() {
            worker.obey(command);
        }
        while let Some(grant) = inbox.next_grant() {
            worker.queues.deliver(grant);
        }
    }
}

async fn flush_log(worker: Rc<Worker>) {
    loop {
        monoio::time::sleep(LOG_FLUSH).await;
        worker.flush_log();
    }
}

/// What all tasks of one worker share.
pub(crate) struct Worker {
    pub(crate) index: usize,
    reader: RefCell<Reader>,
    view: RefCell<Rc<View>>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) stats: Stats,
    pub(crate) queues: Rc<Queues>,
    pub(crate) parking: Parking,
    pub(crate) descriptors: Descriptors,
    pub(crate) log: LogSink,
    /// Where heads are composed before they are put into a buffer; empty between uses.
    scratch: RefCell<Vec<u8>>,
    random: Cell<u64>,
    date: RefCell<Date>,
    draining: Cell<bool>,
    stopping: Cell<bool>,
    /// Sessions with a task.
    sessions: Cell<usize>,
    /// Those of them that wait for a request.
    pub(crate) idle: Cell<usize>,
    /// Listening sockets that are open.
    listening: Cell<usize>,
    workers: Vec<Mailbox>,
    loads: Arc<Loads>,
}

/// The time as `date` fields have it, made once a second.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Worker {
    fn new(
        index: usize,
        mut reader: Reader,
        workers: Vec<Mailbox>,
        loads: Arc<Loads>,
        reports: Sender<Report>,
        log: LogSender,
    ) -> io::Result<Self> {
        let snapshot = Arc::clone(reader.load());
        let stats = Stats::new(index, reports, &snapshot.listeners);
        let queues = Queues::new(index, workers.clone());
        let view = View::new(snapshot, None, index, &queues);
        Ok(Self {
            index,
            reader: RefCell::new(reader),
            view: RefCell::new(Rc::new(view)),
            timers: Timers::new(),
            stats,
            queues,
            parking: Parking::new()?,
            descriptors: Descriptors::new(),
            log: LogSink::new(log),
            scratch: RefCell::new(Vec::with_capacity(HEAD_BYTES_CEILING)),
            random: Cell::new(seed()?),
            date: RefCell::default(),
            draining: Cell::new(false),
            stopping: Cell::new(false),
            sessions: Cell::new(0),
            idle: Cell::new(0),
            listening: Cell::new(0),
            workers,
            loads,
        })
    }

    /// The newest settings and nodes, with this worker's pools. One atomic load where nothing changed.
    pub(crate) fn view(&self) -> Rc<View> {
        let mut reader = self.reader.borrow_mut();
        let newest = reader.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(newest, &view.snapshot) {
            *view = Rc::new(View::new(Arc::clone(newest), Some(&view), self.index, &self.queues));
        }
        Rc::clone(&view)
    }

    /// A deadline for the task that awaits this.
    pub(crate) async fn timer(&self) -> Timer {
        let waker = std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
        self.timers.register(waker)
    }

    /// Lends the scratch vector, empty.
    pub(crate) fn with_scratch<R>(&self, compose: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        compose(&mut scratch)
    }

    /// A uniform random number (SplitMix64; Steele et al. 2014). Not for secrets.
    pub(crate) fn draw(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An id for a request: 128 random bits in hexadecimal.
    pub(crate) fn request_id(&self) -> [u8; 32] {
        let mut id = [0; 32];
        let bits = (u128::from(self.draw()) << 64) | u128::from(self.draw());
        for (at, digit) in id.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[((bits >> (at * 4)) & 15) as usize];
        }
        id
    }

    /// Milliseconds since the epoch.
    pub(crate) fn wall_clock_ms(&self) -> u64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Lends the current time as an IMF-fixdate (RFC 9110, 5.6.7).
    pub(crate) fn with_date<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        let mut date = self.date.borrow_mut();
        // The coarse clock says when to look at the real one.
        let second = self.timers.now() / 1000 + 1;
        if date.second != second {
            date.second = second;
            date.text = httpdate::fmt_http_date(SystemTime::now());
        }
        take(date.text.as_bytes())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// May one more idle session keep its task and buffer?
    pub(crate) fn has_hot_space(&self) -> bool {
        self.idle.get() < crate::logic::limits::HOT_IDLE_MAX
    }

    pub(crate) fn session_began(&self) {
        self.sessions.set(self.sessions.get() + 1);
    }

    pub(crate) fn session_ended(&self) {
        self.sessions.set(self.sessions.get() - 1);
    }

    /// A place for one more connection at a listener, unless it has as many as it may.
    pub(crate) fn reserve(&self, listener: u16) -> Option<Place<'_>> {
        if let Some((open, limit)) = self.loads.listeners.get(usize::from(listener)) {
            // Taken first and looked at then: two workers cannot both have the last one.
            if open.fetch_add(1, Relaxed) >= *limit {
                open.fetch_sub(1, Relaxed);
                return None;
            }
        }
        Some(Place { loads: &self.loads, listener })
    }

    /// Serves an accepted connection, or hands it to a worker that has far fewer.
    pub(crate) fn admit(self: &Rc<Self>, socket: OwnedFd, peer: Option<SocketAddr>, place: Place<'_>) {
        let listener = place.keep();
        self.stats.accepted(listener);
        // One that drains may be the last to be there.
        let to = if self.is_draining() { self.index } else { self.emptiest() };
        // Counted where it goes before it gets there, so that a burst does not all go to one worker.
        self.loads.workers[to].fetch_add(1, Relaxed);
        if to == self.index {
            return self.serve(socket, peer, listener);
        }
        if let Err(Command::Adopt { socket, peer, listener }) =
            self.workers[to].send(Command::Adopt { socket, peer, listener })
        {
            self.loads.workers[to].fetch_sub(1, Relaxed);
            self.loads.workers[self.index].fetch_add(1, Relaxed);
            self.serve(socket, peer, listener);
        }
    }

    /// Counts a session that has no connection, as a connection is counted.
    pub(crate) fn admit_session(self: &Rc<Self>, place: Place<'_>) -> Admission {
        let listener = place.keep();
        self.stats.accepted(listener);
        self.loads.workers[self.index].fetch_add(1, Relaxed);
        Admission::new(self, listener)
    }

    /// How many connections or sessions a listener may have open.
    pub(crate) fn open_max(&self, listener: u16) -> usize {
        self.loads.listeners.get(usize::from(listener)).map_or(usize::MAX, |(_, limit)| *limit)
    }

    /// The worker with the fewest connections where the difference is worth a hand-over; else this one.
    fn emptiest(&self) -> usize {
        let loads = self.loads.workers.iter().map(|load| load.load(Relaxed));
        let mine = self.loads.workers[self.index].load(Relaxed);
        match loads.enumerate().min_by_key(|&(_, load)| load) {
            Some((at, least)) if mine > least + least / 8 + SKEW_SLACK => at,
            _ => self.index,
        }
    }

    fn serve(self: &Rc<Self>, socket: OwnedFd, peer: Option<SocketAddr>, listener: u16) {
        let admission = Admission::new(self, listener);
        // No descriptor is left for the runtime to watch it with: the connection closes.
        let Ok(socket) = Socket::accepted(socket, peer) else { return };
        let view = self.view();
        let trusted = || socket.peer_address().is_some_and(|peer| view.snapshot.trusts(peer.ip()));
        if view.snapshot.expects_proxy_header(listener) && trusted() {
            return proxied::start(socket, admission);
        }
        self.begin(socket, admission, None);
    }

    /// Serves a connection whose client is known. `first`: what it has sent already.
    pub(crate) fn begin(self: &Rc<Self>, socket: Socket, admission: Admission, first: Option<Buf>) {
        match self.view().snapshot.protocol(admission.listener) {
            Protocol::Http => {
                let since = self.timers.now();
                let begun = first.map(|buf| Begun { bytes: buf.filled().into(), since });
                Arrival { socket, admission, begun }.start();
            }
            Protocol::Tcp(_) | Protocol::TlsByName(_) => tcp_session::start(socket, admission, first),
            // Nothing is accepted there.
            Protocol::Udp(_) => {}
        }
    }

    fn obey(self: &Rc<Self>, command: Command) {
        match command {
            Command::Flush(ticket) => self.report(ticket),
            Command::Settle => self.settle_all(),
            Command::Drain => {
                self.draining.set(true);
                self.parking.drain();
                self.timers.wake_all();
            }
            Command::Stop => self.stopping.set(true),
            Command::Adopt { socket, peer, listener } => self.serve(socket, peer, listener),
        }
    }

    /// Places come from elsewhere than from requests that end: a node that is new, or serves again.
    fn settle_all(&self) {
        self.view().limited().for_each(|backend| backend.settle(|| self.draw()));
    }

    /// The same, for the backend whose queue this is.
    pub(crate) fn settle(&self, queue: &Rc<LocalQueue>) {
        let view = self.view();
        let is_its =
            |backend: &&LocalBackend| backend.queue.as_ref().is_some_and(|own| Rc::ptr_eq(own, queue));
        view.limited().filter(is_its).for_each(|backend| backend.settle(|| self.draw()));
    }

    fn report(&self, ticket: u64) {
        // Lines go first: who sees the numbers may ask for the lines behind them at once.
        self.flush_log();
        let view = self.view();
        self.stats.report(ticket, &view.counted(), &self.queues);
        view.forget_departed();
    }

    fn flush_log(&self) {
        let dropped = self.log.flush();
        if dropped > 0 {
            self.stats.total(|totals| totals.log_lines_dropped += dropped);
        }
    }

    /// Once a second, until the worker has drained or is stopped.
    async fn keep_house(self: &Rc<Self>) {
        let mut memory = Memory::default();
        let mut elapsed = Duration::ZERO;
        const STEP: Duration = Duration::from_millis(25);
        while !self.is_over() {
            monoio::time::sleep(STEP).await;
            elapsed += STEP;
            let now = self.timers.now();
            if elapsed.as_millis().is_multiple_of(POOL_SWEEP.as_millis()) {
                let view = self.view();
                view.nodes().for_each(|node| node.sweep(now));
                // Whoever waits for a node that was taken down looks up, and gives it up.
                if view.nodes().any(|node| node.cut.get() && node.node.in_flight() > 0) {
                    self.timers.wake_all();
                }
                self.settle_all();
            }
            if elapsed < HOUSEKEEPING {
                continue;
            }
            elapsed = Duration::ZERO;
            self.report(0);
            self.parking.expire(now);
            self.queues.tidy();
            buffers::trim();
            splice::trim();
            memory.give_back(self.sessions.get());
        }
        self.flush_log();
        self.report(0);
        // A close is carried out by the ring, which gets its orders when the worker waits: without this one the listener
        // that closed last would stay open for as long as other workers drain, with clients queueing for nobody.
        monoio::time::sleep(STEP).await;
    }

    fn is_over(&self) -> bool {
        let quiet = self.sessions.get() == 0 && self.parking.len() == 0 && self.listening.get() == 0;
        self.stopping.get() || (self.is_draining() && quiet)
    }
}

/// A random number from the kernel.
fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Gives memory back to the system after many sessions have ended.
#[derive(Default)]
struct Memory {
    sessions_most: usize,
    /// How often the heap is still to be walked: what sessions leave behind (pooled buffers, connections to nodes) goes
    /// bit by bit.
    walks: u32,
}

impl Memory {
    /// Fewer than this are not worth the walk through the heap.
    const WORTH: usize = 64;
    const WALKS: u32 = 12;

    fn give_back(&mut self, sessions: usize) {
        self.sessions_most = self.sessions_most.max(sessions);
        if self.sessions_most >= sessions + Self::WORTH && sessions <= self.sessions_most / 2 {
            self.sessions_most = sessions;
            self.walks = Self::WALKS;
        }
        if self.walks > 0 {
            self.walks -= 1;
            crate::shared::memory::collect();
        }
    }
}

/// A place at a listener: given back when dropped, unless a connection was admitted to it.
pub(crate) struct Place<'a> {
    loads: &'a Loads,
    listener: u16,
}

impl Place<'_> {
    /// Leaves it to the [`Admission`] of a connection to give it back.
    fn keep(self) -> u16 {
        let listener = self.listener;
        std::mem::forget(self);
        listener
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.loads.leave(self.listener);
    }
}

/// One open client connection: counted while this exists.
pub(crate) struct Admission {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: u16,
    /// Whose connection it is, as a trusted proxy says.
    pub(crate) said: Option<Box<Ends>>,
}

impl Admission {
    fn new(worker: &Rc<Worker>, listener: u16) -> Self {
        worker.stats.opened(listener);
        Self { worker: Rc::clone(worker), listener, said: None }
    }

    /// The client's address; `None` on a unix socket.
    pub(crate) fn client_address(&self, socket: &Socket) -> Option<SocketAddr> {
        match &self.said {
            Some(ends) => Some(ends.source),
            None => socket.peer_address(),
        }
    }

    /// Both ends as the client sees them.
    pub(crate) fn ends(&self, socket: &Socket) -> Option<Ends> {
        let seen = || Some(Ends { source: socket.peer_address()?, destination: socket.local_address()? });
        self.said.as_deref().copied().or_else(seen)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.worker.stats.closed(self.listener);
        self.worker.loads.workers[self.worker.index].fetch_sub(1, Relaxed);
        self.worker.loads.leave(self.listener);
    }
}

#[cfg(test)]
mod tests;
