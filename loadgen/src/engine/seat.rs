//! A connection's seat in its lane: where orders are laid down and deadlines are kept.
//!
//! All cells: a seat belongs to one thread, and nobody holds a borrow across an await.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// One request to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Intended send, nanoseconds from the start of the run.
    pub intended_ns: u64,
    /// The earliest it could have been sent: the intended time, or when the connection became free.
    pub possible_ns: u64,
    /// Index of the target.
    pub target: u32,
    /// Its number in the run.
    pub number: u64,
}

/// No deadline.
const NEVER: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub struct Seat {
    waker: RefCell<Option<Waker>>,
    order: Cell<Option<Order>>,
    waiting: Cell<bool>,
    free_since_ns: Cell<u64>,
    /// It has had something to do before.
    worked: Cell<bool>,
    dismissed: Cell<bool>,
    deadline_ns: Cell<u64>,
    expired: Cell<bool>,
    abandoned: Cell<bool>,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            waker: RefCell::default(),
            order: Cell::default(),
            waiting: Cell::default(),
            free_since_ns: Cell::default(),
            worked: Cell::default(),
            dismissed: Cell::default(),
            deadline_ns: Cell::new(NEVER),
            expired: Cell::default(),
            abandoned: Cell::default(),
        }
    }
}

impl Seat {
    /// Remembers the task that sits here; to be awaited once, before anything else.
    pub async fn take(&self) {
        poll_fn(|context| {
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Since when a connection that is free now has been so: before its first order, since the start of the run.
    /// What the thread did meanwhile is the thread's own lag.
    #[must_use]
    pub fn free_since(&self, now_ns: u64) -> u64 {
        if self.worked.replace(true) { now_ns } else { 0 }
    }

    /// Says that the connection is free; false when it had said so already.
    pub fn wait(&self, now_ns: u64) -> bool {
        if self.waiting.replace(true) {
            return false;
        }
        self.free_since_ns.set(now_ns);
        true
    }

    /// Whether it waits for an order, or has one that it has not picked up.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let order = self.order.take();
        self.order.set(order);
        self.waiting.get() || order.is_some()
    }

    /// Lays down an order.
    pub fn assign(&self, order: Order) {
        self.waiting.set(false);
        let possible_ns = order.intended_ns.max(self.free_since_ns.get());
        self.order.set(Some(Order { possible_ns, ..order }));
        self.wake();
    }

    /// Picks the order up.
    pub fn pick_up(&self) -> Option<Order> {
        self.order.take()
    }

    /// Says that there will be no more orders.
    pub fn dismiss(&self) {
        self.dismissed.set(true);
        self.wake();
    }

    /// Whether there will be no more orders.
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.get()
    }

    /// Sets the time by which what is under way must be over.
    pub fn set_deadline(&self, at_ns: u64) {
        self.expired.set(false);
        self.deadline_ns.set(at_ns);
    }

    /// What was under way is over.
    pub fn clear_deadline(&self) {
        self.deadline_ns.set(NEVER);
    }

    /// Looks at the deadline; called for every seat some times within a timeout.
    pub fn sweep(&self, now_ns: u64) {
        if self.deadline_ns.get() <= now_ns {
            self.deadline_ns.set(NEVER);
            self.expired.set(true);
            self.wake();
        }
    }

    /// Breaks off what is under way, because the run is.
    pub fn abandon(&self) {
        if self.deadline_ns.get() != NEVER {
            self.abandoned.set(true);
            self.sweep(NEVER);
        }
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expired.get()
    }

    /// Whether that was because the run was broken off.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.get()
    }
}
