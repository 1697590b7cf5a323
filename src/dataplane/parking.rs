//! Where idle client connections wait: without a task and without a buffer.
//!
//! A parked connection is a record of some forty bytes. All of a worker's wait in one epoll set, which the ring watches
//! with a single poll; when one becomes readable it is a session again.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::http_session::{Arrival, Begun};
use super::socket::Socket;
use super::timers::Ms;
use super::worker::{Admission, Worker};

/// Connections that one wake-up brings back.
const BATCH: usize = 64;

/// A connection that waits.
pub(crate) struct Parked {
    pub(crate) fd: OwnedFd,
    pub(crate) admission: Admission,
    /// When it is given up.
    pub(crate) due: Ms,
    /// The part of a request's head that had come, and since when; `None` between requests.
    pub(crate) begun: Option<Box<Begun>>,
}

/// All parked connections of one worker.
pub(crate) struct Parking {
    set: OwnedFd,
    spaces: RefCell<Spaces>,
}

#[derive(Default)]
struct Spaces {
    records: Vec<Option<Parked>>,
    free: Vec<u32>,
}

impl Parking {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { set: epoll::create(epoll::CreateFlags::CLOEXEC)?, spaces: RefCell::default() })
    }

    pub(crate) fn len(&self) -> usize {
        let spaces = self.spaces.borrow();
        spaces.records.len() - spaces.free.len()
    }

    /// Parks a connection. Where the kernel refuses, it closes.
    pub(crate) fn park(&self, parked: Parked) {
        let key = self.spaces.borrow_mut().claim();
        let data = epoll::EventData::new_u64(key as u64);
        let added = epoll::add(&self.set, &parked.fd, data, epoll::EventFlags::IN);
        let mut spaces = self.spaces.borrow_mut();
        match added {
            Ok(()) => spaces.records[key] = Some(parked),
            Err(_) => spaces.release(key),
        }
    }

    fn take(&self, key: usize) -> Option<Parked> {
        let mut spaces = self.spaces.borrow_mut();
        let parked = spaces.records.get_mut(key)?.take()?;
        spaces.release(key);
        drop(spaces);
        let _ = epoll::delete(&self.set, &parked.fd);
        Some(parked)
    }

    /// Those for which `wanted` holds.
    fn take_all(&self, wanted: impl Fn(&Parked) -> bool) -> Vec<Parked> {
        let keys: Vec<_> = {
            let spaces = self.spaces.borrow();
            let numbered = spaces.records.iter().enumerate();
            numbered.filter(|(_, record)| record.as_ref().is_some_and(&wanted)).map(|(key, _)| key).collect()
        };
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }

    /// Gives up those that waited too long: silent ones close, a half-sent head is answered.
    pub(crate) fn expire(&self, now: Ms) {
        for parked in self.take_all(|parked| parked.due <= now) {
            if parked.begun.is_some() {
                resume(parked);
            }
        }
        self.spaces.borrow_mut().shrink();
    }

    /// Closes those between requests, and brings back those with a half-sent head, to be finished.
    pub(crate) fn drain(&self) {
        self.take_all(|parked| parked.begun.is_none());
        self.take_all(|_| true).into_iter().for_each(resume);
    }

    /// Forever: brings back what became readable.
    pub(crate) async fn run(worker: Rc<Worker>) -> io::Result<()> {
        let watched = Socket::new(worker.parking.set.try_clone()?)?;
        let mut events = Vec::with_capacity(BATCH);
        loop {
            watched.readable().await?;
            events.clear();
            let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            // A failing epoll_wait has nothing to say that the next readiness would not.
            let _ = epoll::wait(&worker.parking.set, spare_capacity(&mut events), Some(&none));
            for event in &events {
                let key = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
                if let Some(parked) = worker.parking.take(key) {
                    resume(parked);
                }
            }
        }
    }
}

impl Spaces {
    /// A free place: one that was used before, or a new one at the end.
    fn claim(&mut self) -> usize {
        if let Some(key) = self.free.pop() {
            return key as usize;
        }
        self.records.push(None);
        self.records.len() - 1
    }

    fn release(&mut self, key: usize) {
        // Keys are places in a vector of connections: a 32-bit number of them would need 2^32 descriptors.
        self.free.push(u32::try_from(key).unwrap_or(u32::MAX));
    }

    /// Gives memory back once nobody is parked any more.
    fn shrink(&mut self) {
        if self.free.len() == self.records.len() {
            *self = Self::default();
        }
    }
}

fn resume(parked: Parked) {
    let Parked { fd, admission, begun, .. } = parked;
    let Ok(socket) = Socket::new(fd) else { return };
    Arrival { socket, admission, begun: begun.map(|begun| *begun) }.start();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_distinct_until_they_are_released() {
        let mut spaces = Spaces::default();
        assert_eq!([spaces.claim(), spaces.claim(), spaces.claim()], [0, 1, 2]);
        spaces.release(1);
        assert_eq!([spaces.claim(), spaces.claim()], [1, 3]);
    }
}
