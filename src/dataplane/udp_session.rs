//! One socket of a udp listener: every client has a session, with a node and a socket of its own towards it.
//!
//! ```text
//!   client --datagrams--> | listening socket -> session -> its socket, connected | --> node
//!          <--------------| many clients' answers in one call <- epoll set       | <--
//! ```
//! One task serves them all. The listening socket and those of the sessions are in one epoll set, which the ring watches
//! with a single poll; a wake-up moves some batches, and then the rest of the worker has its turn.

mod account;
mod breath;
mod dial;
mod hub;
mod session;

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use self::breath::Breath;
use self::hub::Hub;
use super::socket::Socket;
use super::timers::{Timer, to_ms};
use super::worker::Worker;
use crate::logic::limits::UDP_SWEEP;

/// Serves clients on this socket until the worker has drained.
pub(crate) async fn run(worker: Rc<Worker>, listening: OwnedFd, listener: u16) -> io::Result<()> {
    let timer = worker.timer().await;
    let mut hub = Hub::open(&worker, listening, listener)?;
    let watched = Socket::new(hub.epoll()?)?;
    let breath = Breath::new()?;
    loop {
        match wait(&watched, &timer, &worker, &hub).await {
            Wake::Over => return Ok(()),
            Wake::Time => hub.contain(|hub| hub.sweep(&timer)),
            Wake::Datagrams { at_once } => {
                if at_once {
                    breath.take().await;
                }
                hub.contain(|hub| hub.turn(&timer));
                if !hub.is_empty() {
                    timer.bring_forward(timer.now() + to_ms(UDP_SWEEP));
                }
            }
        }
    }
}

enum Wake {
    /// There is something to receive. `at_once`: nobody else has had a turn since the last time.
    Datagrams { at_once: bool },
    /// Time to look for sessions that have ended.
    Time,
    /// The worker drains, and no session is left.
    Over,
}

async fn wait(watched: &Socket, timer: &Timer, worker: &Worker, hub: &Hub) -> Wake {
    let mut readable = pin!(watched.readable());
    let mut at_once = true;
    std::future::poll_fn(|cx| {
        if worker.is_draining() && hub.is_empty() {
            return Poll::Ready(Wake::Over);
        }
        if timer.expired() {
            return Poll::Ready(Wake::Time);
        }
        if readable.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Wake::Datagrams { at_once });
        }
        at_once = false;
        Poll::Pending
    })
    .await
}

impl Hub {
    /// A panic costs the sessions of this socket, and not the worker.
    fn contain(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.start_over();
        }
    }
}
