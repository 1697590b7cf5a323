//! One connection of a tcp listener: it gets a node, and bytes go both ways until both sides have closed.
//!
//! ```text
//!   hello --name--> dial --node--> flow --silence--> rest: no buffer and no pipe, a poll on each side
//!    |               |              |  <---a byte----+ |
//!    | refused       | fault        | closed, broke    | idle
//!    +---------------+--------------+------------------+--> counted and logged
//! ```

mod account;
mod attempts;
mod dial;
mod direction;
mod hello;
mod relay;

use std::rc::Rc;
use std::sync::Arc;

use self::account::Account;
use self::direction::Direction;
use super::buffers::Buf;
use super::session_task;
use super::socket::Socket;
use super::timers::Timer;
use super::upstream::InFlight;
use super::worker::{Admission, Worker};
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::route::BackendIndex;
use crate::shared::snapshot::Protocol;

/// Serves an accepted connection with a node. `first`: what the client has sent already.
pub(crate) fn start(client: Socket, admission: Admission, first: Option<Buf>) {
    let worker = Rc::clone(&admission.worker);
    session_task::spawn(worker, run(client, admission, first));
}

/// Counts a connection that came to nothing before its listener's protocol began, and resets it.
pub(crate) fn refuse(client: Socket, admission: &Admission, end: End) {
    client.reset_on_close();
    Account::open(&client, admission).close(&admission.worker, (0, 0), end);
}

async fn run(client: Socket, admission: Admission, first: Option<Buf>) {
    let timer = admission.worker.timer().await;
    let account = Account::open(&client, &admission);
    let up = first.map_or_else(Direction::default, Direction::holding);
    let down = Direction::default();
    let mut session = Session { admission, client, timer, up, down, counted: (0, 0), account };
    let end = match session.connect().await {
        Ok(link) => session.relay(link).await,
        Err(end) => end,
    };
    session.close(end);
}

/// A client's connection.
struct Session {
    admission: Admission,
    client: Socket,
    timer: Timer,
    /// From the client to the node.
    up: Direction,
    /// From the node to the client.
    down: Direction,
    /// Bytes of both that are in the worker's totals.
    counted: (u64, u64),
    account: Account,
}

/// The node's side.
struct Link {
    socket: Socket,
    in_flight: InFlight,
}

impl Session {
    fn worker(&self) -> &Rc<Worker> {
        &self.admission.worker
    }

    async fn connect(&mut self) -> Result<Link, End> {
        // In a box of its own: what dialling needs is given back before the connection grows old.
        Box::pin(async {
            let backend = self.backend().await?;
            self.dial(backend).await
        })
        .await
    }

    /// The backend that it goes to.
    async fn backend(&mut self) -> Result<BackendIndex, End> {
        let view = self.worker().view();
        let backend = match view.snapshot.protocol(self.admission.listener) {
            Protocol::Tcp(backend) => *backend,
            Protocol::TlsByName(names) => self.ask_name(names).await?,
            // Its listener was another one's place before a reload.
            Protocol::Http | Protocol::Udp(_) => None,
        };
        let backend = backend.ok_or(End::Fault(Fault::NoHealthyNode))?;
        self.account.backend = Arc::clone(view.backend(backend).name());
        // A reload while the hello came may have put it elsewhere.
        let newest = self.worker().view();
        newest.find_backend(&self.account.backend, backend).ok_or(End::Fault(Fault::NoHealthyNode))
    }

    /// Counts it, writes its line, and lets the client know how it ended: only what both sides have closed looks whole.
    fn close(self, end: End) {
        // An alert that nobody's name is here was the last word already.
        if !matches!(end, End::Closed | End::Fault(Fault::NoRoute)) {
            self.client.reset_on_close();
        }
        let bytes = (self.up.bytes(), self.down.bytes());
        self.account.close(&self.admission.worker, bytes, end);
    }
}
