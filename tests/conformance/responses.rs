//! RFC 9112, 4 and 6.3: status lines, framing and strictness of responses.

use crate::harness::message::{Framing, Side, parse};
use crate::harness::stage::{Stage, cases};

/// The origin answers every request with these bytes; returns what the client reads.
#[track_caller]
fn reads(at: &Stage, response: impl AsRef<[u8]>) -> crate::harness::message::Message {
    at.answers(response);
    at.get("/")
}

/// The origin answers with a response that must not be forwarded: 502, its connection is closed, and the next
/// client meets a new one.
#[track_caller]
fn is_refused(at: &Stage, response: impl AsRef<[u8]>) {
    let answer = reads(at, response);
    assert_eq!(
        (answer.status(), answer.field("x-plimsoll-reason")),
        (502, Some("bad_response")),
        "{answer:?}"
    );
    assert_eq!(answer.field("server"), Some("plimsoll"));
    at.act().wait("the end of the node's connection", |seen| seen.iter().all(|s| s.closed).then_some(()));
}

/// The origin answers once with more or other bytes than one response, and keeps the connection open: the client
/// reads the response, and the connection is not used again.
#[track_caller]
fn is_not_reused(
    at: &Stage,
    request: &str,
    response: &'static str,
    status: u16,
) -> crate::harness::message::Message {
    at.origin(move |c| {
        if c.number() == 0 {
            c.request();
            c.send(response);
            c.rest();
        } else {
            c.answer_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean");
        }
    });
    let answer = at.ask(request);
    assert_eq!(answer.status(), status, "{answer:?}");
    let next = at.get("/next");
    assert_eq!((next.status(), next.text().as_str()), (200, "clean"), "the next client got {next:?}");
    answer
}

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

cases! { One;
    fn rfc9112_6_2_a_response_with_a_length(at) {
        let answer = reads(at, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");
        assert_eq!((answer.framing, answer.text().as_str()), (Framing::Length(5), "hello"));
        assert_eq!(answer.field("x-a"), Some("b"));
    }
    fn rfc9112_6_2_a_response_with_a_length_of_zero(at) {
        assert_eq!(reads(at, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").framing, Framing::Length(0));
    }
    fn rfc9112_6_3_a_response_that_ends_with_its_connection(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send("HTTP/1.1 200 OK\r\n\r\nhello ");
                c.send("world");
            }
        });
        let answer = at.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello world"));
        assert_ne!(answer.framing, Framing::None);
    }
    fn rfc9112_6_3_a_response_that_ends_with_its_connection_and_has_no_body(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send("HTTP/1.1 200 OK\r\n\r\n");
            }
        });
        assert!(at.get("/").body.is_empty());
    }
    fn rfc9112_6_3_a_large_response_that_ends_with_its_connection(at) {
        let body = "0123456789abcdef".repeat(65536);
        let sent = body.clone();
        at.origin(move |c| {
            if c.request().is_some() {
                c.send(format!("HTTP/1.1 200 OK\r\n\r\n{sent}"));
            }
        });
        assert!(at.get("/").text() == body);
    }
    fn rfc9112_4_a_status_line_without_a_reason(at) {
        assert_eq!(reads(at, "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi").text(), "hi");
    }
    fn rfc9112_4_a_status_line_without_the_space_before_the_reason(at) {
        let answer = reads(at, "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi");
        assert!([200, 502].contains(&answer.status()), "{answer:?}");
    }
    fn rfc9112_4_an_unknown_status_is_forwarded(at) {
        assert_eq!(reads(at, "HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n").status(), 299);
    }
    fn rfc9110_15_errors_of_the_node_are_forwarded(at) {
        let answer = reads(at, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nbusy");
        assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
        assert_eq!(answer.field("retry-after"), Some("7"));
        assert!(answer.all("x-plimsoll-reason").is_empty(), "the balancer took the blame for the node");
    }
    fn rfc9110_10_2_4_the_nodes_server_field_is_forwarded(at) {
        let answer = reads(at, "HTTP/1.1 200 OK\r\nServer: node/1\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.field("server"), Some("node/1"));
    }
    fn rfc9110_5_3_set_cookie_lines_stay_apart(at) {
        let answer = reads(at, "HTTP/1.1 200 OK\r\nSet-Cookie: a=b, c\r\nSet-Cookie: d=e\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.all("set-cookie"), ["a=b, c", "d=e"]);
    }
    fn rfc9110_5_5_bytes_outside_of_ascii_in_a_response(at) {
        let answer = reads(at, b"HTTP/1.1 200 OK\r\nX-A: \xc3\xa9\xff\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.field("x-a"), Some("\u{c3}\u{a9}\u{ff}"));
    }
    fn rfc9110_15_3_6_205_with_a_length(at) {
        assert_eq!(reads(at, "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n").status(), 205);
    }
    fn rfc9110_15_4_redirects_of_the_node_are_forwarded(at) {
        let answer = reads(at, "HTTP/1.1 302 Found\r\nLocation: http://x.test/a?b\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.field("location"), Some("http://x.test/a?b"));
    }

    fn rfc9110_9_3_2_head_with_a_length_has_no_body(at) {
        at.answers("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
        let mut client = at.client();
        let answer = client.send("HEAD /h HTTP/1.1\r\nHost: {host}\r\n\r\n").response_to("HEAD");
        assert_eq!(answer.field("content-length"), Some("12345"));
        let next = client.send("HEAD /again HTTP/1.1\r\nHost: {host}\r\n\r\n").response_to("HEAD");
        assert_eq!(next.status(), 200);
        assert_eq!(at.act().seen().len(), 1, "the node's connection was not reused after HEAD");
    }
    fn rfc9110_9_3_2_head_with_chunked_has_no_body(at) {
        at.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut client = at.client();
        let answer = client.send("HEAD /h HTTP/1.1\r\nHost: {host}\r\n\r\n").response_to("HEAD");
        assert_eq!(answer.status(), 200);
        assert_eq!(client.send("HEAD /i HTTP/1.1\r\nHost: {host}\r\n\r\n").response_to("HEAD").status(), 200);
    }
    fn rfc9110_9_3_2_head_without_framing_keeps_the_connection(at) {
        at.answers("HTTP/1.1 200 OK\r\n\r\n");
        let mut client = at.client();
        client.send("HEAD /h HTTP/1.1\r\nHost: {host}\r\n\r\n").response_to("HEAD");
        assert_eq!(client.send("HEAD /i HTTP/1.1\r\nHost: {host}\r\n\r\n").response_to("HEAD").status(), 200);
    }
    fn rfc9110_15_3_5_204_has_no_body(at) {
        at.answers("HTTP/1.1 204 No Content\r\n\r\n");
        let mut client = at.client();
        assert_eq!(client.send(GET).response().status(), 204);
        assert_eq!(client.send(GET).response().status(), 204);
    }
    fn rfc9110_15_3_5_204_with_a_length_has_no_body(at) {
        // The origin lies: no 5 bytes follow. A balancer that waits for them hangs.
        at.answers("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
        let mut client = at.client();
        assert!([204, 502].contains(&client.send(GET).response().status()));
    }
    fn rfc9110_15_4_5_304_with_a_length_has_no_body(at) {
        at.answers("HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n");
        let mut client = at.client();
        let answer = client.send(GET).response();
        assert_eq!((answer.status(), answer.field("etag")), (304, Some("\"x\"")));
        assert_eq!(client.send(GET).response().status(), 304);
        assert_eq!(at.act().seen().len(), 1, "the node's connection was not reused after 304");
    }
    fn rfc9110_15_4_5_304_with_chunked_has_no_body(at) {
        at.answers("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut client = at.client();
        assert_eq!(client.send(GET).response().status(), 304);
        assert_eq!(client.send(GET).response().status(), 304);
    }
    fn rfc9112_6_3_a_body_sent_with_head_reaches_nobody(at) {
        is_not_reused(
            at,
            "HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            200,
        );
    }
    fn rfc9112_6_3_a_body_sent_with_204_reaches_nobody(at) {
        is_not_reused(at, GET, "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 204);
    }
    fn rfc9112_6_3_a_body_sent_with_304_reaches_nobody(at) {
        is_not_reused(at, GET, "HTTP/1.1 304 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 304);
    }
    fn rfc9112_9_bytes_after_a_response_reach_nobody(at) {
        let answer = is_not_reused(
            at,
            GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            200,
        );
        assert_eq!(answer.text(), "hi");
    }
    fn rfc9112_9_bytes_after_a_chunked_response_reach_nobody(at) {
        let answer = is_not_reused(
            at,
            GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            200,
        );
        assert_eq!(answer.text(), "hi");
    }
    fn rfc9112_9_a_response_before_any_request_reaches_nobody(at) {
        let gate = crate::harness::gate::Gate::default();
        let unsolicited = gate.clone();
        at.origin(move |c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
            if c.number() == 0 {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                unsolicited.open();
                c.rest();
            }
        });
        assert_eq!(at.get("/").text(), "own");
        gate.pass();
        assert_eq!(at.get("/").text(), "own");
    }
    fn rfc9112_8_a_response_shorter_than_its_length_is_seen_to_be(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            }
        });
        let bytes = at.client().send(GET).rest();
        let read = parse(&bytes, Side::Response { method: "GET", ended: true });
        assert!(matches!(read, Ok(None)), "half a response was made a whole one: {read:?}");
    }

    fn rfc9112_6_3_response_with_two_lengths(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
    }
    fn rfc9112_6_3_response_with_a_list_of_lengths(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!");
    }
    fn rfc9112_6_3_response_with_length_and_coding(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    }
    fn rfc9112_6_3_response_with_signed_length(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello");
    }
    fn rfc9112_6_3_response_with_negative_length(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello");
    }
    fn rfc9112_6_3_response_with_length_that_overflows(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello");
    }
    fn rfc9112_6_3_response_with_empty_length(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello");
    }
    fn rfc9112_6_1_response_with_gzip_coding(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    }
    fn rfc9112_6_1_response_with_unknown_coding(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n");
    }
    fn rfc9112_6_1_response_with_chunked_twice(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    }
    fn rfc9112_2_2_response_with_bare_lf(at) {
        is_refused(at, "HTTP/1.1 200 OK\nContent-Length: 0\n\n");
    }
    fn rfc9112_2_2_response_with_bare_lf_after_a_field(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9112_2_2_response_with_bare_cr(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nX-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9110_5_5_response_with_nul(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9112_5_1_response_with_space_before_colon(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n");
    }
    fn rfc9112_5_2_response_with_a_fold(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9112_5_response_with_a_line_without_colon(at) {
        is_refused(at, "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9112_4_response_that_is_garbage(at) { is_refused(at, "hello, is this HTTP?\r\n\r\n"); }
    fn rfc9112_4_response_that_begins_with_an_empty_line(at) {
        is_refused(at, "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9112_4_response_of_http_2(at) { is_refused(at, "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9112_4_response_of_lower_case_http(at) { is_refused(at, "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9112_4_response_with_two_digits(at) { is_refused(at, "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9112_4_response_with_four_digits(at) { is_refused(at, "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9112_4_response_with_letters_for_a_status(at) { is_refused(at, "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9110_15_response_with_status_below_100(at) { is_refused(at, "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9112_4_response_with_two_spaces(at) { is_refused(at, "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"); }
    fn rfc9112_4_response_with_a_control_byte_in_the_reason(at) {
        is_refused(at, "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n");
    }
    fn rfc9110_15_2_2_101_that_nobody_asked_for(at) {
        is_refused(at, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    }
    fn rfc9110_5_4_response_head_over_the_limit(at) {
        let response = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 0\r\n\r\n", "v".repeat(60_000));
        is_refused(at, response);
    }
    fn rfc9110_5_4_response_of_too_many_fields(at) {
        let fields: String = (0..500).map(|n| format!("X-{n}: v\r\n")).collect();
        is_refused(at, format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    }
    fn rfc9112_4_a_response_head_that_comes_byte_by_byte(at) {
        at.origin(|c| while c.request().is_some() {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" {
                c.send([*byte]);
            }
        });
        assert_eq!(at.get("/").text(), "hi");
    }
}
