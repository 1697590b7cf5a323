//! RFC 9110, 10.1.1: Expect; and RFC 9112, 9.3 and 9.5: final responses before the end of a request.

use crate::harness::stage::{cases, refusals};

const EXPECTING: &str =
    "POST /e HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

refusals! { One;
    rfc9110_10_1_1_another_expectation: 417 "bad_expectation"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 200-ok\r\n\r\nhello";
    rfc9110_10_1_1_100_continue_and_another: 417 "bad_expectation"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-continue, x\r\n\r\nhello";
}

cases! { One;
    fn rfc9110_10_1_1_the_origin_is_asked_and_its_100_is_forwarded(at) {
        at.origin(|c| while let Some(head) = c.head() {
            assert_eq!(head.field("expect").map(str::to_lowercase).as_deref(), Some("100-continue"));
            c.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = c.raw(5);
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", String::from_utf8(body).unwrap()));
        });
        let mut client = at.client();
        assert_eq!(client.send(EXPECTING).next("POST").status(), 100);
        assert_eq!(client.send("hello").next("POST").text(), "hello");
    }
    fn rfc9110_10_1_1_an_expectation_in_any_case(at) {
        at.origin(|c| while c.head().is_some() {
            c.send("HTTP/1.1 100 Continue\r\n\r\n");
            c.raw(5);
            c.send("HTTP/1.1 204 N\r\n\r\n");
        });
        let mut client = at.client();
        client.send("POST /e HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n");
        assert_eq!(client.next("POST").status(), 100);
        assert_eq!(client.send("hello").response().status(), 204);
    }
    fn rfc9110_10_1_1_a_client_that_does_not_wait_for_100(at) {
        at.origin(|c| while c.head().is_some() {
            c.send("HTTP/1.1 100 Continue\r\n\r\n");
            c.raw(5);
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        });
        let mut client = at.client();
        assert_eq!(client.send(EXPECTING).send("hello").response().text(), "hi");
        assert_eq!(client.send(EXPECTING).send("hello").response().text(), "hi");
    }
    fn rfc9110_10_1_1_an_origin_that_never_says_100(at) {
        at.answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(at.client().send(EXPECTING).send("hello").response().text(), "hi");
        assert_eq!(at.arrived().text(), "hello");
    }
    fn rfc9110_10_1_1_a_final_response_instead_of_100(at) {
        at.origin(|c| {
            c.head();
            c.send("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
            c.rest();
        });
        let mut client = at.client();
        let answer = client.send(EXPECTING).response();
        assert_eq!((answer.status(), answer.text().as_str()), (401, "no"));
        // The client may send the body it announced, or give up; either way the node's connection is spoilt.
        client.finish();
        at.act().wait("the end of the node's connection", |seen| seen.iter().all(|s| s.closed).then_some(()));
    }
    fn rfc9110_10_1_1_the_body_after_a_refused_expectation_is_no_request(at) {
        at.origin(|c| {
            if c.number() == 0 {
                c.head();
                c.send("HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno");
                c.rest();
            } else {
                c.answer_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean");
            }
        });
        let body = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n";
        let length = at.fill(body).len();
        let mut client = at.client();
        client.send(format!(
            "POST /e HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert_eq!(client.response().status(), 417);
        client.try_send(body).finish();
        client.rest();
        assert!(at.act().requests().iter().all(|r| r.target() != "/smuggled"), "a body became a request");
    }
    fn rfc9110_10_1_1_expect_of_http_1_0_means_nothing(at) {
        at.answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        let mut client = at.client();
        client.send("POST /e HTTP/1.0\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
        assert_eq!(client.next("POST").text(), "hi");
    }
    fn rfc9110_10_1_1_expect_without_a_body(at) {
        at.answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        let answer = at.client().send("GET / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n\r\n").response();
        assert_eq!(answer.text(), "hi");
    }
    fn rfc9112_9_3_a_final_response_during_an_upload(at) {
        at.origin(|c| {
            c.head();
            c.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop");
            c.rest();
        });
        let mut client = at.client();
        client.send("POST /u HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000000\r\n\r\n");
        client.send("x".repeat(1000));
        let answer = client.response();
        assert_eq!((answer.status(), answer.text().as_str()), (413, "stop"));
    }
    fn rfc9112_9_3_a_final_response_during_a_chunked_upload(at) {
        at.origin(|c| {
            c.head();
            c.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
            c.rest();
        });
        let mut client = at.client();
        client.send("POST /u HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        assert_eq!(client.response().text(), "no");
    }
    fn rfc9112_9_3_an_early_response_then_the_node_closes(at) {
        at.origin(|c| {
            c.head();
            c.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop");
        });
        let mut client = at.client();
        client.send("POST /u HTTP/1.1\r\nHost: {host}\r\nContent-Length: 50000000\r\n\r\n");
        client.try_send("x".repeat(3_000_000));
        assert_eq!(client.response().text(), "stop");
    }
}
