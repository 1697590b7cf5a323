//! Commands from the control plane to one worker: a queue, and an eventfd that wakes the worker's ring.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use rustix::event::{EventfdFlags, eventfd};

use super::queue::Grant;

/// Commands that may wait for one worker: they are rare, so a full queue means a worker that hangs.
const COMMANDS_MAX: usize = 1024;

/// What a worker can be asked.
#[derive(Debug)]
pub enum Command {
    /// Report now; the ticket comes back in [`super::report::Report::ticket`].
    Flush(u64),
    /// Requests wait, and there may be places for them that no request gave back: a node is new, or serves again.
    Settle,
    /// Close the listeners, finish what is in flight, close what is idle, then leave.
    Drain,
    /// Cut everything and leave.
    Stop,
    /// Serve this accepted connection: another worker has too many.
    Adopt {
        /// The connection.
        socket: OwnedFd,
        /// Who is at its other end; `None` on a unix socket.
        peer: Option<SocketAddr>,
        /// The listener it came from.
        listener: u16,
    },
}

/// The sending end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailbox {
    queue: Sender<Command>,
    /// Without a bound of its own: a grant that was refused would be a place lost for good, and there are never more of
    /// them than places.
    grants: Sender<Grant>,
    bell: Arc<OwnedFd>,
}

/// The worker's end.
#[derive(Debug)]
pub struct Inbox {
    queue: Receiver<Command>,
    grants: Receiver<Grant>,
    bell: Arc<OwnedFd>,
}

/// A connected pair. Fails where the process is out of file descriptors.
pub fn mailbox() -> io::Result<(Mailbox, Inbox)> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (queue_in, queue_out) = bounded(COMMANDS_MAX);
    let (grants_in, grants_out) = unbounded();
    let mailbox = Mailbox { queue: queue_in, grants: grants_in, bell: Arc::clone(&bell) };
    Ok((mailbox, Inbox { queue: queue_out, grants: grants_out, bell }))
}

impl Mailbox {
    /// Puts a command into the queue and rings. Never waits: gives the command back where the queue is full
    /// or the worker is gone.
    pub fn send(&self, command: Command) -> Result<(), Command> {
        match self.queue.try_send(command) {
            Ok(()) => {
                self.ring();
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => Err(command),
        }
    }

    /// Hands a place to one of the worker's waiting requests. Gives it back where the worker is gone.
    pub fn grant(&self, grant: Grant) -> Result<(), Grant> {
        self.grants.send(grant).map_err(|unsent| unsent.0)?;
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        // Fails only where the counter would overflow: then the bell is ringing anyway.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
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

    /// The next place for a request that waits.
    pub fn next_grant(&self) -> Option<Grant> {
        self.grants.try_recv().ok()
    }
}
