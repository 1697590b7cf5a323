//! A balancer with one tcp listener, nodes of a test's own, and the two ends of a connection through it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::harness::balancer::{Balancer, Driver};

/// A running balancer.
pub(crate) struct Rig {
    pub(crate) balancer: Balancer,
}

/// What [`site_cases`](crate::harness::site::site_cases) gives a case here: its driver, and the case starts what it needs.
pub(crate) fn on(driver: Driver) -> Driver {
    driver
}

/// A node that the test plays itself.
pub(crate) struct Node(TcpListener);

impl Node {
    pub(crate) fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Nobody has connected.
    #[track_caller]
    pub(crate) fn assert_left_alone(&self) {
        self.0.set_nonblocking(true).unwrap();
        assert!(self.0.accept().is_err(), "a connection came");
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> TcpStream {
        self.0.set_nonblocking(true).unwrap();
        let stream = wait_for("a connection at the node", || self.0.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        patient(stream)
    }
}

impl Rig {
    /// Before these nodes; `keys` are the backend's, `settings` the file's.
    #[track_caller]
    pub(crate) fn start(driver: Driver, nodes: &[SocketAddr], keys: &str, settings: &str) -> Self {
        let servers: Vec<_> = nodes.iter().map(|node| format!("{{ url: \"tcp://{node}\" }}")).collect();
        Self::before(driver, &servers, keys, settings)
    }

    /// Before servers as the file has them.
    #[track_caller]
    pub(crate) fn before(driver: Driver, servers: &[String], keys: &str, settings: &str) -> Self {
        let config = format!(
            "driver: {}\nworkers: 1\nadmin: {{ bind: \"127.0.0.1:0\" }}\n{settings}\n\
             listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, backend: nodes }} }}\n\
             backends: {{ nodes: {{ {keys} servers: [{}] }} }}\n",
            driver.name(),
            servers.join(", ")
        );
        Self { balancer: Balancer::start(&config) }
    }

    /// With listeners and backends of the test's own; the listener that [`Rig::client`] connects to is `db`.
    #[track_caller]
    pub(crate) fn with(driver: Driver, config: &str) -> Self {
        let common = "workers: 1\nadmin: { bind: \"127.0.0.1:0\" }";
        Self { balancer: Balancer::start(&format!("driver: {}\n{common}\n{config}\n", driver.name())) }
    }

    #[track_caller]
    pub(crate) fn client(&self) -> TcpStream {
        patient(TcpStream::connect(self.balancer.listener("db")).expect("the balancer accepts"))
    }

    /// A client, and its connection at the node: both have heard of each other.
    #[track_caller]
    pub(crate) fn pair(&self, node: &Node) -> (TcpStream, TcpStream) {
        let mut client = self.client();
        client.write_all(b"?").unwrap();
        let mut at_node = node.accept();
        assert_eq!(read_exactly(&mut at_node, 1), b"?");
        (client, at_node)
    }

    /// An answer of the admin API.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.text(path);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let body = body.find(['{', '[']).map(|at| &body[at..]).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(body).into_iter();
        values.next().expect("a body").unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The text of the metrics.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.text("/metrics")
    }

    #[track_caller]
    fn text(&self, path: &str) -> String {
        let address = self.balancer.admin.expect("the admin API is on");
        let mut stream = patient(TcpStream::connect(address).unwrap());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Requests in flight, and connections that are open.
    pub(crate) fn busy(&self) -> (u64, u64) {
        let totals = self.json("/api/v1/status")["totals"].clone();
        (totals["in_flight"].as_u64().unwrap(), totals["connections"].as_u64().unwrap())
    }

    #[track_caller]
    pub(crate) fn wait_until_quiet(&self) {
        wait_for("nothing in flight, nobody connected", || (self.busy() == (0, 0)).then_some(()));
    }

    /// Descriptors that the balancer has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.balancer.pid)).unwrap().count()
    }
}

/// One that fails instead of waiting for ever.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

#[track_caller]
pub(crate) fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("the bytes come");
    bytes
}

/// All until the other side closes its sending side.
#[track_caller]
pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the stream ends without a reset");
    bytes
}

/// Waits until `condition` gives something; fails the test, saying `what`, where it never does.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
