//! Deadlines: one a session, looked at every [`TIMER_TICK`], instead of a timer object an operation.
//!
//! Setting a deadline is one store. The price is that it fires up to a tick late, which no timeout of a proxy minds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::logic::limits::TIMER_TICK;

/// Milliseconds since the worker began.
pub(crate) type Ms = u64;

const NEVER: Ms = Ms::MAX;

/// All deadlines of one worker, and its coarse clock.
#[derive(Debug)]
pub(crate) struct Timers {
    began: Instant,
    now: Cell<Ms>,
    entries: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug)]
struct Entry {
    due: Cell<Ms>,
    waker: Waker,
    /// Where one becomes true, the deadline has passed whatever it is. A request is on two nodes at most.
    cuts: RefCell<[Option<Cut>; 2]>,
}

/// A reason to give up many exchanges at once, shared by all of them.
pub(crate) type Cut = Rc<Cell<bool>>;

impl Timers {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            began: Instant::now(),
            now: Cell::new(0),
            entries: RefCell::default(),
            free: RefCell::default(),
        })
    }

    /// The coarse clock, at most a tick behind.
    pub(crate) fn now(&self) -> Ms {
        self.now.get()
    }

    /// A deadline for the task that `waker` wakes.
    pub(crate) fn register(self: &Rc<Self>, waker: Waker) -> Timer {
        let entry = Rc::new(Entry { due: Cell::new(NEVER), waker, cuts: RefCell::default() });
        let mut entries = self.entries.borrow_mut();
        let key = self.free.borrow_mut().pop().unwrap_or(entries.len());
        match entries.get_mut(key) {
            Some(slot) => *slot = Some(Rc::clone(&entry)),
            None => entries.push(Some(Rc::clone(&entry))),
        }
        Timer { timers: Rc::clone(self), entry, key }
    }

    /// Moves the clock, and wakes every task whose deadline has passed.
    pub(crate) fn tick(&self) {
        self.now.set(to_ms(self.began.elapsed()));
        self.wake_due(self.now());
    }

    /// Wakes every task that has a deadline, so that it looks at the worker's state again.
    pub(crate) fn wake_all(&self) {
        self.wake_due(NEVER);
    }

    fn wake_due(&self, until: Ms) {
        for entry in self.entries.borrow().iter().flatten() {
            if entry.due.get() <= until {
                entry.waker.wake_by_ref();
            }
        }
    }

    /// Forever: the task that ticks.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            monoio::time::sleep(TIMER_TICK).await;
            self.tick();
        }
    }
}

/// One task's deadline.
#[derive(Debug)]
pub(crate) struct Timer {
    timers: Rc<Timers>,
    entry: Rc<Entry>,
    key: usize,
}

impl Timer {
    pub(crate) fn now(&self) -> Ms {
        self.timers.now()
    }

    /// Sets the deadline to `after` from now.
    pub(crate) fn set(&self, after: Duration) {
        self.set_at(self.now() + to_ms(after));
    }

    /// Sets it to this time.
    pub(crate) fn set_at(&self, due: Ms) {
        self.entry.due.set(due);
    }

    /// Sets it to `due` where it is later.
    pub(crate) fn bring_forward(&self, due: Ms) {
        self.entry.due.set(self.entry.due.get().min(due));
    }

    /// Has it passed?
    pub(crate) fn expired(&self) -> bool {
        let cut = || self.entry.cuts.borrow().iter().flatten().any(|cut| cut.get());
        self.entry.due.get() <= self.now() || cut()
    }

    /// While the result exists, the deadline has passed where `cut` is true.
    pub(crate) fn watch(&self, cut: &Cut) -> Watch {
        let mut cuts = self.entry.cuts.borrow_mut();
        let place = usize::from(cuts[0].is_some());
        cuts[place] = Some(Rc::clone(cut));
        Watch { entry: Rc::clone(&self.entry), place }
    }
}

/// See [`Timer::watch`].
#[derive(Debug)]
pub(crate) struct Watch {
    entry: Rc<Entry>,
    place: usize,
}

impl Watch {
    /// Ends it: from here on the deadline is the time's alone.
    pub(crate) fn end(&self) {
        self.entry.cuts.borrow_mut()[self.place] = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.entries.borrow_mut()[self.key] = None;
        self.timers.free.borrow_mut().push(self.key);
    }
}

/// Whole milliseconds; what does not fit is forever.
pub(crate) fn to_ms(duration: Duration) -> Ms {
    Ms::try_from(duration.as_millis()).unwrap_or(NEVER)
}
