//! What is told of connections: metrics, the access log, the monitor.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::harness::balancer::Driver;
use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, patient, read_exactly, wait_for};

/// How long a node that refused is left alone.
const REST: Duration = Duration::from_millis(250);

/// A file for the log, and the rig that writes it.
fn logged(driver: Driver, test: &str, node: &Node) -> (Rig, PathBuf) {
    let (log, path) = log_file(driver, test);
    (Rig::start(driver, &[node.address()], "", &log), path)
}

/// The setting of a log of the test's own, and its file.
fn log_file(driver: Driver, test: &str) -> (String, PathBuf) {
    let file = format!("l4-{test}-{}-{}.log", std::process::id(), driver.name());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let _ = std::fs::remove_file(&path);
    (format!("access_log: {{ path: \"{}\" }}", path.display()), path)
}

/// The lines of the log, once there are so many.
fn lines(path: &Path, count: usize) -> Vec<Value> {
    wait_for("the log's lines", || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.ends_with('\n') && text.lines().count() >= count;
        whole.then(|| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    })
}

/// A viewer of the monitor.
fn viewer(rig: &Rig) -> WebSocket<TcpStream> {
    let admin = rig.balancer.admin.unwrap();
    let mut stream = patient(TcpStream::connect(admin).unwrap());
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nhost: {admin}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_exactly(&mut stream, 1));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    WebSocket::from_raw_socket(stream, Role::Client, None)
}

/// The value of a sample whose line holds all of these.
fn sample(metrics: &str, parts: &[&str]) -> Option<f64> {
    let line = metrics
        .lines()
        .find(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

site_cases! { on;
    fn a_line_says_what_became_of_a_connection(driver) {
        let node = Node::start();
        let (rig, path) = logged(driver, "line", &node);
        let (mut client, mut at_node) = rig.pair(&node);
        let source = client.local_addr().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        at_node.write_all(b"answer").unwrap();
        assert_eq!(read_exactly(&mut client, 6), b"answer");
        drop(client);
        drop(at_node);
        let line = &lines(&path, 1)[0];
        let wanted = [
            ("client", source.ip().to_string()),
            ("protocol", "TCP".into()),
            ("listener", "db".into()),
            ("backend", "nodes".into()),
            ("end", "closed".into()),
        ];
        for (key, value) in wanted {
            assert_eq!(line[key], *value, "{line}");
        }
        let number = |key: &str| line[key].as_u64().unwrap();
        assert_eq!((number("status"), number("bytes_in"), number("bytes_out")), (200, 1, 6), "{line}");
        assert!(line["node"].as_str().unwrap().ends_with(&node.address().to_string()), "{line}");
        assert!(number("connect_us") > 0 && number("connect_us") <= number("first_byte_us"), "{line}");
        assert!(number("first_byte_us") >= 30_000 && number("first_byte_us") <= number("total_us"), "{line}");
    }

    fn a_line_says_how_it_broke(driver) {
        let node = Node::start();
        let (rig, path) = logged(driver, "broke", &node);
        for client_breaks in [true, false] {
            let (client, at_node) = rig.pair(&node);
            let (gone, mut left) = if client_breaks { (client, at_node) } else { (at_node, client) };
            socket2::SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
            drop(gone);
            let _ = left.read(&mut [0]);
        }
        let ends: Vec<_> = lines(&path, 2).iter().map(|line| line["end"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ends, ["client_gone", "node_broke"]);
    }

    // A node that refuses may be asked again after a rest; whoever comes has all who wait looked at again. Who was refused
    // there waits for another node all the same, and does not spend its attempts.
    fn who_was_refused_waits_for_another_node(driver) {
        let node = Node::start();
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let servers = [node.address(), nobody].map(|at| format!("{{ url: \"tcp://{at}\", max_connections: 1 }}"));
        let (log, path) = log_file(driver, "elsewhere");
        let rig = Rig::before(driver, &servers, "queue: { max: 4, timeout: 20s }, retry: { budget: 100% },", &log);
        let (first, at_node) = rig.pair(&node);
        let mut second = rig.client();
        second.write_all(b"!").unwrap();
        let rig = &rig;
        let open = |count| move || (rig.busy().1 == count).then_some(());
        wait_for("the second waits", open(2));
        for _ in 0..3 {
            let began = Instant::now();
            wait_for("a rest has passed", || (began.elapsed() > 2 * REST).then_some(()));
            let third = rig.client();
            wait_for("the third waits too", open(3));
            socket2::SockRef::from(&third).set_linger(Some(Duration::ZERO)).unwrap();
            drop(third);
            wait_for("it has left", open(2));
        }
        drop((first, at_node));
        assert_eq!(read_exactly(&mut node.accept(), 1), b"!");
        drop(second);
        let retries: Vec<_> = lines(&path, 5).iter().filter(|line| line["status"] == 200).map(|line| line["retries"].clone()).collect();
        assert!(retries.len() == 2 && retries.iter().all(|count| count.as_u64() <= Some(1)), "{retries:?}");
    }

    fn histograms_have_connecting_the_first_byte_and_the_whole(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        for _ in 0..3 {
            let (mut client, mut at_node) = rig.pair(&node);
            at_node.write_all(b"!").unwrap();
            assert_eq!(read_exactly(&mut client, 1), b"!");
        }
        rig.wait_until_quiet();
        wait_for("all three in every histogram", || {
            let metrics = rig.metrics();
            let count = |family: &str| sample(&metrics, &[family, "nodes"]);
            let all = ["request_duration_seconds_count", "upstream_connect_seconds_count", "first_byte_seconds_count"];
            (all.map(count) == [Some(3.0); 3]).then_some(())
        });
        let metrics = rig.metrics();
        assert_eq!(sample(&metrics, &["requests_total", "listener=\"db\"", "code=\"200\""]), Some(3.0), "{metrics}");
        assert_eq!(sample(&metrics, &["bytes_total", "\"in\""]), Some(3.0), "{metrics}");
        assert_eq!(sample(&metrics, &["bytes_total", "\"out\""]), Some(3.0), "{metrics}");
    }

    fn the_monitor_shows_open_connections(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let (_client, _at_node) = rig.pair(&node);
        let mut viewer = viewer(&rig);
        wait_for("a tick that has it", || {
            let Message::Text(text) = viewer.read().unwrap() else { return None };
            let tick: Value = serde_json::from_str(&text).unwrap();
            let seen = tick["totals"]["in_flight"] == 1
                && tick["listeners"][0]["connections"] == 1
                && tick["backends"][0]["in_flight"] == 1
                && tick["nodes"][0]["in_flight"] == 1;
            seen.then_some(())
        });
    }
}
