//! A gate that a test opens for a script that waits at it.

use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// Closed until it is opened, then open for good. Clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open; fails the test where nobody opens it.
    #[track_caller]
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open, "nobody opened the gate");
    }
}
