//! PROXY headers: read from trusted proxies alone, written to nodes, and never taken for a client's bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::balancer::Driver;
use crate::harness::origin::{Origin, OriginConnection, ok};
use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, patient, read_all, read_exactly, wait_for};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2 for IPv4: written here by hand, so that it is no echo of what it tests.
fn binary(source: &str, destination: &str) -> Vec<u8> {
    let [from, to] = [source, destination].map(|end| end.parse::<std::net::SocketAddrV4>().unwrap());
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    [SIGNATURE, &[0x21, 0x11, 0, 12], &from.ip().octets(), &to.ip().octets(), &ports].concat()
}

fn text(source: &str, destination: &str) -> Vec<u8> {
    let [from, to] = [source, destination].map(|end| end.parse::<SocketAddr>().unwrap());
    format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes()
}

/// A listener that believes `trusted`, before a node that gets headers in `version`.
fn rig(driver: Driver, node: &Node, trusted: &str, version: &str) -> Rig {
    Rig::with(
        driver,
        &format!(
            "trusted_proxies: [\"{trusted}\"]\ntimeouts: {{ client_head: 400ms }}\n\
             listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, backend: nodes, accept_proxy_protocol: true }} }}\n\
             backends: {{ nodes: {{ {version} servers: [{{ url: \"tcp://{}\" }}] }} }}",
            node.address()
        ),
    )
}

fn is_reset(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 8]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

/// A node that is told in `version`, and what arrives there of a client that waits to hear from it, or does not.
fn told(driver: Driver, version: &str, header: impl Fn(&str, &str) -> Vec<u8>) {
    let node = Node::start();
    let rig = Rig::start(driver, &[node.address()], &format!("send_proxy_protocol: {version},"), "");
    for speaks_first in [false, true] {
        let mut client = rig.client();
        if speaks_first {
            client.write_all(b"question").unwrap();
        }
        let [source, destination] =
            [client.local_addr(), client.peer_addr()].map(|end| end.unwrap().to_string());
        let header = header(&source, &destination);
        let mut at_node = node.accept();
        assert_eq!(read_exactly(&mut at_node, header.len()), header, "{version} {speaks_first}");
        if !speaks_first {
            at_node.write_all(b"welcome").unwrap();
            assert_eq!(read_exactly(&mut client, 7), b"welcome");
            client.write_all(b"question").unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut at_node), b"question");
    }
    rig.wait_until_quiet();
    let totals = &rig.json("/api/v1/status")["totals"];
    assert_eq!((totals["bytes_in"].as_u64(), totals["bytes_out"].as_u64()), (Some(16), Some(7)), "{totals}");
}

/// An origin that answers with the client that it was told of.
fn telling() -> Origin {
    Origin::start(std::sync::Arc::new(|c: &mut OriginConnection| {
        while let Some(request) = c.request() {
            let field = request.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
            c.send(ok(field.map_or("nobody", |(_, value)| value)));
        }
    }))
}

#[track_caller]
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        answer.extend(read_exactly(stream, 1));
    }
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let (_, length) = head.split_once("content-length: ").expect("a length");
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    String::from_utf8(read_exactly(stream, length)).unwrap()
}

site_cases! { on;
    fn a_node_is_told_in_version_1(driver) {
        told(driver, "v1", text);
    }

    fn a_node_is_told_in_version_2(driver) {
        told(driver, "v2", binary);
    }

    fn what_a_trusted_proxy_says_goes_on_and_its_header_does_not(driver) {
        let node = Node::start();
        let rig = rig(driver, &node, "127.0.0.0/8", "send_proxy_protocol: v2,");
        let (source, destination) = ("192.0.2.7:4711", "198.51.100.1:443");
        let expected = binary(source, destination);
        for header in [text(source, destination), binary(source, destination)] {
            for at_once in [true, false] {
                let mut client = rig.client();
                let all = [&header[..], b"hello"].concat();
                if at_once {
                    client.write_all(&all).unwrap();
                } else {
                    // Each byte a packet of its own.
                    all.iter().for_each(|byte| client.write_all(&[*byte]).unwrap());
                }
                let mut at_node = node.accept();
                assert_eq!(read_exactly(&mut at_node, expected.len() + 5), [&expected[..], b"hello"].concat());
                at_node.write_all(b"welcome").unwrap();
                assert_eq!(read_exactly(&mut client, 7), b"welcome");
            }
        }
        rig.wait_until_quiet();
    }

    fn a_header_cut_at_any_byte_reaches_no_node(driver) {
        let node = Node::start();
        let rig = rig(driver, &node, "127.0.0.0/8", "");
        for header in [text("192.0.2.7:4711", "198.51.100.1:443"), binary("192.0.2.7:4711", "198.51.100.1:443")] {
            for end in 0..header.len() {
                let mut client = rig.client();
                client.write_all(&header[..end]).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(read_all(&mut client), b"", "cut at {end}");
            }
        }
        rig.wait_until_quiet();
        node.assert_left_alone();
    }

    fn nonsense_and_silence_are_reset(driver) {
        let node = Node::start();
        let rig = rig(driver, &node, "127.0.0.0/8", "");
        for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31"] {
            let mut client = rig.client();
            client.write_all(nonsense).unwrap();
            assert!(is_reset(&mut client), "{nonsense:?}");
        }
        let mut silent = rig.client();
        assert!(is_reset(&mut silent));
        let mut half = rig.client();
        half.write_all(b"PROXY TCP4 1.2").unwrap();
        assert!(is_reset(&mut half));
        rig.wait_until_quiet();
        node.assert_left_alone();
        wait_for("all of them counted", || {
            let metrics = rig.metrics();
            let count = |code: u16| {
                let counted = |line: &&str| line.contains("listener=\"db\"") && line.contains(&format!("code=\"{code}\""));
                metrics.lines().find(counted).and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            };
            (count(400) == Some(3.0) && count(408) == Some(2.0)).then_some(())
        });
    }

    fn a_stranger_is_served_as_itself(driver) {
        let node = Node::start();
        let rig = rig(driver, &node, "10.0.0.0/8", "send_proxy_protocol: v1,");
        let mut client = rig.client();
        let lie = text("192.0.2.7:4711", "198.51.100.1:443");
        client.write_all(&lie).unwrap();
        let [source, destination] = [client.local_addr(), client.peer_addr()].map(|end| end.unwrap().to_string());
        let truth = text(&source, &destination);
        // What it says of itself is behind what is so: bytes like any others.
        assert_eq!(read_exactly(&mut node.accept(), truth.len() + lie.len()), [truth, lie].concat());
    }

    fn a_client_is_known_by_its_header_over_http_too(driver) {
        let origin = telling();
        let rig = Rig::with(
            driver,
            &format!(
                "trusted_proxies: [127.0.0.0/8]\n\
                 listeners: {{ db: {{ bind: \"127.0.0.1:0\", accept_proxy_protocol: true }} }}\n\
                 routes: [{{ path: /*, servers: [{{ url: \"http://{}\" }}] }}]",
                origin.address()
            ),
        );
        for header in [binary("192.0.2.7:4711", "198.51.100.1:80"), text("192.0.2.7:4711", "198.51.100.1:80")] {
            let mut client = rig.client();
            client.write_all(&header).unwrap();
            assert_eq!(ask(&mut client), "192.0.2.7");
            assert_eq!(ask(&mut client), "192.0.2.7");
        }
        // Over the time after which only a small record of a connection is left.
        let mut client = rig.client();
        client.write_all(&binary("192.0.2.8:4711", "198.51.100.1:80")).unwrap();
        assert_eq!(ask(&mut client), "192.0.2.8");
        std::thread::sleep(Duration::from_millis(1600));
        assert_eq!(ask(&mut client), "192.0.2.8");
        // A check of the proxy's own is the proxy's.
        let mut client = patient(TcpStream::connect(rig.balancer.listener("db")).unwrap());
        client.write_all(&[SIGNATURE, &[0x20, 0, 0, 0]].concat()).unwrap();
        assert_eq!(ask(&mut client), "127.0.0.1");
    }
}
