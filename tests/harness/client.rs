//! A raw client: bytes out, strictly read messages in.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;
use super::message::{Message, Side, latin1, parse, parse_head_only};

/// One connection to the balancer.
pub(crate) struct Client {
    socket: TcpStream,
    /// Put in the place of `{host}` in what is sent.
    host: String,
    /// Received and not yet read as a message.
    buffer: Vec<u8>,
    ended: bool,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr, host: &str) -> Self {
        let socket = TcpStream::connect(address).expect("the balancer accepts connections");
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, host: host.to_owned(), buffer: Vec::new(), ended: false }
    }

    /// Sends bytes, with `{host}` filled in.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = fill(bytes.as_ref(), &self.host);
        self.socket.write_all(&bytes).expect("the balancer reads");
        self
    }

    /// Sends as much as the balancer takes: it may answer and close before the end.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.socket.write_all(&fill(bytes.as_ref(), &self.host));
        self
    }

    /// Sends bytes one by one, each in a packet of its own.
    #[track_caller]
    pub(crate) fn drip(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in fill(bytes.as_ref(), &self.host) {
            self.socket.write_all(&[byte]).expect("the balancer reads");
        }
        self
    }

    /// The final response to a GET: interim ones are passed over.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// The final response to a request with this method.
    #[track_caller]
    pub(crate) fn response_to(&mut self, method: &str) -> Message {
        loop {
            let message = self.next(method);
            if message.status() >= 200 || message.status() == 101 {
                return message;
            }
        }
    }

    /// The next response, interim or final.
    #[track_caller]
    pub(crate) fn next(&mut self, method: &str) -> Message {
        loop {
            let side = Side::Response { method, ended: self.ended };
            match parse(&self.buffer, side) {
                Ok(Some(message)) => {
                    self.buffer.drain(..message.len);
                    return message;
                }
                Ok(None) if !self.ended => self.fill_buffer(),
                Ok(None) => panic!("the connection ended after {:?}", self.received()),
                Err(why) => panic!("the balancer answered with {why}, in {:?}", self.received()),
            }
        }
    }

    /// The next response's head, as soon as it is there; its body stays to be read.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Message {
        loop {
            match parse_head_only(&self.buffer, Side::Response { method: "GET", ended: self.ended }) {
                Ok(Some(message)) => {
                    self.buffer.drain(..message.head_len);
                    return message;
                }
                Ok(None) if !self.ended => self.fill_buffer(),
                _ => panic!("no response head in {:?}", self.received()),
            }
        }
    }

    /// Bytes that came and belong to no message that was asked for yet.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Exactly this many raw bytes.
    #[track_caller]
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(!self.ended, "the connection ended after {:?}", self.received());
            self.fill_buffer();
        }
        self.buffer.drain(..count).collect()
    }

    /// All that comes until the balancer closes the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while !self.ended {
            self.fill_buffer();
        }
        std::mem::take(&mut self.buffer)
    }

    /// All that comes until the balancer closes. Once it has been silent for `silence`, the client finishes: a
    /// balancer that waits for more bytes then learns that there are none.
    #[track_caller]
    pub(crate) fn settle(&mut self, silence: Duration) -> Vec<u8> {
        self.socket.set_read_timeout(Some(silence)).unwrap();
        let mut chunk = [0; 65536];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(count) if count > 0 => self.buffer.extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                _ => return std::mem::take(&mut self.buffer),
            }
        }
        self.finish();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.rest()
    }

    /// Checks that the balancer closes the connection and sends nothing more.
    #[track_caller]
    pub(crate) fn closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more than was asked for: {:?}", latin1(&rest));
    }

    /// Sends FIN: nothing more will be sent.
    pub(crate) fn finish(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.socket);
        let _ = socket.set_linger(Some(Duration::ZERO));
    }

    /// The socket itself, for a client library.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    #[track_caller]
    fn fill_buffer(&mut self) {
        let mut chunk = [0; 65536];
        match self.socket.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => self.ended = true,
            Err(e) => panic!("nothing more came ({e}) after {:?}", self.received()),
        }
    }

    fn received(&self) -> String {
        latin1(&self.buffer[..self.buffer.len().min(2000)])
    }
}

/// `{host}` filled in.
pub(crate) fn fill(bytes: &[u8], host: &str) -> Vec<u8> {
    let mut filled = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(bytes, b"{host}") {
        filled.extend_from_slice(&bytes[from..at]);
        filled.extend_from_slice(host.as_bytes());
        from = at + b"{host}".len();
    }
    filled.extend_from_slice(&bytes[from..]);
    filled
}
