//! A balancer with a monitor, and viewers of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::harness::PATIENCE;
use crate::harness::balancer::Balancer;
use crate::harness::origin::Origin;

pub(crate) struct Rig {
    pub(crate) balancer: Balancer,
}

impl Rig {
    /// Before these nodes.
    #[track_caller]
    pub(crate) fn before(nodes: &[SocketAddr]) -> Self {
        let servers: Vec<_> = nodes.iter().map(|node| format!("{{ url: \"http://{node}\" }}")).collect();
        let config = format!(
            "access_log: off\nworkers: 2\nlisteners: {{ web: {{ bind: \"127.0.0.1:0\" }} }}\n\
             admin: {{ bind: \"127.0.0.1:0\" }}\nroutes: [{{ path: /*, backend: node }}]\n\
             backends: {{ node: {{ servers: [{}] }} }}\n",
            servers.join(", ")
        );
        Self { balancer: Balancer::start(&config) }
    }

    #[track_caller]
    pub(crate) fn start(origin: &Origin) -> Self {
        Self::before(&[origin.address()])
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.balancer.admin.expect("the admin API is on")
    }

    /// A socket on which the handshake is done.
    #[track_caller]
    pub(crate) fn upgraded(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = handshake(&mut stream, self.admin(), "");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream
    }

    #[track_caller]
    pub(crate) fn viewer(&self) -> Viewer {
        Viewer(WebSocket::from_raw_socket(self.upgraded(), Role::Client, None))
    }

    /// A request through the balancer; its status.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(self.balancer.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: rig.test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }
}

/// Sends a handshake with these fields too; the head of the answer, and not a byte more.
pub(crate) fn handshake(stream: &mut TcpStream, host: SocketAddr, fields: &str) -> String {
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

pub(crate) struct Viewer(WebSocket<TcpStream>);

impl Viewer {
    pub(crate) fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    /// The next message of this type.
    #[track_caller]
    pub(crate) fn next(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no {kind} came");
            if let Message::Text(text) =
                self.0.read().unwrap_or_else(|error| panic!("waiting for {kind}: {error}"))
            {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == kind {
                    return message;
                }
            }
        }
    }

    /// Ticks until `condition` holds of one.
    #[track_caller]
    pub(crate) fn tick_where(&mut self, patience: Duration, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            let tick = self.next("tick");
            if condition(&tick) {
                return tick;
            }
            assert!(Instant::now() < deadline, "never so: {tick}");
        }
    }

    pub(crate) fn socket(&mut self) -> &mut WebSocket<TcpStream> {
        &mut self.0
    }
}
