//! One client's conversation with one node.

use std::os::fd::OwnedFd;

use super::account::Account;
use crate::dataplane::datagrams::Local;
use crate::dataplane::upstream::InFlight;
use crate::dataplane::worker::{Admission, Worker};
use crate::logic::access::End;

/// See the module. Its place at the listener, its descriptor and its count at the node go with it.
pub(super) struct Session {
    /// Connected to the node.
    pub(super) socket: OwnedFd,
    pub(super) in_flight: InFlight,
    /// Where in its backend the node was when the session began.
    pub(super) at: u16,
    pub(super) account: Account,
    /// What the client spoke to, where we listen on several addresses.
    pub(super) local: Option<Local>,
    /// The first datagram, while the node has neither answered it nor been sent another one.
    pub(super) first: Option<Box<[u8]>>,
    pub(super) admission: Admission,
}

impl Session {
    /// The node has answered. Its first answer is what it is judged by.
    pub(super) fn heard_from_node(&mut self, bytes: u64) {
        self.account.bytes_out += bytes;
        if !self.has_answer() {
            self.first = None;
            self.account.answered(self.in_flight.node());
            self.in_flight.answered(200);
            self.in_flight.responded(200);
        }
    }

    pub(super) fn has_answer(&self) -> bool {
        self.account.first_byte_us > 0
    }

    /// Counts it and writes its line.
    pub(super) fn close(self, worker: &Worker, end: End) {
        let Self { account, in_flight, .. } = self;
        account.close(worker, Some(in_flight.node()), end);
    }

    /// The node was taken down by an operator.
    pub(super) fn is_cut(&self) -> bool {
        self.in_flight.node().cut.get()
    }
}
