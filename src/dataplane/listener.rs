//! Accepts connections, evens out their number between the workers, and never spins where descriptors run out.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::socket::Socket;
use super::worker::Worker;
use crate::logic::limits::{ACCEPT_BATCH_MAX, ACCEPT_PAUSE};

/// Accepts on one listening socket until the worker drains.
pub(crate) async fn run(worker: Rc<Worker>, fd: OwnedFd, listener: u16) -> io::Result<()> {
    let accepting = fd.try_clone()?;
    let watched = Socket::new(fd)?;
    while readable_or_drained(&worker, &watched).await {
        if accept_batch(&worker, &accepting, listener) == Batch::Stuck {
            monoio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
    // Connections that the kernel has queued by now would be reset by the close.
    while accept_batch(&worker, &accepting, listener) == Batch::Full {}
    Ok(())
}

/// What came of a round of accepting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// Nobody waits any more.
    Last,
    /// There may be more: the others have their turn first.
    Full,
    /// There is no place left at the listener, or no descriptor or memory: a pause is better than a spin.
    Stuck,
}

/// True when there is something to accept, false when the worker drains.
async fn readable_or_drained(worker: &Rc<Worker>, watched: &Socket) -> bool {
    let timer = worker.timer().await;
    let mut readable = pin!(watched.readable());
    std::future::poll_fn(|cx| {
        // The timer never fires; it is what a drain wakes this task by.
        if worker.is_draining() || timer.expired() {
            return Poll::Ready(false);
        }
        readable.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// Takes what is there, up to a limit.
fn accept_batch(worker: &Rc<Worker>, listening: &OwnedFd, listener: u16) -> Batch {
    for _ in 0..ACCEPT_BATCH_MAX {
        if worker.descriptors.are_short(listening) {
            return Batch::Stuck;
        }
        let Some(place) = worker.reserve(listener) else { return Batch::Stuck };
        match acceptfrom_with(listening, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok((socket, peer)) => {
                // None of a unix socket.
                let peer = peer.and_then(|peer| peer.try_into().ok());
                if worker.descriptors.gave(&socket) {
                    worker.stats.total(|totals| totals.accept_errors += 1);
                }
                worker.admit(socket, peer, place);
            }
            Err(Errno::AGAIN) => return Batch::Last,
            // The client left while it was queued: the next one may be there.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM) => {}
            Err(_) => {
                worker.stats.total(|totals| totals.accept_errors += 1);
                return Batch::Stuck;
            }
        }
    }
    Batch::Full
}
