//! Where the process stands in its life.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// The phases, in the order in which they pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Workers are being started.
    Starting = 0,
    /// All listeners accept.
    Running = 1,
    /// No listener accepts; what is in flight goes on.
    Draining = 2,
    /// Whatever is left is cut.
    Stopping = 3,
}

/// The phase, shared. It only moves forward.
#[derive(Debug, Clone, Default)]
pub struct RunState(Arc<AtomicU8>);

impl RunState {
    /// Where the process stands now.
    pub fn phase(&self) -> Phase {
        match self.0.load(SeqCst) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    /// Moves to `phase`, unless it is behind that already.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, SeqCst);
    }
}
