//! TLS by name: where a hello leads, whole or in pieces, and what becomes of one that leads nowhere.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::balancer::Driver;
use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, read_all, read_exactly, wait_for};

/// A hello by hand: as small as one can be.
fn hello(name: Option<&str>, protocols: &[&str]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let mut extensions = Vec::new();
    if !protocols.is_empty() {
        let list: Vec<_> =
            protocols.iter().flat_map(|one| [&[one.len() as u8][..], one.as_bytes()].concat()).collect();
        extensions.extend([&[0, 16][..], &sized(&sized(&list))].concat());
    }
    if let Some(name) = name {
        let entry = [&[0][..], &sized(name.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &sized(&sized(&entry))].concat());
    }
    let body = [&[3, 3][..], &[7; 32], &[0], &sized(&[0x13, 0x01]), &[1, 0], &sized(&extensions)].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

const ROUTES: &str = "tls_routes: [{ name: \"*.a.test\", backend: wild }, { name: db.a.test, backend: exact }, \
                      { name: db.a.test, alpn: [postgresql], backend: pg }]";
const BACKENDS: [&str; 4] = ["wild", "exact", "pg", "rest"];

/// A balancer whose listener goes by names, and a node for each backend.
fn rig(driver: Driver, default: &str) -> (Rig, [Node; 4]) {
    let nodes = BACKENDS.map(|_| Node::start());
    let backends: Vec<_> = BACKENDS
        .iter()
        .zip(&nodes)
        .map(|(name, node)| format!("{name}: {{ servers: [{{ url: \"tcp://{}\" }}] }}", node.address()))
        .collect();
    let rig = Rig::with(
        driver,
        &format!(
            "timeouts: {{ client_head: 600ms }}\n\
             listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, {default} {ROUTES} }} }}\n\
             backends: {{ {} }}",
            backends.join(", ")
        ),
    );
    (rig, nodes)
}

/// What the client sends reaches this node as it is, and the answer the client.
#[track_caller]
fn assert_reaches(rig: &Rig, node: &Node, first: &[u8]) {
    let mut client = rig.client();
    client.write_all(first).unwrap();
    let mut at_node = node.accept();
    assert_eq!(read_exactly(&mut at_node, first.len()), first);
    at_node.write_all(b"ServerHello").unwrap();
    assert_eq!(read_exactly(&mut client, 11), b"ServerHello");
}

fn is_reset(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 8]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

/// A folder with a certificate for each of two names; `None`, said aloud, where openssl is missing.
fn certificates(test: &str, driver: Driver) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", driver.name()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["a.test", "b.test"] {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .current_dir(&folder)
            .stderr(Stdio::null())
            .status();
        match made {
            Ok(status) => assert!(status.success(), "openssl makes no certificate"),
            Err(error) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: test {test} on {}: openssl: {error}",
                    driver.name()
                );
                return None;
            }
        }
    }
    Some(folder)
}

/// A real TLS server that answers each line with its letters turned around.
struct Responder {
    child: Child,
    address: SocketAddr,
}

impl Responder {
    fn start(folder: &Path, name: &str) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-alpn", "postgresql"])
            .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT ") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "openssl s_server ended");
        }
        let address = line["ACCEPT ".len()..].trim().parse().expect("an address");
        // It goes on writing of its connections.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Self { child, address }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `openssl s_client` that asks for this name, and wants to see its certificate, hears of `turned`.
fn turned(rig: &Rig, folder: &Path, name: &str) -> (bool, String) {
    let address = rig.balancer.listener("db").to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", name, "-alpn", "postgresql", "-quiet"])
        .args(["-CAfile", &format!("{name}.pem"), "-verify_return_error", "-verify_hostname", name])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl starts");
    // A failed handshake closes its end: what is asked is then asked of nobody.
    let mut input = child.stdin.take().unwrap();
    let _ = input.write_all(b"drawer\n");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(input);
    let _ = child.kill();
    let said = child.wait_with_output().unwrap();
    (line == "reward\n", String::from_utf8_lossy(&said.stderr).into_owned())
}

site_cases! { on;
    fn names_lead_to_their_backends(driver) {
        let (rig, [wild, exact, pg, rest]) = rig(driver, "backend: rest,");
        assert_reaches(&rig, &wild, &hello(Some("www.a.test"), &["h2"]));
        assert_reaches(&rig, &exact, &hello(Some("DB.a.test."), &["h2"]));
        assert_reaches(&rig, &pg, &hello(Some("db.a.test"), &["h2", "postgresql"]));
        assert_reaches(&rig, &rest, &hello(Some("a.test"), &[]));
        assert_reaches(&rig, &rest, &hello(None, &[]));
        assert_reaches(&rig, &rest, b"\0\0\0\x08\x04\xd2\x16\x2f");
        rig.wait_until_quiet();
        let metrics = wait_for("the metrics", || Some(rig.metrics()).filter(|text| text.contains("backend=\"pg\"")));
        assert!(metrics.contains("route=\"*.a.test\""), "{metrics}");
    }

    fn a_hello_in_pieces_is_put_together(driver) {
        let (rig, [_, exact, ..]) = rig(driver, "");
        let whole = hello(Some("db.a.test"), &[]);
        // As packets of one byte, and as records of one byte.
        let records: Vec<_> = whole[5..].iter().flat_map(|&byte| [22, 3, 1, 0, 1, byte]).collect();
        for bytes in [&whole, &records] {
            let mut client = rig.client();
            bytes.iter().for_each(|byte| client.write_all(&[*byte]).unwrap());
            assert_eq!(read_exactly(&mut exact.accept(), bytes.len()), *bytes);
        }
    }

    fn without_a_default_the_rest_is_refused(driver) {
        let (rig, nodes) = rig(driver, "");
        for unknown in [hello(Some("other.test"), &[]), hello(None, &[])] {
            let mut client = rig.client();
            client.write_all(&unknown).unwrap();
            // A fatal alert: unrecognized_name.
            assert_eq!(read_all(&mut client), [21, 3, 1, 0, 2, 2, 112]);
        }
        for bad in [&b"GET / HTTP/1.1\r\n"[..], &[22, 3, 1, 0, 0], &[22, 3, 1, 0, 4, 2, 0, 0, 0]] {
            let mut client = rig.client();
            client.write_all(bad).unwrap();
            assert!(is_reset(&mut client), "{bad:?}");
        }
        rig.wait_until_quiet();
        nodes.iter().for_each(Node::assert_left_alone);
    }

    fn a_hello_that_never_ends_is_given_up(driver) {
        let (rig, nodes) = rig(driver, "backend: rest,");
        let whole = hello(Some("db.a.test"), &[]);
        for part in [0, 1, whole.len() - 1] {
            let mut client = rig.client();
            client.write_all(&whole[..part]).unwrap();
            assert!(is_reset(&mut client), "after {part} bytes");
        }
        rig.wait_until_quiet();
        nodes.iter().for_each(Node::assert_left_alone);
    }

    fn real_tls_passes_through(driver) {
        let Some(folder) = certificates("real_tls_passes_through", driver) else { return };
        let [a, b] = ["a.test", "b.test"].map(|name| Responder::start(&folder, name));
        let rig = Rig::with(
            driver,
            &format!(
                "listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, tls_routes: [\
                 {{ name: a.test, alpn: [postgresql], backend: a }}, {{ name: b.test, backend: b }}] }} }}\n\
                 backends:\n  a: {{ servers: [{{ url: \"tcp://{}\" }}] }}\n  b: {{ servers: [{{ url: \"tcp://{}\" }}] }}",
                a.address, b.address
            ),
        );
        for name in ["a.test", "b.test"] {
            let (heard, said) = turned(&rig, &folder, name);
            assert!(heard, "{name}: {said}");
        }
        std::fs::copy(folder.join("a.test.pem"), folder.join("c.test.pem")).unwrap();
        let (heard, said) = turned(&rig, &folder, "c.test");
        assert!(!heard && said.contains("unrecognized name"), "{said}");
    }
}
