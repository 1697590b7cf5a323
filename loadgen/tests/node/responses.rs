//! What a response looks like: status, size, framing, delay, drip, echo.

use std::time::{Duration, Instant};

use crate::rig::{Node, drivers, field};

#[test]
fn a_plain_response_is_128_bytes_with_the_nodes_name_and_the_connection_stays() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        for _ in 0..3 {
            let response = client.get("/");
            assert_eq!((response.status, response.body.len()), (200, 128));
            assert_eq!(field(&response.head, "x-node"), Some("n1"));
            assert_eq!(field(&response.head, "connection"), None);
        }
        assert_eq!(node.saw("/statuses/200"), 3);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.send([get("/"), get("/?status=201&delay=5ms"), get("/?size=5"), get("/")].concat());
        let found = [(); 4].map(|()| client.response());
        assert_eq!(
            found.each_ref().map(|r| (r.status, r.body.len())),
            [(200, 128), (201, 128), (200, 5), (200, 128)]
        );
    }
}

#[test]
fn a_query_orders_status_size_and_framing() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        let big = client.get("/?size=3MiB");
        assert_eq!(big.body.len(), 3 << 20);
        let chunked = client.get("/x?status=404&size=100KiB&chunked=1&piece=1000&other=7");
        assert_eq!((chunked.status, chunked.body.len()), (404, 100 << 10));
        assert_eq!(field(&chunked.head, "transfer-encoding"), Some("chunked"));
        assert_eq!(chunked.body[..64], big.body[..64], "one pattern for every body");
        let wrong = client.get("/?status=7");
        assert_eq!(wrong.status, 400);
        assert!(String::from_utf8_lossy(&wrong.body).contains("status: '7'"));
        let to_the_end = client.get("/?framing=close&size=70000");
        assert_eq!((field(&to_the_end.head, "connection"), to_the_end.body.len()), (Some("close"), 70_000));
    }
}

#[test]
fn flags_order_the_same_as_a_query() {
    let node = Node::start(&[
        "--status",
        "503",
        "--size",
        "10",
        "--chunked",
        "-H",
        "retry-after: 3",
        "--load",
        "0.5",
    ]);
    let response = node.get("/");
    assert_eq!((response.status, response.body.len()), (503, 10));
    assert_eq!(field(&response.head, "retry-after"), Some("3"));
    assert_eq!(field(&response.head, "endpoint-load-metrics"), Some("TEXT cpu_utilization=0.5"));
    assert!(field(&response.head, "transfer-encoding").is_some());
}

#[test]
fn responses_without_a_body_have_none() {
    let node = Node::start(&[]);
    let mut client = node.connect();
    client.send("HEAD /?size=77 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(field(&client.head(), "content-length"), Some("77"));
    for status in [204, 304] {
        let response = client.get(&format!("/?status={status}"));
        assert_eq!((response.status, field(&response.head, "content-length")), (status, None));
    }
    assert_eq!(client.get("/").status, 200, "nothing of a body was left on the way");
}

#[test]
fn a_delay_is_kept_and_measured() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let start = Instant::now();
        assert_eq!(node.get("/?delay=50ms").status, 200);
        assert!(start.elapsed() >= Duration::from_millis(50));
        let report: serde_json::Value = serde_json::from_slice(&node.get("/__node/report").body).unwrap();
        assert!(report["service_us"]["max"].as_f64().unwrap() >= 50_000.0, "{report}");
    }
}

#[test]
fn delays_of_several_connections_overlap_and_cpu_time_does_not() {
    let node = Node::start(&[]);
    let at_once = |query: &str| {
        let mut clients = [(); 8].map(|()| node.connect());
        let start = Instant::now();
        for client in &mut clients {
            client.send(format!("GET /?{query} HTTP/1.1\r\nHost: x\r\n\r\n"));
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
        start.elapsed()
    };
    assert!(at_once("delay=300ms") < Duration::from_millis(8 * 300));
    assert!(at_once("cpu=30ms") >= Duration::from_millis(8 * 30));
}

#[test]
fn a_dripping_body_comes_in_pieces_with_pauses() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        client.send("GET /?chunked=1&size=40&piece=10&drip=20ms HTTP/1.1\r\nHost: x\r\n\r\n");
        client.head();
        let start = Instant::now();
        assert_eq!([(); 4].map(|()| client.chunk().len()), [10; 4]);
        assert!(
            start.elapsed() >= Duration::from_millis(50),
            "three pauses of 20 ms, the first may have begun"
        );
        assert!(client.chunk().is_empty());
    }
}

#[test]
fn an_echo_shows_the_request_byte_for_byte() {
    let node = Node::start(&[]);
    let response = node.connect().request(
        "PUT /a/b?echo=1&x=%20 HTTP/1.1\r\nHost: x\r\nX-Two:  spaces \r\nx-two: again\r\nContent-Length: 5\r\n\r\nhello",
    );
    let echo: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(echo["method"], "PUT");
    assert_eq!(echo["target"], "/a/b?echo=1&x=%20");
    assert_eq!(echo["headers"][1], serde_json::json!(["X-Two", "spaces"]));
    assert_eq!(echo["headers"][2], serde_json::json!(["x-two", "again"]));
    assert_eq!(
        (&echo["body"], &echo["node"], &echo["request_of_connection"]),
        (&"hello".into(), &"n1".into(), &1.into())
    );
}

#[test]
fn request_bodies_are_read_whole_in_both_framings() {
    for driver in drivers() {
        let node = Node::start(&driver);
        let mut client = node.connect();
        let body = "x".repeat(300_000);
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n{body}"));
        assert_eq!(client.response().status, 200);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n{body}\r\n0\r\n\r\n"
        ));
        assert_eq!(client.response().status, 200);
        assert_eq!(node.saw("/bytes/body_received"), 600_000);
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let node = Node::start(&[]);
    let mut client = node.connect();
    client.send("POST /?echo=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("ok");
    let echo: serde_json::Value = serde_json::from_slice(&client.response().body).unwrap();
    assert_eq!(echo["body"], "ok");
}

#[test]
fn an_early_response_comes_before_the_body() {
    let node = Node::start(&[]);
    let mut client = node.connect();
    client.send("POST /?early=1&status=413 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().status, 413);
    client.send("hello");
    assert_eq!(client.get("/").status, 200, "the body was read behind the response");
}

#[test]
fn http_1_0_is_answered_in_its_own_terms() {
    let node = Node::start(&[]);
    let mut client = node.connect();
    let response = client.request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(field(&response.head, "connection"), Some("keep-alive"));
    let response = client.request("GET /?chunked=1&size=9 HTTP/1.0\r\n\r\n");
    assert_eq!((field(&response.head, "transfer-encoding"), response.body.len()), (None, 9));
}

#[test]
fn what_cannot_be_read_is_refused_and_the_connection_closed() {
    for driver in drivers() {
        let node = Node::start(&driver);
        for (text, status) in [
            ("hello\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)), 431),
        ] {
            let mut client = node.connect();
            let response = client.request(text);
            assert_eq!(
                (response.status, field(&response.head, "connection")),
                (status, Some("close")),
                "{text:.40}"
            );
        }
        assert_eq!(node.saw("/requests/malformed"), 5);
    }
}
