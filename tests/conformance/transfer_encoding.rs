//! RFC 9112, 6.1 and 6.3: Transfer-Encoding, and nothing beside it.

use crate::harness::message::Framing;
use crate::harness::stage::{Stage, cases, refusals};

refusals! { Two;
    rfc9112_6_3_coding_and_length: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    rfc9112_6_3_length_after_coding: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    rfc9112_6_3_coding_and_length_of_zero: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    rfc9112_6_3_odd_coding_and_length: 400 "bad_request|not_implemented"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\nhello";
    rfc9112_6_1_coding_of_http_1_0: 400 "bad_request"
        b"POST / HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    rfc9112_6_1_coding_of_http_1_0_with_keep_alive: 400 "bad_request"
        b"POST / HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
}

/// Codings that must be refused, whether as nonsense (400) or as something not done here (501).
fn is_refused(at: &Stage, lines: &str) {
    let request = format!("POST / HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    at.refuses_with_any(request, &[400, 501]);
}

/// Codings that may be refused; if not, they must mean `chunked`.
fn is_chunked_or_refused(at: &Stage, lines: &str) {
    let request = format!("POST / HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let answer = at.ask(request);
    match answer.status() {
        400 | 501 => assert!(at.act().requests().is_empty()),
        200 => assert_eq!(at.arrived().text(), "hello"),
        status => panic!("{status} is neither a refusal nor an answer of the origin"),
    }
}

cases! { Two;
    fn rfc9112_6_1_chunked_twice(at) { is_refused(at, "Transfer-Encoding: chunked, chunked"); }
    fn rfc9112_6_1_chunked_in_two_lines(at) {
        is_refused(at, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
    }
    fn rfc9112_6_1_gzip_then_chunked(at) { is_refused(at, "Transfer-Encoding: gzip, chunked"); }
    fn rfc9112_6_1_gzip_and_chunked_in_two_lines(at) {
        is_refused(at, "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked");
    }
    fn rfc9112_6_1_chunked_then_gzip(at) { is_refused(at, "Transfer-Encoding: chunked, gzip"); }
    fn rfc9112_6_1_gzip_alone(at) { is_refused(at, "Transfer-Encoding: gzip"); }
    fn rfc9112_6_1_identity(at) { is_refused(at, "Transfer-Encoding: identity"); }
    fn rfc9112_6_1_identity_then_chunked(at) { is_refused(at, "Transfer-Encoding: identity, chunked"); }
    fn rfc9112_6_1_chunked_then_identity(at) { is_refused(at, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"); }
    fn rfc9112_6_1_unknown_coding(at) { is_refused(at, "Transfer-Encoding: xchunked"); }
    fn rfc9112_6_1_prefix_of_chunked(at) { is_refused(at, "Transfer-Encoding: chunke"); }
    fn rfc9112_6_1_more_than_chunked(at) { is_refused(at, "Transfer-Encoding: chunkedx"); }
    fn rfc9112_6_1_chunked_with_parameter(at) { is_refused(at, "Transfer-Encoding: chunked;q=1"); }
    fn rfc9112_6_1_chunked_in_quotes(at) { is_refused(at, "Transfer-Encoding: \"chunked\""); }
    fn rfc9112_6_1_chunked_in_single_quotes(at) { is_refused(at, "Transfer-Encoding: 'chunked'"); }
    fn rfc9112_6_1_space_within_chunked(at) { is_refused(at, "Transfer-Encoding: chun ked"); }
    fn rfc9112_6_1_vertical_tab_before_chunked(at) { is_refused(at, "Transfer-Encoding: \x0bchunked"); }
    fn rfc9112_6_1_form_feed_before_chunked(at) { is_refused(at, "Transfer-Encoding: \x0cchunked"); }
    fn rfc9112_6_1_nul_after_chunked(at) { is_refused(at, "Transfer-Encoding: chunked\0"); }
    fn rfc9112_6_1_cr_after_chunked(at) { is_refused(at, "Transfer-Encoding: chunked\r"); }
    fn rfc9112_6_1_nbsp_before_chunked(at) { is_refused(at, "Transfer-Encoding: \u{a0}chunked"); }
    fn rfc9112_6_1_long_s_is_no_letter_of_chunked(at) { is_refused(at, "Transfer-Encoding: chun\u{212a}ed"); }
    fn rfc9112_6_1_empty_coding(at) { is_refused(at, "Transfer-Encoding:"); }
    fn rfc9112_6_1_semicolon_between_codings(at) { is_refused(at, "Transfer-Encoding: identity; chunked"); }
    fn rfc9112_6_1_space_between_codings(at) { is_refused(at, "Transfer-Encoding: identity chunked"); }
    fn rfc9110_5_6_1_empty_element_before_chunked(at) { is_chunked_or_refused(at, "Transfer-Encoding: , chunked"); }
    fn rfc9110_5_6_1_empty_element_after_chunked(at) { is_chunked_or_refused(at, "Transfer-Encoding: chunked,"); }
    fn rfc9112_6_1_empty_line_beside_chunked(at) {
        is_chunked_or_refused(at, "Transfer-Encoding:\r\nTransfer-Encoding: chunked");
    }
    fn rfc9112_6_1_chunked_without_regard_to_case(at) {
        let answer = at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nTRANSFER-encoding: cHuNkEd\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        assert_eq!(answer.status(), 200);
        assert_eq!((at.arrived().framing, at.arrived().text().as_str()), (Framing::Chunked, "hi"));
    }
    fn rfc9112_6_1_white_space_around_chunked(at) {
        let answer = at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: \t chunked \t\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().text(), "hi");
    }
    fn rfc9112_6_1_chunked_of_a_get(at) {
        let answer = at.ask("GET / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().text(), "hi");
    }
    fn rfc9112_6_1_an_empty_chunked_body(at) {
        let answer = at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        assert_eq!(answer.status(), 200);
        assert!(at.arrived().body.is_empty());
    }
    fn rfc9112_6_3_the_request_behind_coding_and_length_is_never_served(at) {
        let mut client = at.client();
        client.try_send(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n",
        );
        assert_eq!(client.response().status(), 400);
        client.closed();
        assert!(at.act().requests().is_empty());
    }
}
