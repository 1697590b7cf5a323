//! RFC 9110, 15.6: nodes that are not there; and sockets that are not TCP over IPv4.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::balancer::{Balancer, Driver};
use crate::harness::client::Client;
use crate::harness::message::{Side, parse};
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::common;

/// Backends that are wholly or partly out of reach.
struct Ruin {
    balancer: Balancer,
    /// Bound but not listening: connections are refused, and nobody else gets the port.
    _dead: Vec<Socket>,
    /// Listening with a full queue: connections are never answered.
    _deaf: (TcpListener, Vec<TcpStream>),
    unix: PathBuf,
}

fn dead() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(300));
    (listener, (0..10).map_while(|_| fill().ok()).collect())
}

fn scratch(name: &str) -> PathBuf {
    // A socket's path is short by law (108 bytes), and a target directory's may be long.
    std::env::temp_dir().join(format!("plimsoll-{}-{name}", std::process::id()))
}

impl Ruin {
    fn start(driver: Driver) -> Self {
        let live = Origin::start(answering(ok("alive"))).address();
        let ((one, dead_one), (two, dead_two)) = (dead(), dead());
        let deaf = deaf();
        let deaf_address = deaf.0.local_addr().unwrap();
        let unix = scratch(&format!("{}.sock", driver.name()));
        let node = scratch(&format!("{}.node", driver.name()));
        start_unix_node(&node);
        let config = format!(
            r#"{}
workers: 1
timeouts: {{ connect: 300ms }}
listeners:
  web: {{ bind: ["127.0.0.1:0", "[::1]:0", "unix:{}"] }}
routes:
  - {{ path: /dead/*, backend: dead }}
  - {{ path: /half/*, backend: half }}
  - {{ path: /deaf/*, backend: deaf }}
  - {{ path: /half-deaf/*, backend: half_deaf }}
  - {{ path: /unix/*, backend: unix }}
  - {{ path: /nowhere/*, backend: nowhere }}
  - {{ path: /live/*, backend: live }}
backends:
  dead: {{ servers: [{{ url: "http://{dead_one}" }}, {{ url: "http://{dead_two}" }}] }}
  half: {{ servers: [{{ url: "http://{dead_one}" }}, {{ url: "http://{live}" }}] }}
  deaf: {{ servers: [{{ url: "http://{deaf_address}" }}] }}
  half_deaf: {{ servers: [{{ url: "http://{deaf_address}" }}, {{ url: "http://{live}" }}] }}
  unix: {{ servers: [{{ url: "unix:{}" }}] }}
  nowhere: {{ servers: [{{ url: "http://does-not-exist.invalid:80" }}] }}
  live: {{ servers: [{{ url: "http://{live}" }}] }}
"#,
            common(driver),
            unix.display(),
            node.display(),
        );
        Self { balancer: Balancer::start(&config), _dead: vec![one, two], _deaf: deaf, unix }
    }

    #[track_caller]
    fn ask(&self, request: &str) -> crate::harness::message::Message {
        Client::connect(self.balancer.address(), "ruin.test").send(request).response()
    }

    #[track_caller]
    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        (answer.status(), answer.field("x-plimsoll-reason").map_or_else(|| answer.text(), str::to_owned))
    }
}

fn start_unix_node(path: &PathBuf) {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = socket.read(&mut chunk) {
                    bytes.extend_from_slice(&chunk[..count]);
                    while let Ok(Some(request)) = parse(&bytes, Side::Request) {
                        bytes.drain(..request.len);
                        let _ = socket.write_all(ok(&format!("unix {}", request.target())).as_bytes());
                    }
                }
            });
        }
    });
}

fn ruin(driver: Driver) -> &'static Ruin {
    static RUINS: [OnceLock<Ruin>; 2] = [const { OnceLock::new() }; 2];
    RUINS[driver as usize].get_or_init(|| Ruin::start(driver))
}

site_cases! { ruin;
    fn rfc9110_15_6_3_no_node_accepts(at) { assert_eq!(at.get("/dead/x"), (502, "connect_failed".into())); }
    fn rfc9110_15_6_3_no_node_accepts_a_post(at) {
        let answer = at.ask("POST /dead/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("connect_failed")));
    }
    fn rfc9110_15_6_3_no_node_accepts_and_the_connection_is_kept(at) {
        let mut client = Client::connect(at.balancer.address(), "a.test");
        for _ in 0..10 {
            let answer = client.send("GET /dead/x HTTP/1.1\r\nHost: a.test\r\n\r\n").response();
            assert_eq!(answer.status(), 502);
        }
        assert_eq!(client.send("GET /live/x HTTP/1.1\r\nHost: a.test\r\n\r\n").response().text(), "alive");
    }
    fn connect_failures_move_to_the_next_node(at) {
        for _ in 0..20 {
            assert_eq!(at.get("/half/x"), (200, "alive".into()));
        }
    }
    fn connect_failures_move_a_post_to_the_next_node(at) {
        for _ in 0..6 {
            let answer = at.ask("POST /half/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
            assert_eq!(answer.text(), "alive");
        }
    }
    fn connect_failures_move_a_chunked_upload_to_the_next_node(at) {
        for _ in 0..6 {
            let answer = at.ask(
                "POST /half/x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            );
            assert_eq!(answer.text(), "alive");
        }
    }
    fn rfc9110_15_6_5_no_node_accepts_in_time(at) {
        let begin = Instant::now();
        assert_eq!(at.get("/deaf/x"), (504, "connect_timeout".into()));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
    fn connect_timeouts_move_to_the_next_node(at) {
        for _ in 0..4 {
            assert_eq!(at.get("/half-deaf/x"), (200, "alive".into()));
        }
    }
    fn rfc9110_15_6_4_a_name_that_does_not_resolve(at) {
        let answer = at.ask("GET /nowhere/x HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (503, Some("no_healthy_node")));
        assert!(answer.field("retry-after").is_some_and(|v| v.parse::<u32>().is_ok()), "{answer:?}");
    }
    fn rfc9110_15_6_4_a_client_that_leaves_a_deaf_node_disturbs_nobody(at) {
        for _ in 0..5 {
            Client::connect(at.balancer.address(), "a").send("GET /deaf/x HTTP/1.1\r\nHost: a.test\r\n\r\n").finish();
        }
        assert_eq!(at.get("/live/x").0, 200);
    }
    fn sockets_a_node_on_a_unix_socket(at) {
        for _ in 0..5 {
            assert_eq!(at.get("/unix/x"), (200, "unix /unix/x".into()));
        }
    }
    fn sockets_a_listener_on_a_unix_socket(at) {
        let mut socket = UnixStream::connect(&at.unix).unwrap();
        socket.write_all(b"GET /live/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let answer = parse(&bytes, Side::Response { method: "GET", ended: true }).unwrap().unwrap();
        assert_eq!(answer.text(), "alive");
    }
    fn sockets_a_listener_on_ipv6(at) {
        let address = at.balancer.addresses.iter().find(|(a, _)| a.is_ipv6()).expect("an IPv6 address").0;
        let mut client = Client::connect(address, "a.test");
        assert_eq!(client.send("GET /live/x HTTP/1.1\r\nHost: a.test\r\n\r\n").response().text(), "alive");
    }
}
