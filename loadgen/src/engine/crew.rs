//! How many connections of a thread are still at work.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// A count that wakes somebody when it falls to nothing.
#[derive(Debug, Default)]
pub struct Crew {
    working: Cell<usize>,
    watcher: RefCell<Option<Waker>>,
}

impl Crew {
    /// One more.
    pub fn join(&self) {
        self.working.set(self.working.get() + 1);
    }

    /// One less.
    pub fn leave(&self) {
        self.working.set(self.working.get() - 1);
        if self.is_empty()
            && let Some(watcher) = self.watcher.borrow_mut().take()
        {
            watcher.wake();
        }
    }

    /// Whether all have gone home.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.working.get() == 0
    }

    /// The same; if not, the waker is woken when the last one goes.
    pub fn is_empty_or_wakes(&self, waker: &Waker) -> bool {
        if !self.is_empty() {
            *self.watcher.borrow_mut() = Some(waker.clone());
        }
        self.is_empty()
    }
}
