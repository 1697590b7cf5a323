//! Nodes that do not answer, nodes behind unix sockets, clients that are kept on one node, and listeners that are full.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::harness::balancer::Driver;
use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, patient, read_exactly, wait_for};

/// An address at which a connection is neither taken nor refused: the queue of who listens there is full.
struct Deaf {
    address: SocketAddr,
    _held: (Socket, Vec<Socket>),
}

impl Deaf {
    fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let fill = (0..4).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            socket
        });
        Self { address, _held: (listener, fill.collect()) }
    }
}

/// A client from this address of the loopback network.
fn client_from(rig: &Rig, last: u8) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&rig.balancer.listener("db").into()).unwrap();
    patient(socket.into())
}

/// A node that says its number to everyone.
fn numbered(number: u8) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(&[number]);
        }
    });
    address
}

fn keeps_clients_on_their_nodes(driver: Driver, strategy: &str) {
    let nodes = [numbered(0), numbered(1), numbered(2)];
    let rig = Rig::start(driver, &nodes, &format!("strategy: {strategy},"), "");
    let mut used = HashSet::new();
    for last in 1..=40 {
        let first = read_exactly(&mut client_from(&rig, last), 1)[0];
        for _ in 0..3 {
            assert_eq!(read_exactly(&mut client_from(&rig, last), 1)[0], first, "127.0.0.{last}");
        }
        used.insert(first);
    }
    assert_eq!(used.len(), 3, "forty clients share the nodes");
}

site_cases! { on;
    fn a_node_that_does_not_answer_is_passed_by(driver) {
        let (deaf, node) = (Deaf::start(), Node::start());
        let rig = Rig::start(driver, &[deaf.address, node.address()], "", "timeouts: { connect: 200ms }");
        // What a client says while it waits goes to the node that answers.
        for _ in 0..4 {
            drop(rig.pair(&node));
        }
        assert!(rig.json("/api/v1/status")["totals"]["retries_total"].as_u64().unwrap() >= 1);
    }

    fn where_no_node_answers_the_client_is_reset(driver) {
        let deaf = Deaf::start();
        let rig = Rig::start(driver, &[deaf.address], "", "timeouts: { connect: 200ms }");
        let ended = rig.client().read(&mut [0; 8]);
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        wait_for("a 504 is counted", || rig.metrics().contains("code=\"504\"").then_some(()));
    }

    fn ip_hash_goes_by_the_client(driver) {
        keeps_clients_on_their_nodes(driver, "ip_hash");
    }

    fn consistent_hash_goes_by_the_client(driver) {
        keeps_clients_on_their_nodes(driver, "consistent_hash");
    }

    fn a_node_may_be_a_unix_socket(driver) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("l4-{}-{}.sock", std::process::id(), driver.name()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            }
        });
        let rig = Rig::before(driver, &[format!("{{ url: \"unix:{}\" }}", path.display())], "", "");
        for _ in 0..3 {
            let mut client = rig.client();
            client.write_all(b"ping").unwrap();
            assert_eq!(read_exactly(&mut client, 4), b"ping");
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        let _ = std::fs::remove_file(&path);
    }

    fn a_full_listener_takes_nobody_until_one_leaves(driver) {
        let node = Node::start();
        let rig = Rig::with(
            driver,
            &format!(
                "listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, backend: nodes, max_connections: 1 }} }}\n\
                 backends: {{ nodes: {{ servers: [{{ url: \"tcp://{}\" }}] }} }}",
                node.address()
            ),
        );
        let (first, at_node) = rig.pair(&node);
        let mut second = rig.client();
        second.write_all(b"!").unwrap();
        // The numbers are exact and asked for anew each time: a second connection would be among them.
        for _ in 0..50 {
            assert_eq!(rig.busy(), (1, 1));
        }
        node.assert_left_alone();
        drop((first, at_node));
        assert_eq!(read_exactly(&mut node.accept(), 1), b"!");
    }
}
