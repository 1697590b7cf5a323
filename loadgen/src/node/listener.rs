//! Listening sockets and the loop that accepts from them.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use monoio::net::TcpListener as Watched;
use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections accepted before others get their turn.
const BATCH_MAX: usize = 64;
/// The pause when the process has no descriptors left: each failed accept would spin otherwise.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);

/// Binds and listens. With `shared`, several sockets may have one address, one a thread.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn bind(address: SocketAddr, backlog: i32, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Binds a UDP socket.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Hands every connection to `take` until the socket stops listening; `pause` lies between two of them.
///
/// # Errors
/// The socket cannot be watched.
pub(crate) async fn accept(
    listener: TcpListener,
    pause: Duration,
    mut take: impl FnMut(TcpStream, SocketAddr),
) -> io::Result<()> {
    // The runtime's own accept leaks the connection when it is cancelled and sets no CLOEXEC.
    let watched = Watched::from_std(listener.try_clone()?)?;
    let batch_max = if pause.is_zero() { BATCH_MAX } else { 1 };
    loop {
        watched.readable(false).await?;
        match accept_batch(&listener, batch_max, &mut take) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(()),
            Err(_) => monoio::time::sleep(EXHAUSTED_PAUSE).await,
        }
        if !pause.is_zero() {
            monoio::time::sleep(pause).await;
        }
    }
}

/// Makes [`accept`] return, and later connections be refused.
pub(crate) fn stop(listener: &TcpListener) -> io::Result<()> {
    Ok(shutdown(listener, Shutdown::Both)?)
}

fn accept_batch(
    listener: &TcpListener,
    max: usize,
    take: &mut impl FnMut(TcpStream, SocketAddr),
) -> io::Result<()> {
    for _ in 0..max {
        match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(io::Error::from) {
            Ok(fd) => {
                let stream = TcpStream::from(fd);
                // A client that is gone again has no address any more.
                if let Ok(peer) = stream.peer_addr() {
                    take(stream, peer);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
