//! Connections, TCP and Unix alike, behind one small type.
//!
//! The halves own themselves while they read or write and hand themselves back, so that one pinned place
//! holds operation after operation and nothing is allocated on the way.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt, Splitable};
use monoio::net::tcp::{TcpOwnedReadHalf, TcpOwnedWriteHalf};
use monoio::net::unix::{UnixOwnedReadHalf, UnixOwnedWriteHalf};
use monoio::net::{TcpStream, UnixStream};
use socket2::{Domain, SockAddr, Type};

use super::seat::Seat;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Address and port.
    Tcp(SocketAddr),
    /// Path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => path.display().fmt(out),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub enum Socket {
    /// TCP, with NODELAY.
    Tcp(TcpStream),
    /// A Unix stream.
    Unix(UnixStream),
}

/// The half that reads.
#[derive(Debug)]
pub enum Reader {
    /// See [`Socket::Tcp`].
    Tcp(TcpOwnedReadHalf),
    /// See [`Socket::Unix`].
    Unix(UnixOwnedReadHalf),
}

/// The half that writes.
#[derive(Debug)]
pub enum Writer {
    /// See [`Socket::Tcp`].
    Tcp(TcpOwnedWriteHalf),
    /// See [`Socket::Unix`].
    Unix(UnixOwnedWriteHalf),
}

/// Connects.
///
/// # Errors
/// What the system says; `TimedOut` when the seat's deadline passed first.
pub async fn connect(address: &Address, source: Option<IpAddr>, seat: &Seat) -> io::Result<Socket> {
    let mut opening = pin!(open(address, source));
    poll_fn(|context| match opening.as_mut().poll(context) {
        Poll::Pending if seat.is_expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        other => other,
    })
    .await
}

async fn open(address: &Address, source: Option<IpAddr>) -> io::Result<Socket> {
    match (address, source) {
        (Address::Unix(path), _) => UnixStream::connect(path).await.map(Socket::Unix),
        (Address::Tcp(address), None) => without_delay(TcpStream::connect_addr(*address).await?),
        (Address::Tcp(address), Some(source)) => without_delay(open_from(*address, source).await?),
    }
}

fn without_delay(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

/// The runtime's connect cannot bind first, so this one waits for a plain non-blocking connect.
async fn open_from(address: SocketAddr, source: IpAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            return Err(error);
        }
        _ => {}
    }
    // A second handle on the same socket: the stream does not let its error be asked for.
    let result = socket.try_clone()?;
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable(false).await?;
    result.take_error()?.map_or(Ok(stream), Err)
}

impl Socket {
    /// Both halves.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::Tcp(writer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Unix(reader), Writer::Unix(writer))
            }
        }
    }
}

impl Socket {
    /// The halves of one split together again; `None` when they belong to different sockets.
    #[must_use]
    pub fn join(reader: Reader, writer: Writer) -> Option<Self> {
        match (reader, writer) {
            (Reader::Tcp(reader), Writer::Tcp(writer)) => reader.reunite(writer).ok().map(Self::Tcp),
            (Reader::Unix(reader), Writer::Unix(writer)) => reader.reunite(writer).ok().map(Self::Unix),
            _ => None,
        }
    }
}

/// What comes back from a read or write: the result, the half, the buffer.
pub type Returned<Half> = (io::Result<usize>, Half, Vec<u8>);

impl Reader {
    /// Reads into the whole capacity of a buffer.
    pub async fn read(self, buffer: Vec<u8>) -> Returned<Self> {
        match self {
            Self::Tcp(mut half) => {
                let (result, buffer) = half.read(buffer).await;
                (result, Self::Tcp(half), buffer)
            }
            Self::Unix(mut half) => {
                let (result, buffer) = half.read(buffer).await;
                (result, Self::Unix(half), buffer)
            }
        }
    }
}

impl Writer {
    /// Writes a whole buffer.
    pub async fn write(self, buffer: Vec<u8>) -> Returned<Self> {
        match self {
            Self::Tcp(mut half) => {
                let (result, buffer) = half.write_all(buffer).await;
                (result, Self::Tcp(half), buffer)
            }
            Self::Unix(mut half) => {
                let (result, buffer) = half.write_all(buffer).await;
                (result, Self::Unix(half), buffer)
            }
        }
    }
}
