//! Binds every address before anything starts, and names all that cannot be bound at once.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Settings;
use crate::config::settings::{self, BindAddress};
use crate::logic::limits::{BACKLOG, UDP_BUFFER_BYTES};

/// How often, and how far apart, an address is asked whether somebody is there before it is left alone.
const TAKE_OVER_TRIES: u32 = 20;
const TAKE_OVER_PAUSE: Duration = Duration::from_millis(50);

/// The listening sockets of one worker, with the listener that each belongs to.
pub(super) type WorkerSockets = Vec<(u16, OwnedFd)>;

/// Everything that listens.
pub(super) struct Sockets {
    /// By worker.
    pub(super) listeners: Vec<WorkerSockets>,
    /// By listener, its addresses as text, with the real port where the file says 0.
    pub(super) addresses: Vec<Vec<String>>,
    /// The admin API's.
    pub(super) admin: Option<TcpListener>,
}

/// What goes over a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Stream,
    Datagrams,
}

impl Transport {
    fn of(protocol: &settings::Protocol) -> Self {
        match protocol {
            settings::Protocol::Udp(_) => Self::Datagrams,
            settings::Protocol::Http | settings::Protocol::Tcp(_) | settings::Protocol::TlsByName(_) => {
                Self::Stream
            }
        }
    }
}

/// Binds them. On TCP and UDP each worker gets a socket of its own, and the kernel deals connections and clients out (SO_REUSEPORT).
pub(super) fn all(settings: &Settings, workers: usize) -> Result<Sockets, Vec<String>> {
    let mut sockets =
        Sockets { listeners: (0..workers).map(|_| Vec::new()).collect(), addresses: Vec::new(), admin: None };
    let mut errors = Vec::new();
    for (index, listener) in settings.listeners.iter().enumerate() {
        let mut addresses = Vec::new();
        for bind in &listener.binds {
            match sockets_of(bind, workers, Transport::of(&listener.protocol)) {
                Ok((address, fds)) => {
                    addresses.push(address);
                    let index = u16::try_from(index).unwrap_or(u16::MAX);
                    sockets.listeners.iter_mut().zip(fds).for_each(|(worker, fd)| worker.push((index, fd)));
                }
                Err(error) => {
                    let transport = Transport::of(&listener.protocol);
                    errors.push(explain(
                        bind,
                        transport,
                        &format!("listeners.{}.bind", listener.name),
                        &error,
                    ))
                }
            }
        }
        sockets.addresses.push(addresses);
    }
    if let Some(admin) = &settings.admin {
        match exclusive(admin.bind).and_then(listen) {
            Ok(listener) => sockets.admin = Some(listener),
            Err(error) => {
                errors.push(explain(&BindAddress::Tcp(admin.bind), Transport::Stream, "admin.bind", &error))
            }
        }
    }
    if errors.is_empty() { Ok(sockets) } else { Err(errors) }
}

/// Removes the files of our unix sockets: whoever comes next could not tell them from live ones.
pub(super) fn remove_unix_sockets(settings: &Settings) {
    for bind in settings.listeners.iter().flat_map(|listener| &listener.binds) {
        if let BindAddress::Unix(path) = bind {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The address as text, and one socket for each worker.
fn sockets_of(
    bind: &BindAddress,
    workers: usize,
    transport: Transport,
) -> io::Result<(String, Vec<OwnedFd>)> {
    match bind {
        BindAddress::Tcp(address) if transport == Transport::Datagrams => {
            let address = claim(|| datagrams(*address, false)?.local_addr())?;
            let fds = (0..workers)
                .map(|_| datagrams(address, true).map(OwnedFd::from))
                .collect::<io::Result<_>>()?;
            Ok((address.to_string(), fds))
        }
        BindAddress::Tcp(address) => {
            let address = claim(|| {
                let socket = exclusive(*address)?;
                socket.listen(1)?;
                socket.local_addr()
            })?;
            let fds = (0..workers).map(|_| shared(address).map(OwnedFd::from)).collect::<io::Result<_>>()?;
            Ok((address.to_string(), fds))
        }
        BindAddress::Unix(path) => {
            let listener = unix(path)?;
            let fds =
                (0..workers).map(|_| listener.try_clone().map(OwnedFd::from)).collect::<io::Result<_>>()?;
            Ok((bind.to_string(), fds))
        }
    }
}

/// Makes sure that nobody listens there: SO_REUSEPORT would let us share the port of another balancer, and take half of
/// its connections without a word.
fn claim(alone: impl Fn() -> io::Result<SockAddr>) -> io::Result<SocketAddr> {
    let attempt = || alone()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    let in_use = |claimed: &io::Result<_>| {
        claimed.as_ref().is_err_and(|error: &io::Error| error.kind() == io::ErrorKind::AddrInUse)
    };
    let mut claimed = attempt();
    // As with unix sockets: the listeners of a process that was killed live a moment longer than it does.
    for _ in 1..TAKE_OVER_TRIES {
        if !in_use(&claimed) {
            break;
        }
        std::thread::sleep(TAKE_OVER_PAUSE);
        claimed = attempt();
    }
    claimed
}

fn exclusive(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // An IPv4 address of its own may stand beside it in the file.
        socket.set_only_v6(address.ip().is_loopback() || !address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn shared(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip().is_loopback() || !address.ip().is_unspecified())?;
    }
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A socket for datagrams; `shared` with those of the other workers.
fn datagrams(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip().is_loopback() || !address.ip().is_unspecified())?;
    }
    // What the kernel does not allow is as much as it does.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(UDP_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A file that nobody listens on is left over from a process that was killed.
fn unix(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                let text = "a file that is no socket stands there";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            if is_alive(path) {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Does somebody accept there? The kernel takes down the ring of a process that was killed in the background, and its
/// listener lives that long.
fn is_alive(path: &Path) -> bool {
    (0..TAKE_OVER_TRIES).all(|attempt| {
        if attempt > 0 {
            std::thread::sleep(TAKE_OVER_PAUSE);
        }
        UnixStream::connect(path).is_ok()
    })
}

/// What cannot be bound, why, and by which key or command that changes.
fn explain(bind: &BindAddress, transport: Transport, key: &str, error: &io::Error) -> String {
    let ss = if transport == Transport::Datagrams { "-lunp" } else { "-ltnp" };
    let cure = match (error.kind(), bind) {
        (io::ErrorKind::AddrInUse, BindAddress::Tcp(address)) => format!(
            "another process listens there (`ss {ss} 'sport = :{}'` names it): end it, or change `{key}`",
            address.port()
        ),
        (io::ErrorKind::AlreadyExists, BindAddress::Unix(path)) => {
            format!("move {} away, or change `{key}`", path.display())
        }
        (io::ErrorKind::AddrInUse, BindAddress::Unix(_)) => {
            format!("another process listens there: end it, or change `{key}`")
        }
        (io::ErrorKind::PermissionDenied, BindAddress::Tcp(address)) if address.port() < 1024 => {
            format!("ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or change `{key}`")
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            format!("no interface of this host has the address: change `{key}`")
        }
        _ => format!("change `{key}`"),
    };
    format!("cannot listen on {bind}: {error}\n  help: {cure}")
}
