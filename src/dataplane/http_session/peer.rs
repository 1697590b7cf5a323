//! Who is at the other end of a client connection.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::dataplane::socket::Socket;
use crate::dataplane::worker::Admission;

/// The longest text of an IPv6 address.
const TEXT_MAX: usize = 45;

/// The peer, once a connection: its text is written on every request.
pub(super) struct Peer {
    /// Is it in `trusted_proxies`?
    pub(super) trusted: bool,
    /// `None` for a unix socket.
    pub(super) address: Option<IpAddr>,
    text: [u8; TEXT_MAX],
    length: u8,
}

impl Peer {
    pub(super) fn of(socket: &Socket, admission: &Admission) -> Self {
        // An IPv4 client of an IPv6 listener is known by its IPv4 address.
        let address = admission.client_address(socket);
        let address = address.map(|address: SocketAddr| address.ip().to_canonical());
        let trusted = address.is_some_and(|address| admission.worker.view().snapshot.trusts(address));
        let mut text = [0; TEXT_MAX];
        let mut left = &mut text[..];
        if let Some(address) = address {
            // The text of every address fits.
            let _ = write!(left, "{address}");
        }
        let length = (TEXT_MAX - left.len()) as u8;
        Self { trusted, address, text, length }
    }

    /// The address as text; empty for a unix socket.
    pub(super) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// The address as the log has it.
    pub(super) fn name(&self) -> &str {
        match std::str::from_utf8(self.text()) {
            Ok(text) if !text.is_empty() => text,
            _ => "unix",
        }
    }
}
