//! A process and all that it has started: a process group, which is told to end as one.
//!
//! The command of a node may be a shell, and the server its child. A signal to the shell alone ends the shell, and the
//! server goes on: with the port, and with nobody who would end it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

/// Between two looks at what is left of a family: by far too short for the system to give its number to another one.
const LOOK: Duration = Duration::from_millis(20);

const NOTHING: u8 = 0;
const ASKED: u8 = 1;
const ENDED: u8 = 2;
const OVER: u8 = 3;

/// See the module. It bears the number of its first process, which is nobody else's for as long as one of them is there.
#[derive(Debug)]
pub(super) struct Family {
    group: Pid,
    told: AtomicU8,
}

impl Family {
    /// Of a process that was started as the first of a group of its own.
    pub(super) fn of(first: Pid) -> Self {
        Self { group: first, told: AtomicU8::new(NOTHING) }
    }

    /// The process that was started.
    pub(super) fn first(&self) -> Pid {
        self.group
    }

    /// All of them may end in their own time.
    pub(super) fn ask_to_end(&self) {
        self.tell(ASKED, Signal::TERM);
    }

    /// All of them end now.
    pub(super) fn end(&self) {
        self.tell(ENDED, Signal::KILL);
    }

    fn tell(&self, what: u8, signal: Signal) {
        if self.told.load(Relaxed) != OVER {
            self.told.store(what, Relaxed);
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// To be called at once when the first has ended and was waited for. Those who were asked to end are given their time,
    /// until [`Self::end`]; who was not asked serves nobody any more, and ends now.
    pub(super) async fn outlive_first(&self) {
        while self.told.load(Relaxed) == ASKED && self.is_there() {
            tokio::time::sleep(LOOK).await;
        }
        if self.is_there() {
            self.end();
        }
        self.told.store(OVER, Relaxed);
    }

    fn is_there(&self) -> bool {
        // A balancer that is the first process of a container inherits them, and nobody else would wait for them.
        while let Ok(Some(_)) =
            waitid(WaitId::Pgid(Some(self.group)), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        {}
        test_kill_process_group(self.group) != Err(Errno::SRCH)
    }
}

/// Ends a family when nobody watches it any more: when the balancer ends.
pub(super) struct LastWill<'a>(pub(super) &'a Family);

impl Drop for LastWill<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
