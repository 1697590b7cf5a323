//! A lane: one thread's connections to one endpoint, and the orders that they share out among themselves.
//!
//! In an open loop an order that is due waits for the first free connection, and a free connection waits
//! for the next order. Orders are never queued: the schedule itself is the queue, so a server that stands
//! still costs no memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::context::Context;
use super::seat::{Order, Seat};
use crate::schedule::{Arrival, Schedule, Share, turn};

/// What a free connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Make this request.
    Order(Order),
    /// Nothing is due yet.
    Wait,
    /// Nothing will be due any more.
    Finished,
}

/// See the module.
#[derive(Debug)]
pub struct Lane {
    context: Rc<Context>,
    supply: RefCell<Supply>,
    free: RefCell<VecDeque<Rc<Seat>>>,
    pacer: RefCell<Option<Waker>>,
    /// The pacer has an order but no connection to give it to.
    starved: Cell<bool>,
}

#[derive(Debug)]
enum Supply {
    Closed { cycle: Vec<u32>, round: u64 },
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    share: Share,
    next: Option<Arrival>,
    /// The same arrivals once more: it runs along with the clock and counts what has come due.
    due: std::iter::Peekable<Share>,
}

impl Lane {
    /// The lane of a thread and an endpoint.
    #[must_use]
    pub fn new(context: Rc<Context>, endpoint: usize) -> Self {
        let supply = RefCell::new(Supply::new(&context, endpoint));
        Self {
            context,
            supply,
            free: RefCell::default(),
            pacer: RefCell::default(),
            starved: Cell::default(),
        }
    }

    /// What a connection has to do that has been free since a moment.
    pub fn turn(&self, now_ns: u64, free_since_ns: u64) -> Turn {
        if self.context.is_stopping() {
            return Turn::Finished;
        }
        let job = &self.context.job;
        match &mut *self.supply.borrow_mut() {
            Supply::Closed { .. } if now_ns >= job.end_ns || !self.context.may_begin(now_ns) => {
                Turn::Finished
            }
            Supply::Closed { cycle, round } => {
                *round += 1;
                Turn::Order(closed_order(&self.context, cycle, *round - 1, now_ns))
            }
            Supply::Open(_) if now_ns >= job.end_ns.saturating_add(job.grace_ns) => Turn::Finished,
            Supply::Open(open) => open.turn(now_ns, free_since_ns),
        }
    }

    /// Says that a connection waits for an order.
    pub fn wait(&self, seat: &Rc<Seat>, now_ns: u64) {
        if seat.wait(now_ns) {
            self.free.borrow_mut().push_back(Rc::clone(seat));
            if self.starved.get() {
                self.wake_pacer();
            }
        }
    }

    /// Intended time of the next order; `None` at the end, and in a closed loop.
    #[must_use]
    pub fn next_due_ns(&self) -> Option<u64> {
        match &*self.supply.borrow() {
            Supply::Open(open) if !self.context.is_stopping() => open.next.map(|arrival| arrival.at_ns),
            _ => None,
        }
    }

    /// Gives what is due to the connections that have waited longest. True when more was due than they were.
    pub fn dispatch(&self, now_ns: u64) -> bool {
        loop {
            if self.next_due_ns().is_none_or(|at_ns| at_ns > now_ns) {
                return false;
            }
            let Some(seat) = self.free.borrow_mut().pop_front() else { return true };
            match self.turn(now_ns, now_ns) {
                Turn::Order(order) => seat.assign(order),
                Turn::Wait | Turn::Finished => {
                    self.free.borrow_mut().push_front(seat);
                    return false;
                }
            }
        }
    }

    /// Waits until a connection is free again, or the run stops.
    pub async fn free_again(&self) {
        self.starved.set(true);
        poll_fn(|context| {
            if self.context.is_stopping() || !self.free.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.set_pacer(context.waker());
            Poll::Pending
        })
        .await;
        self.starved.set(false);
    }

    /// Remembers whom to wake.
    pub fn set_pacer(&self, waker: &Waker) {
        let mut pacer = self.pacer.borrow_mut();
        if !pacer.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *pacer = Some(waker.clone());
        }
    }

    /// Sends every waiting connection home.
    pub fn finish(&self) {
        while let Some(seat) = self.free.borrow_mut().pop_front() {
            seat.dismiss();
        }
    }

    /// The pacer must look again.
    pub fn wake_pacer(&self) {
        if let Some(waker) = self.pacer.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Counts what has come due up to a moment.
    pub fn count_scheduled(&self, now_ns: u64) {
        if let Supply::Open(open) = &mut *self.supply.borrow_mut() {
            let warmup_ns = self.context.job.warmup_ns;
            let mut count = 0;
            while let Some(arrival) = open.due.next_if(|arrival| arrival.at_ns <= now_ns) {
                count += u64::from(arrival.at_ns >= warmup_ns);
            }
            self.context.scheduled(count);
        }
    }

    /// At the end: what was due but never sent.
    pub fn count_dropped(&self, until_ns: u64) {
        if let Supply::Open(open) = &mut *self.supply.borrow_mut() {
            let (mut count, mut first_ns, mut last_ns) = (0, u64::MAX, 0);
            while let Some(arrival) = open.next.filter(|arrival| arrival.at_ns <= until_ns) {
                if self.context.dropped(arrival.at_ns) {
                    count += 1;
                    first_ns = first_ns.min(arrival.at_ns);
                    last_ns = arrival.at_ns;
                }
                open.next = open.share.next();
            }
            self.context.blame_dropped(count, (first_ns, last_ns));
        }
    }
}

impl Supply {
    fn new(context: &Context, endpoint: usize) -> Self {
        let job = &context.job;
        let mine = &job.endpoints[endpoint].mine;
        let Some(load) = &job.load else {
            let cycle = job.cycle.iter().copied().filter(|&target| mine[target as usize]).collect();
            return Self::Closed { cycle, round: 0 };
        };
        let mut share = Share::new(Schedule::new(load), &job.cycle, mine, context.thread as u64, job.threads);
        let due = share.clone().peekable();
        let next = share.next();
        Self::Open(Box::new(Open { share, next, due }))
    }
}

impl Open {
    fn turn(&mut self, now_ns: u64, free_since_ns: u64) -> Turn {
        let Some(arrival) = self.next else { return Turn::Finished };
        if arrival.at_ns > now_ns {
            return Turn::Wait;
        }
        self.next = self.share.next();
        Turn::Order(Order {
            intended_ns: arrival.at_ns,
            possible_ns: arrival.at_ns.max(free_since_ns),
            target: arrival.target,
            number: arrival.number,
        })
    }
}

/// In a closed loop a request is intended when it is sent.
fn closed_order(context: &Context, cycle: &[u32], round: u64, now_ns: u64) -> Order {
    let (thread, threads) = (context.thread as u64, context.job.threads);
    Order {
        intended_ns: now_ns,
        possible_ns: now_ns,
        target: turn(cycle, round, thread, threads),
        // One count for all: two threads, or two hosts, never send the same number.
        number: context.job.next_number(),
    }
}
