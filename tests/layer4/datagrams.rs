//! A balancer with one udp listener, nodes that the test plays itself, and clients.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::harness::PATIENCE;
use crate::harness::balancer::{Balancer, Driver};
use crate::rig::{Rig, wait_for};

/// A socket that waits for as long as a test does.
pub(crate) fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client that hears the balancer's udp listener alone.
pub(crate) fn client(rig: &Rig) -> UdpSocket {
    client_from(rig, "127.0.0.1:0")
}

pub(crate) fn client_from(rig: &Rig, address: &str) -> UdpSocket {
    let client = socket(address);
    client.connect(rig.balancer.listener("dns")).unwrap();
    client
}

/// A balancer before these nodes; `keys` are the backend's, `settings` the file's.
#[track_caller]
pub(crate) fn start(driver: Driver, nodes: &[SocketAddr], keys: &str, settings: &str) -> Rig {
    Rig { balancer: Balancer::start(&config(driver, nodes, keys, settings, "127.0.0.1:0", "")) }
}

/// `listener`: more keys of it.
pub(crate) fn config(
    driver: Driver,
    nodes: &[SocketAddr],
    keys: &str,
    settings: &str,
    bind: &str,
    listener: &str,
) -> String {
    let servers: Vec<_> = nodes.iter().map(|node| format!("{{ url: \"udp://{node}\" }}")).collect();
    format!(
        "driver: {}\nworkers: 1\nadmin: {{ bind: \"127.0.0.1:0\" }}\n{settings}\n\
         listeners: {{ dns: {{ bind: \"{bind}\", protocol: udp, backend: nodes{listener} }} }}\n\
         backends: {{ nodes: {{ {keys} servers: [{}] }} }}\n",
        driver.name(),
        servers.join(", ")
    )
}

/// The next datagram at a node, and from where the balancer sent it.
#[track_caller]
pub(crate) fn receive(node: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 70_000];
    let (count, from) = node.recv_from(&mut bytes).expect("a datagram comes");
    bytes.truncate(count);
    (bytes, from)
}

/// Asks, and has the node answer the same.
#[track_caller]
pub(crate) fn exchange(client: &UdpSocket, node: &UdpSocket, text: &[u8]) -> SocketAddr {
    client.send(text).unwrap();
    let (got, from) = receive(node);
    assert_eq!(got, text);
    node.send_to(text, from).unwrap();
    assert_eq!(receive(client).0, text);
    from
}

/// Waits until so many sessions are open.
#[track_caller]
pub(crate) fn wait_for_sessions(rig: &Rig, count: u64) {
    wait_for(&format!("{count} sessions"), || (rig.busy().1 == count).then_some(()));
}

/// Is there nothing to receive, now and in a little while?
pub(crate) fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    let silent = socket.recv(&mut [0; 8]).is_err();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    silent
}
