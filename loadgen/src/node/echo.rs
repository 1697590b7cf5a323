//! Echo of raw TCP and of UDP, for what has no HTTP in it.

use std::{io, net, rc::Rc};

use monoio::{
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt},
    net::{TcpStream, udp::UdpSocket},
};

use super::{connection::BUFFER_LEN, ledger::add, worker::Worker};

/// The largest UDP payload there is.
const PACKET_MAX: usize = 65_535;

/// Sends back what comes, until the client closes its half; then closes too.
pub(crate) async fn tcp(worker: Rc<Worker>, mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_LEN);
    loop {
        let (result, mut filled) = stream.read(buffer).await;
        match result? {
            0 => return stream.shutdown().await,
            read => filled.truncate(read),
        }
        let (result, emptied) = stream.write_all(filled).await;
        add(&worker.ledger().tcp_echo_bytes, result? as u64);
        buffer = emptied;
        buffer.clear();
    }
}

/// Sends every packet back to where it came from, for ever.
///
/// # Errors
/// The socket cannot be used at all; a packet that cannot be sent back is only not counted.
pub(crate) async fn udp(worker: Rc<Worker>, socket: net::UdpSocket) -> io::Result<()> {
    let socket = UdpSocket::from_std(socket)?;
    let mut buffer = Vec::with_capacity(PACKET_MAX);
    loop {
        let (result, filled) = socket.recv_from(buffer).await;
        let (filled, sent) = match result {
            Ok((_, from)) => {
                let (result, filled) = socket.send_to(filled, from).await;
                (filled, result.is_ok())
            }
            // An earlier packet's destination is closed (ICMP): that says nothing about the next one.
            Err(_) => (filled, false),
        };
        add(&worker.ledger().udp_echo_packets, u64::from(sent));
        buffer = filled;
        buffer.clear();
    }
}
