//! RFC 9112, 2.3, 6.1, 9.3; RFC 9110, 7.6: HTTP/1.0 on either side.

use crate::harness::message::{Framing, Side, parse};
use crate::harness::stage::cases;

const OLD: &str = "GET /old HTTP/1.0\r\nHost: {host}\r\n\r\n";
const OLD_KEEP: &str = "GET /old HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n";

cases! { One;
    fn rfc9112_9_3_http_1_0_closes_after_its_response(at) {
        let mut client = at.client();
        assert_eq!(client.send(OLD).response().text(), "hello");
        client.closed();
    }
    fn rfc9112_9_3_http_1_0_keeps_alive_when_asked(at) {
        let mut client = at.client();
        let answer = client.send(OLD_KEEP).response();
        assert!(answer.lists("connection", "keep-alive"), "a 1.0 client must be told: {answer:?}");
        assert_eq!(client.send(OLD_KEEP).response().text(), "hello");
        assert_eq!(client.send(OLD).response().text(), "hello");
        client.closed();
    }
    fn rfc9112_9_3_http_1_0_with_close_and_keep_alive_closes(at) {
        let mut client = at.client();
        client.send("GET /old HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive, close\r\n\r\n").response();
        client.closed();
    }
    fn rfc9112_6_1_http_1_0_gets_no_chunks(at) {
        at.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
        let answer = at.client().send(OLD).response();
        assert_ne!(answer.framing, Framing::Chunked);
        assert!(answer.all("transfer-encoding").is_empty());
        assert_eq!(answer.text(), "hello!");
    }
    fn rfc9112_6_1_http_1_0_that_wants_to_keep_alive_gets_no_chunks(at) {
        at.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let mut client = at.client();
        let answer = client.send(OLD_KEEP).response();
        assert!(answer.all("transfer-encoding").is_empty());
        assert_eq!(answer.text(), "hello");
        if answer.framing == Framing::Close {
            assert!(!answer.lists("connection", "keep-alive"), "a body that ends with the connection: {answer:?}");
        }
    }
    fn rfc9112_6_1_a_broken_chunked_response_shows_no_chunks_to_http_1_0(at) {
        // Without chunks only the manner of the end could tell; what must not happen is that coding becomes content.
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
            c.rest();
        });
        let bytes = at.client().send(OLD).rest();
        if let Some(answer) = parse(&bytes, Side::Response { method: "GET", ended: true }).unwrap() {
            assert!(answer.status() == 502 || ["", "hello"].contains(&answer.text().as_str()), "{answer:?}");
        }
    }
    fn rfc9112_3_2_http_1_0_without_host_is_served(at) {
        let answer = at.client().send(format!("GET {}/x HTTP/1.0\r\n\r\n", at.path())).response();
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(at.arrived().all("host").len(), 1, "what we send is HTTP/1.1 and needs a Host");
    }
    fn rfc9112_2_3_http_1_0_arrives_as_1_1(at) {
        assert_eq!(at.client().send(OLD).response().status(), 200);
        assert_eq!(at.arrived().start, "GET /old HTTP/1.1");
    }
    fn rfc9112_6_2_a_body_of_http_1_0(at) {
        let mut client = at.client();
        client.send("POST /old HTTP/1.0\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().status(), 200);
        assert_eq!(at.arrived().text(), "hello");
        client.closed();
    }
    fn rfc9112_2_3_a_node_of_http_1_0_that_closes(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send("HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nhello");
            }
        });
        let mut client = at.client();
        for _ in 0..3 {
            let answer = client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response();
            assert_eq!((answer.text().as_str(), answer.field("x-a")), ("hello", Some("b")));
            if answer.framing == Framing::Close {
                client = at.client();
            }
        }
        assert_eq!(at.act().requests().len(), 3);
    }
    fn rfc9112_9_3_a_node_of_http_1_0_is_not_reused_unless_it_says_so(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi");
                let more = c.rest();
                assert!(more.is_empty());
            }
        });
        assert_eq!(at.get("/a").text(), "hi");
        assert_eq!(at.get("/b").text(), "hi");
        let connections: Vec<usize> = at.act().seen().iter().map(|s| s.requests.len()).collect();
        assert!(connections.iter().all(|n| *n <= 1), "{connections:?}");
    }
    fn rfc9112_9_3_a_node_of_http_1_0_that_keeps_alive(at) {
        at.answers("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(at.get("/a").text(), "hi");
        assert_eq!(at.get("/b").text(), "hi");
    }
    fn rfc9112_6_1_chunked_from_a_node_of_http_1_0_is_faulty(at) {
        at.answers("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        let answer = at.get("/a");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("bad_response")));
    }
}
