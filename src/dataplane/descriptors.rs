//! File descriptors that clients must not take: those of connections to nodes, of the admin API, of an engine. Who is
//! connected shall not notice that there are more who want to be.

use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::process::{Resource, getrlimit};

use crate::logic::limits::RESERVED_FDS;

/// What one worker knows of the process's descriptors.
pub(crate) struct Descriptors {
    /// Clients are accepted below this one: the kernel gives out the lowest that is free, so that as many are in use.
    clients_below: RawFd,
    short: Cell<bool>,
}

impl Descriptors {
    /// As the limit is now.
    pub(crate) fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let clients = limit.saturating_sub(RESERVED_FDS).max(limit / 2);
        Self { clients_below: RawFd::try_from(clients).unwrap_or(RawFd::MAX), short: Cell::new(false) }
    }

    /// Notes which one a client got. True where it is the last that may be accepted for now.
    pub(crate) fn gave(&self, client: &OwnedFd) -> bool {
        let last = client.as_raw_fd() >= self.clients_below;
        self.short.set(last);
        last
    }

    /// Are there too few for another client? `any` is an open one, of which a copy shows which number is free.
    pub(crate) fn are_short(&self, any: &OwnedFd) -> bool {
        if self.short.get() {
            let next = rustix::io::fcntl_dupfd_cloexec(any, 0);
            self.short.set(!next.is_ok_and(|next| next.as_raw_fd() < self.clients_below));
        }
        self.short.get()
    }
}
