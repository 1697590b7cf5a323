//! A pause in which every other task of the worker has its turn.
//!
//! With epoll a task whose socket is always ready would go on without ever being pending; and a task that wakes itself
//! starves the others all the same. What comes back through the kernel does neither: the others run, and then the worker
//! asks the kernel for news, of theirs too.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::Poll;

use rustix::event::{EventfdFlags, eventfd};

use crate::dataplane::socket::Socket;

/// See the module.
pub(super) struct Breath {
    bell: OwnedFd,
    watched: Socket,
}

impl Breath {
    pub(super) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let watched = Socket::new(bell.try_clone()?)?;
        Ok(Self { bell, watched })
    }

    pub(super) async fn take(&self) {
        let mut rung = pin!(self.watched.readable());
        let mut waits = false;
        std::future::poll_fn(|cx| {
            let heard = rung.as_mut().poll(cx).is_ready();
            if heard || waits {
                return if heard { Poll::Ready(()) } else { Poll::Pending };
            }
            waits = true;
            // Rung once somebody waits for it: a bell that cannot be rung must not be waited for.
            match rustix::io::write(&self.bell, &1_u64.to_ne_bytes()) {
                Ok(_) => Poll::Pending,
                Err(_) => Poll::Ready(()),
            }
        })
        .await;
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }
}
