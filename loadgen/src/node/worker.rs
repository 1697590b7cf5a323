//! What the connections of one thread share, and what the threads of one node share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_lock::{Semaphore, SemaphoreGuard};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    args::NodeArgs,
    behaviour::Behaviour,
    ledger::{Account, Ledger},
    reply,
};
use crate::driver::Driver;

/// The node: one of it a process, shared by its threads.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) health_path: String,
    pub(crate) control: bool,
    pub(crate) ledgers: Vec<Ledger>,
    /// Set once, by the first thread that has a runtime.
    pub(crate) driver: OnceLock<Driver>,
    /// Whether the health path answers 200. Relaxed: it orders nothing else.
    healthy: AtomicBool,
    /// Set at the end: responses say `connection: close`. Relaxed: it orders nothing else.
    draining: AtomicBool,
    started: Instant,
    ready_at: Instant,
    behaviour: Mutex<Arc<Behaviour>>,
    /// Rises, under the lock, with each change of `behaviour`, so that threads need not take the lock to see that
    /// there was none. Relaxed is enough: the lock orders what matters, a late look only delays the change.
    version: AtomicU64,
    limit: Option<Limit>,
}

/// How many requests are served at once, and how many may wait.
#[derive(Debug)]
struct Limit {
    slots: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Node {
    /// A node as the flags ask for, with one ledger a thread.
    pub(crate) fn new(args: &NodeArgs, name: String, behaviour: Behaviour) -> Self {
        let started = Instant::now();
        Self {
            name,
            keepalive: Some(args.keepalive).filter(|time| !time.is_zero()),
            health_path: args.health_path.clone(),
            control: !args.no_control,
            ledgers: (0..args.threads).map(|_| Ledger::new()).collect(),
            driver: OnceLock::new(),
            healthy: AtomicBool::new(!args.unhealthy),
            draining: AtomicBool::new(false),
            started,
            ready_at: started + args.ready_delay,
            behaviour: Mutex::new(Arc::new(behaviour)),
            version: AtomicU64::new(0),
            limit: args.limit.map(|slots| Limit {
                slots: Semaphore::new(slots),
                waiting: AtomicUsize::new(0),
                waiting_max: args.queue,
            }),
        }
    }

    /// The behaviour now.
    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the behaviour for all requests that begin from now on.
    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        let mut current = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(behaviour);
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the health path answers 200.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && Instant::now() >= self.ready_at && !self.is_draining()
    }

    /// Toggles the health path.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Whether the node is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Starts the end: no connection is kept after its present request.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What all threads saw.
    pub(crate) fn account(&self) -> Account {
        let driver = self.driver.get().map_or("none", Driver::name);
        Account::of(&self.name, driver, self.started, &self.ledgers)
    }

    /// A place among the requests that are served at once; waits for one where the queue has room.
    /// `Err` when it has not.
    pub(crate) async fn enter(&self) -> Result<Option<SemaphoreGuard<'_>>, ()> {
        let Some(limit) = &self.limit else { return Ok(None) };
        if let Some(place) = limit.slots.try_acquire() {
            return Ok(Some(place));
        }
        if limit.waiting.fetch_add(1, Ordering::Relaxed) >= limit.waiting_max {
            limit.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(());
        }
        let place = limit.slots.acquire().await;
        limit.waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(Some(place))
    }
}

/// One thread of a node.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) node: Arc<Node>,
    index: usize,
    random: RefCell<SmallRng>,
    version: Cell<u64>,
    current: RefCell<Current>,
}

/// The behaviour as this thread last saw it, and the whole response to a plain request where it allows one.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) behaviour: Arc<Behaviour>,
    pub(crate) plain: Option<Rc<[u8]>>,
}

impl Worker {
    /// The thread `index` of `node`.
    pub(crate) fn new(node: Arc<Node>, index: usize, seed: u64) -> Self {
        let version = node.version.load(Ordering::Relaxed);
        let current = Current::of(&node);
        let random = SmallRng::seed_from_u64(seed.wrapping_add(index as u64));
        Self {
            node,
            index,
            random: RefCell::new(random),
            version: Cell::new(version),
            current: RefCell::new(current),
        }
    }

    /// This thread's counters.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.node.ledgers[self.index]
    }

    /// The behaviour now, brought up to date.
    pub(crate) fn current(&self) -> std::cell::Ref<'_, Current> {
        let version = self.node.version.load(Ordering::Relaxed);
        if version != self.version.replace(version) {
            *self.current.borrow_mut() = Current::of(&self.node);
        }
        self.current.borrow()
    }

    /// Whether a draw falls into `share`.
    pub(crate) fn strikes(&self, share: f64) -> bool {
        share >= 1.0 || self.random.borrow_mut().random::<f64>() < share
    }

    /// Draws the delay of one request.
    pub(crate) fn draw(&self, behaviour: &Behaviour) -> Duration {
        behaviour.delay.draw(&mut *self.random.borrow_mut())
    }
}

impl Current {
    fn of(node: &Node) -> Self {
        let behaviour = node.behaviour();
        let plain = behaviour.is_plain().then(|| {
            let has_body = behaviour.has_body();
            reply::canned(behaviour.status, behaviour.size, &node.name, &behaviour.headers, has_body).into()
        });
        Self { behaviour, plain }
    }
}
