//! One connection of a tcp listener: it gets a node, and bytes go both ways until both sides have closed.
//!
//! ```text
//!   dial --node--> flow --silence--> rest: no buffer and no pipe, a poll on each side
//!    |              |  <---a byte----+ |
//!    | fault        | closed, broke    | idle
//!    +--------------+------------------+--> counted and logged
//! ```

mod account;
mod attempts;
mod dial;
mod direction;
mod relay;

use std::rc::Rc;

use self::account::Account;
use self::direction::Direction;
use super::session_task;
use super::socket::Socket;
use super::timers::Timer;
use super::upstream::InFlight;
use super::worker::{Admission, Worker};
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::route::BackendIndex;

/// Serves an accepted connection with a node of this backend; `None`: the listener names one that is not there.
pub(crate) fn start(client: Socket, admission: Admission, backend: Option<BackendIndex>) {
    let worker = Rc::clone(&admission.worker);
    session_task::spawn(worker, run(client, admission, backend));
}

async fn run(client: Socket, admission: Admission, backend: Option<BackendIndex>) {
    let timer = admission.worker.timer().await;
    let account = Account::open(&client, &admission, backend);
    let (up, down) = (Direction::default(), Direction::default());
    let mut session = Session { admission, client, timer, up, down, account };
    let end = match session.connect(backend).await {
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

    async fn connect(&mut self, backend: Option<BackendIndex>) -> Result<Link, End> {
        let backend = backend.ok_or(End::Fault(Fault::NoHealthyNode))?;
        // In a box of its own: what dialling needs is given back before the connection grows old.
        Box::pin(self.dial(backend)).await
    }

    /// Counts it, writes its line, and lets the client know how it ended: only what both sides have closed looks whole.
    fn close(self, end: End) {
        if end != End::Closed {
            self.client.reset_on_close();
        }
        let bytes = (self.up.bytes(), self.down.bytes());
        self.account.close(&self.admission.worker, bytes, end);
    }
}
