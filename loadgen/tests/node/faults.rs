//! What a node does wrong to order: resets, half-closes, drops, limits.

use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use crate::rig::{Node, PATIENCE, drivers, field, until};

#[test]
fn a_reset_comes_before_the_head_or_within_the_body() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        client.send("GET /?reset=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);

        let mut client = node.connect();
        client.send("GET /?reset=body&size=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(field(&client.head(), "content-length"), Some("1000"));
        let mut body = Vec::new();
        let error = client.stream.read_to_end(&mut body).unwrap_err();
        assert_eq!((body.len(), error.kind()), (500, ErrorKind::ConnectionReset));
        assert_eq!(until("both are noted", || Some(node.saw("/faults/resets")).filter(|&n| n == 2)), 2);
    }
}

#[test]
fn a_half_closed_connection_still_reads() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        client.send("GET /?half_close=1&size=5 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().body.len(), 5);
        assert_eq!(client.rest().unwrap(), b"", "the node's half is closed");
        client.send("still taken");
        assert_eq!(node.saw("/connections/open"), 2, "this one and the one that asks");
        drop(client);
        until("the connection ends", || Some(()).filter(|()| node.saw("/connections/open") == 1));
    }
}

#[test]
fn the_nth_request_closes_with_a_word_or_without() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        assert_eq!(field(&client.get("/?close_after=2").head, "connection"), None);
        assert_eq!(field(&client.get("/?close_after=2").head, "connection"), Some("close"));
        assert_eq!(client.rest().unwrap(), b"");

        let mut client = node.connect();
        for _ in 0..2 {
            assert_eq!(field(&client.get("/?drop_after=2").head, "connection"), None);
        }
        assert_eq!(client.rest().unwrap(), b"");
    }
}

#[test]
fn an_idle_connection_is_closed_after_the_keep_alive_time_and_a_busy_one_is_not() {
    for driver in drivers() {
        let node = Node::start(&[&driver[..], &["--keepalive", "300ms"]].concat());
        let mut client = node.connect();
        let start = Instant::now();
        assert_eq!(client.get("/?delay=500ms").status, 200, "a request under way is not idleness");
        assert_eq!(client.rest().unwrap(), b"");
        assert!(start.elapsed() >= Duration::from_millis(790), "{:?}", start.elapsed());
        assert_eq!(node.saw("/connections/idle_closed"), 1);
    }
}

#[test]
fn a_share_of_the_requests_is_struck() {
    let node = Node::start(&["--status", "503", "--share", "30%", "--seed", "5"]);
    let mut client = node.connect();
    let struck = (0..1000).filter(|_| client.get("/").status == 503).count();
    assert!((230..370).contains(&struck), "{struck} of 1000");
}

#[test]
fn requests_above_the_limit_wait_and_above_the_queue_are_refused() {
    for driver in drivers() {
        let node =
            Node::start(&[&driver[..], &["--limit", "2", "--queue", "1", "--delay", "300ms"]].concat());
        let mut clients = [(); 4].map(|()| node.connect());
        let start = Instant::now();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        let mut found = clients.each_mut().map(|client| client.response().status);
        found.sort_unstable();
        assert_eq!(found, [200, 200, 200, 503]);
        assert!(start.elapsed() >= Duration::from_millis(600), "the third waited for one of the two");
        assert_eq!(node.saw("/requests/refused"), 1);
    }
}

#[test]
fn a_client_that_leaves_is_noted_as_an_aborted_request() {
    let node = Node::start(&[]);
    let mut client = node.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
    until("the request is seen", || Some(()).filter(|()| node.saw("/bytes/body_received") == 4));
    drop(client);
    until("it is noted", || Some(()).filter(|()| node.saw("/requests/aborted") == 1));
}

#[test]
fn slow_accepts_make_connections_wait() {
    let node = Node::start(&["--accept-delay", "150ms"]);
    let start = Instant::now();
    let mut clients = [(); 3].map(|()| node.connect());
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

#[test]
fn a_slow_reader_gets_a_large_body_whole() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        client.send("GET /?size=20MiB HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.head();
        let stream = client.stream.get_mut();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.flush().unwrap();
        let mut total = 0;
        let mut piece = vec![0; 100_000];
        loop {
            match client.stream.read(&mut piece).unwrap() {
                0 => break,
                read => total += read,
            }
        }
        assert_eq!(total, 20 << 20);
    }
}
