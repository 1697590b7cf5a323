//! A node for a session: picked as for a request, another one where a datagram cannot even leave.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use crate::dataplane::datagrams;
use crate::dataplane::timers::Timer;
use crate::dataplane::upstream::InFlight;
use crate::dataplane::view::{LocalBackend, Taken};
use crate::logic::fault::Fault;
use crate::logic::limits::CONNECT_ATTEMPTS_MAX;
use crate::shared::clock;
use crate::shared::node::NodeAddress;

/// A node, and the socket towards it.
pub(super) struct Link {
    pub(super) at: u16,
    pub(super) socket: OwnedFd,
    pub(super) in_flight: InFlight,
}

/// Why there is none.
pub(super) enum Failed {
    Fault(Fault),
    /// This process has no descriptor or memory left.
    Exhausted,
}

/// Nodes that have refused a session already.
#[derive(Default)]
pub(super) struct Refused {
    nodes: [u16; CONNECT_ATTEMPTS_MAX],
    count: usize,
}

impl Refused {
    /// May another one be asked? Then one retry of the budget is spent.
    pub(super) fn by(&mut self, at: u16, backend: &LocalBackend) -> bool {
        self.nodes[self.count] = at;
        self.count += 1;
        self.count < CONNECT_ATTEMPTS_MAX
            && backend.has_other(&self.nodes[..self.count])
            && backend.budget().spend(backend.retry().budget_permille, clock::now_ms())
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.count).unwrap_or(u32::MAX)
    }
}

/// A node for this client. Nobody waits for one: a datagram that is late is worth nothing.
pub(super) fn dial(
    backend: &LocalBackend,
    client: IpAddr,
    refused: &mut Refused,
    mut draw: impl FnMut() -> u64,
    timer: &Timer,
) -> Result<Link, Failed> {
    let mut tie = backend.tie_client(Some(client));
    let mut last = Fault::NoHealthyNode;
    loop {
        let tried = &refused.nodes[..refused.count];
        let (at, in_flight) = match backend.take(&mut tie, tried, draw(), Instant::now(), timer) {
            Taken::Node(at, in_flight) => (at, in_flight.unwatched()),
            Taken::Busy(_) => return Err(Failed::Fault(Fault::QueueFull)),
            Taken::Nobody => return Err(Failed::Fault(last)),
        };
        match connect(&in_flight.node().node.address) {
            Ok(socket) => return Ok(Link { at, socket, in_flight }),
            Err(error) if is_exhaustion(&error) => return Err(Failed::Exhausted),
            Err(_) => {
                last = Fault::ConnectFailed;
                in_flight.failed();
                let goes_on = refused.by(at, backend);
                in_flight.set_free();
                if !goes_on {
                    return Err(Failed::Fault(last));
                }
            }
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN))
}

/// A socket that hears this node alone. Connecting fails only where there is no way there.
fn connect(address: &NodeAddress) -> io::Result<OwnedFd> {
    let NodeAddress::Tcp(address) = address else { return Err(io::ErrorKind::NotFound.into()) };
    let address: SocketAddr = *address;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.connect(&address.into())?;
    datagrams::join_received(&socket);
    Ok(socket.into())
}
