//! RFC 9110, 15.5.9 and 15.6.5; RFC 9112, 9.5: time that ran out.

use std::time::{Duration, Instant};

use crate::harness::message::{Side, parse};
use crate::harness::origin::ok;
use crate::harness::stage::cases;

/// All timeouts of the set-up are half a second at most; what takes longer than this was not timed out.
const BY_THEN: Duration = Duration::from_secs(5);

cases! { Tight;
    fn rfc9110_15_5_9_a_head_that_does_not_end(at) {
        let begin = Instant::now();
        let mut client = at.client();
        let answer = client.send("GET / HTTP/1.1\r\nHost: {host}\r\nX-").response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (408, Some("head_timeout")));
        assert!(answer.lists("connection", "close"));
        client.closed();
        assert!(begin.elapsed() < BY_THEN);
    }
    fn rfc9110_15_5_9_a_head_that_drips_has_no_more_time(at) {
        let begin = Instant::now();
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n");
        while begin.elapsed() < Duration::from_millis(300) {
            client.try_send("X-A: b\r\n");
            std::thread::sleep(Duration::from_millis(60));
        }
        assert_eq!(client.response().status(), 408, "every byte bought more time");
        assert!(begin.elapsed() < BY_THEN);
    }
    fn rfc9110_15_5_9_a_second_head_that_does_not_end(at) {
        let mut client = at.client();
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().status(), 200);
        assert_eq!(client.send("GET /second HTT").response().status(), 408);
        client.closed();
    }
    fn rfc9112_2_2_an_empty_line_is_no_head_that_has_begun(at) {
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response();
        client.send("\r\n");
        assert!(client.rest().is_empty(), "closed without a word, as any idle one");
    }
    fn rfc9112_9_5_an_idle_connection_is_closed_without_a_word(at) {
        let begin = Instant::now();
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response();
        client.closed();
        assert!(begin.elapsed() > Duration::from_millis(350), "closed after {:?}", begin.elapsed());
        assert!(begin.elapsed() < BY_THEN);
    }
    fn rfc9112_9_5_a_connection_without_any_request_is_closed(at) {
        let begin = Instant::now();
        let rest = at.client().rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{rest:?}");
        assert!(begin.elapsed() < BY_THEN);
    }
    fn rfc9112_9_5_a_connection_in_use_is_not_idle(at) {
        let mut client = at.client();
        for _ in 0..8 {
            assert_eq!(client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().status(), 200);
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    fn rfc9110_15_5_9_a_body_that_stops(at) {
        let begin = Instant::now();
        let mut client = at.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nhello");
        let answer = client.response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (408, Some("body_timeout")));
        client.closed();
        assert!(begin.elapsed() < BY_THEN);
        at.act().wait("the end of the node's connection", |seen| seen.iter().all(|s| s.closed).then_some(()));
        assert!(at.act().requests().is_empty());
    }
    fn rfc9110_15_5_9_a_chunked_body_that_stops(at) {
        let mut client = at.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
        assert_eq!(client.response().field("x-plimsoll-reason"), Some("body_timeout"));
        client.closed();
    }
    fn rfc9110_15_5_9_a_slow_body_that_goes_on(at) {
        let mut client = at.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(100));
            client.send("x");
        }
        assert_eq!(client.response().status(), 200);
        assert_eq!(at.arrived().text(), "xxxxxxxxxx");
    }
    fn rfc9110_15_6_5_a_node_that_does_not_answer(at) {
        at.origin(|c| {
            c.request();
            c.rest();
        });
        let begin = Instant::now();
        let mut client = at.client();
        let answer = client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (504, Some("response_timeout")));
        assert!(begin.elapsed() > Duration::from_millis(350) && begin.elapsed() < BY_THEN);
        at.act().wait("the end of the node's connection", |seen| seen.iter().all(|s| s.closed).then_some(()));
        assert_eq!(at.act().requests().len(), 1, "a request that timed out was sent again");
    }
    fn rfc9110_15_6_5_a_node_that_begins_its_head_and_stops(at) {
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nX-");
            c.rest();
        });
        let answer = at.get("/");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (504, Some("response_timeout")));
    }
    fn rfc9110_15_6_5_a_client_keeps_its_connection_after_504(at) {
        at.origin(|c| while let Some(request) = c.request() {
            if request.target() == "/slow" {
                c.rest();
            } else {
                c.send(ok("quick"));
            }
        });
        let mut client = at.client();
        assert_eq!(client.send("GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n").response().status(), 504);
        assert_eq!(client.send("GET /quick HTTP/1.1\r\nHost: {host}\r\n\r\n").response().text(), "quick");
    }
    fn rfc9112_8_a_response_that_stops_is_cut_and_seen_to_be(at) {
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            c.rest();
        });
        let begin = Instant::now();
        let bytes = at.client().send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").rest();
        assert!(matches!(parse(&bytes, Side::Response { method: "GET", ended: true }), Ok(None)));
        assert!(begin.elapsed() < BY_THEN);
    }
    fn rfc9112_8_a_slow_response_that_goes_on(at) {
        at.origin(|c| while c.request().is_some() {
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(100));
                c.send("x");
            }
        });
        assert_eq!(at.get("/").text(), "xxxxxxxxxx");
    }
    fn rfc9112_9_5_a_client_that_stops_reading_is_let_go(at) {
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
            while c.send(&chunk) {}
        });
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").head();
        at.act().wait("the end of the node's connection", |seen| seen[0].ended.then_some(()));
    }
    fn rfc9110_7_8_a_silent_tunnel_is_closed(at) {
        at.origin(|c| {
            c.head();
            c.tunnel();
            c.send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
            c.rest();
        });
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.response().status(), 101);
        client.closed();
        at.act().wait("the end of the node's connection", |seen| seen[0].closed.then_some(()));
    }
    fn rfc9110_15_5_9_a_slow_client_does_not_hold_up_others(at) {
        let mut slow: Vec<_> = (0..50).map(|_| at.client()).collect();
        for client in &mut slow {
            client.send("GET / HTTP/1.1\r\nHost: ");
        }
        let begin = Instant::now();
        assert_eq!(at.get("/").status(), 200);
        assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
        for client in &mut slow {
            assert_eq!(client.response().status(), 408);
        }
    }
}
