//! One worker alone, on epoll, with snapshots of the test's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use crossbeam_channel::bounded;

use super::*;
use crate::shared::log_channel::log_channel;
use crate::shared::mailbox::mailbox;
use crate::shared::node::{Node, NodeAddress, NodeState, Origin};
use crate::shared::snapshot::{Backend, Entry, Snapshot};

fn snapshot(node: &Arc<Node>, state: NodeState, version: u64) -> Snapshot {
    let text = "routes: [{ path: /*, servers: [{ url: 'http://127.0.0.1' }] }]";
    let settings = crate::config::parse(text, "test", &|_| None).unwrap();
    let entry = Entry { state, ..Entry::of(Arc::clone(node), 1) };
    Snapshot {
        version,
        limits: settings.limits,
        timeouts: settings.timeouts,
        listeners: vec!["web".into()],
        protocols: Vec::new(),
        routes: settings.routes,
        ..Snapshot::of(vec![Arc::new(Backend::of(vec![entry]))])
    }
}

/// Starts a worker before this node: where it listens, and what it serves from.
fn start(node: &Arc<Node>) -> (SocketAddr, Published, Mailbox) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let published = Published::new(snapshot(node, NodeState::Serving, 1));
    let (sender, inbox) = mailbox().unwrap();
    let (ready, accepts) = bounded(1);
    let assignment = Assignment {
        index: 0,
        core: None,
        driver: Wanted::Epoll,
        sockets: vec![(0, listener.into())],
        published: published.clone(),
        inbox,
        workers: vec![sender.clone()],
        loads: Arc::new(Loads::new(1, &[None])),
        reports: bounded(1).0,
        log: log_channel().0,
        ready,
    };
    std::thread::spawn(move || run(assignment));
    accepts.recv().unwrap().unwrap();
    (address, published, sender)
}

fn ask(address: SocketAddr, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    client
}

#[test]
fn what_is_in_flight_on_a_node_that_is_taken_down_is_cut() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = NodeAddress::Tcp(origin.local_addr().unwrap());
    let node = Arc::new(Node::new("api".into(), address, Origin::Static));
    let (address, published, mailbox) = start(&node);
    let mut silent = ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut first, _) = origin.accept().unwrap();
    assert!(first.read(&mut [0; 4096]).unwrap() > 0);
    let mut half = ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut second, _) = origin.accept().unwrap();
    assert!(second.read(&mut [0; 4096]).unwrap() > 0);
    second.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    let mut head = [0; 4096];
    assert!(half.read(&mut head).unwrap() > 0);
    assert_eq!(node.in_flight(), 2);

    let began = Instant::now();
    published.publish(snapshot(&node, NodeState::Down, 2));
    assert_eq!(status(&mut silent), "504");
    // Its connection goes on, and there is no node any more.
    silent.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(status(&mut silent), "503");
    // What the other has is half of a body, which must not look whole.
    let rest = half.read_to_end(&mut Vec::new());
    assert!(rest.is_err(), "{rest:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "that was a timeout: {:?}", began.elapsed());
    assert_eq!(node.in_flight(), 0);
    mailbox.send(Command::Stop).unwrap();
}

/// Reads one answer of ours, which comes in one write.
fn status(client: &mut TcpStream) -> String {
    let mut answer = [0; 4096];
    let count = client.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..count]).split(' ').nth(1).unwrap_or("closed").to_owned()
}
