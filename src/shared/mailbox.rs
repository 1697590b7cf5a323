//! Commands from the control plane to one worker: a queue, and an eventfd that wakes the worker's ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::event::{EventfdFlags, eventfd};

/// Commands that may wait for one worker: they are rare, so a full queue means a worker that hangs.
const COMMANDS_MAX: usize = 1024;

/// What a worker can be asked.
#[derive(Debug)]
pub enum Command {
    /// Report now; the ticket comes back in [`super::report::Report::ticket`].
    Flush(u64),
    /// Close the listeners, finish what is in flight, close what is idle, then leave.
    Drain,
    /// Cut everything and leave.
    Stop,
    /// Serve this accepted connection: another worker has too many.
    Adopt {
        /// The connection.
        socket: OwnedFd,
        /// The listener it came from.
        listener: u16,
    },
}

/// The sending end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailbox {
    queue: Sender<Command>,
    bell: Arc<OwnedFd>,
}

/// The worker's end.
#[derive(Debug)]
pub struct Inbox {
    queue: Receiver<Command>,
    bell: Arc<OwnedFd>,
}

/// A connected pair. Fails where the process is out of file descriptors.
pub fn mailbox() -> io::Result<(Mailbox, Inbox)> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = bounded(COMMANDS_MAX);
    Ok((Mailbox { queue: sender, bell: Arc::clone(&bell) }, Inbox { queue: receiver, bell }))
}

impl Mailbox {
    /// Puts a command into the queue and rings. Never waits: gives the command back where the queue is full
    /// or the worker is gone.
    pub fn send(&self, command: Command) -> Result<(), Command> {
        match self.queue.try_send(command) {
            Ok(()) => {
                // Fails only where the counter would overflow: then the bell is ringing anyway.
                let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => Err(command),
        }
    }
}

impl Inbox {
    /// The eventfd, to wait on.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Silences the bell. Before the queue is emptied, or a command that comes in between would be lost sight of.
    pub fn silence(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.bell, &mut count);
    }

    /// The next command.
    pub fn next(&self) -> Option<Command> {
        self.queue.try_recv().ok()
    }
}
