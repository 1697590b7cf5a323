//! A node that can be killed: all its connections are reset at once, and its port refuses new ones.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::harness::message::{Side, parse};
use crate::harness::origin::ok;

/// A node that answers every request with its name.
pub(crate) struct MortalNode {
    address: SocketAddr,
    life: Arc<Mutex<Life>>,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Life {
    over: bool,
    sockets: Vec<TcpStream>,
}

impl MortalNode {
    pub(crate) fn start(name: &'static str) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), name)
    }

    pub(crate) fn start_at(address: SocketAddr, name: &'static str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).expect("the node's port is free");
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let life = Arc::new(Mutex::new(Life::default()));
        let living = life.clone();
        let listening = std::thread::spawn(move || live(&listener, &living, name));
        Self { address, life, listening }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection, and stops to listen. When this returns, new connections are refused.
    pub(crate) fn kill(self) {
        self.life.lock().unwrap().over = true;
        // Wakes the listener, which then sees that its life is over.
        let _ = TcpStream::connect(self.address);
        self.listening.join().unwrap();
        for socket in self.life.lock().unwrap().sockets.drain(..) {
            let socket = Socket::from(socket);
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Read);
        }
    }
}

fn live(listener: &TcpListener, life: &Arc<Mutex<Life>>, name: &'static str) {
    for socket in listener.incoming().flatten() {
        let mut life_now = life.lock().unwrap();
        if life_now.over {
            return;
        }
        life_now.sockets.push(socket.try_clone().unwrap());
        let life = life.clone();
        std::thread::spawn(move || serve(socket, &life, name));
    }
}

fn serve(mut socket: TcpStream, life: &Mutex<Life>, name: &str) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = socket.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        while let Ok(Some(request)) = parse(&bytes, Side::Request) {
            bytes.drain(..request.len);
            if life.lock().unwrap().over || socket.write_all(ok(name).as_bytes()).is_err() {
                return;
            }
        }
    }
}
