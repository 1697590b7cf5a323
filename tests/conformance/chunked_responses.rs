//! RFC 9112, 7.1: chunked bodies of responses.

use crate::harness::message::{Framing, Side, parse};
use crate::harness::stage::{Stage, cases};

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The origin answers with these chunks; returns what the client reads.
#[track_caller]
fn reads(at: &Stage, chunks: &str) -> crate::harness::message::Message {
    at.answers(format!("{HEAD}{chunks}"));
    let answer = at.get("/");
    assert_eq!((answer.status(), answer.framing), (200, Framing::Chunked));
    answer
}

/// The origin answers with broken chunks: the client must not take what comes for a whole response of the origin.
#[track_caller]
fn breaks(at: &Stage, chunks: &str) {
    let response = format!("{HEAD}{chunks}");
    at.origin(move |c| {
        if c.request().is_some() {
            c.send(&response);
            c.rest();
        }
    });
    let mut client = at.client();
    client.send("GET /broken HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let bytes = client.rest();
    if let Ok(Some(whole)) = parse(&bytes, Side::Response { method: "GET", ended: true }) {
        assert_eq!(whole.status(), 502, "a broken response was made a whole one: {whole:?}");
        assert_eq!(whole.field("x-plimsoll-reason"), Some("bad_response"));
    }
    at.act().wait("the end of the node's connection", |seen| seen.iter().all(|s| s.closed).then_some(()));
}

cases! { One;
    fn rfc9112_7_1_response_of_one_chunk(at) { assert_eq!(reads(at, "5\r\nhello\r\n0\r\n\r\n").text(), "hello"); }
    fn rfc9112_7_1_response_of_several_chunks(at) {
        assert_eq!(reads(at, "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n").text(), "hello");
    }
    fn rfc9112_7_1_response_without_data(at) { assert!(reads(at, "0\r\n\r\n").body.is_empty()); }
    fn rfc9112_7_1_1_response_extensions_do_not_arrive(at) {
        assert_eq!(reads(at, "5;a=b\r\nhello\r\n0;c\r\n\r\n").text(), "hello");
    }
    fn rfc9110_6_5_response_trailers_arrive_as_trailers_or_not_at_all(at) {
        let answer = reads(at, "5\r\nhello\r\n0\r\nX-T: v\r\nContent-Length: 9\r\n\r\n");
        assert!(answer.all("x-t").is_empty() && answer.trailer("content-length").is_empty());
        assert!(["", "v"].contains(&answer.trailer("x-t").join(",").as_str()));
    }
    fn rfc9112_7_1_response_chunks_come_as_they_are_sent(at) {
        let gate = crate::harness::gate::Gate::default();
        let script_gate = gate.clone();
        at.origin(move |c| {
            if c.request().is_some() {
                c.send(format!("{HEAD}5\r\nhello\r\n"));
                script_gate.pass();
                c.send("0\r\n\r\n");
                c.request();
            }
        });
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.head().status(), 200);
        assert!(client.raw(10).windows(5).any(|w| w == b"hello"));
        gate.open();
        assert_eq!(client.raw(5), b"0\r\n\r\n");
    }
    fn rfc9112_7_1_a_chunked_response_of_a_mebibyte(at) {
        let body = "0123456789abcdef".repeat(65536);
        assert_eq!(reads(at, &format!("100000\r\n{body}\r\n0\r\n\r\n")).text(), body);
    }
    fn rfc9112_7_1_response_in_many_tiny_chunks(at) {
        assert_eq!(reads(at, &("1\r\nx\r\n".repeat(5000) + "0\r\n\r\n")).body.len(), 5000);
    }
    fn rfc9112_7_1_a_chunked_response_that_comes_byte_by_byte(at) {
        at.origin(|c| while c.request().is_some() {
            for byte in format!("{HEAD}5;x\r\nhello\r\n0\r\n\r\n").bytes() {
                c.send([byte]);
            }
        });
        assert_eq!(at.get("/").text(), "hello");
    }
    fn rfc9112_7_1_response_size_with_plus(at) { breaks(at, "+5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_response_size_with_prefix(at) { breaks(at, "0x5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_response_size_of_2_to_the_64(at) { breaks(at, "10000000000000005\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_response_empty_size(at) { breaks(at, "\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_response_no_hex_digit(at) { breaks(at, "z\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_response_lf_after_size(at) { breaks(at, "5\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_response_nothing_after_data(at) { breaks(at, "5\r\nhello0\r\n\r\n"); }
    fn rfc9112_7_1_response_more_data_than_size(at) { breaks(at, "5\r\nhello!\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_1_response_lf_in_extension(at) { breaks(at, "5;a\nb\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9110_7_6_1_trailers_that_connection_names_stay_behind(at) {
        at.answers(
            "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Hop: 1\r\n\r\n",
        );
        let answer = at.get("/");
        assert_eq!((answer.text().as_str(), answer.trailer("x-hop").len()), ("hi", 0), "{answer:?}");
    }
    fn rfc9112_7_1_2_response_trailer_without_colon(at) { breaks(at, "5\r\nhello\r\n0\r\nX-T\r\n\r\n"); }
    fn rfc9112_8_a_chunked_response_that_breaks_off_is_seen_to(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send(format!("{HEAD}5\r\nhello\r\n"));
            }
        });
        let mut client = at.client();
        let bytes = client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").rest();
        let read = parse(&bytes, Side::Response { method: "GET", ended: true });
        assert!(matches!(read, Ok(None)), "half a response was made a whole one: {read:?}");
    }
}
