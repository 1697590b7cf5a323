//! RFC 9112, 6.2 and 6.3; RFC 9110, 8.6: bodies with a length.

use crate::harness::message::Framing;
use crate::harness::stage::{cases, refusals};

refusals! { Two;
    rfc9112_6_3_length_with_plus: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello";
    rfc9112_6_3_length_with_minus: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -5\r\n\r\nhello";
    rfc9112_6_3_length_minus_zero: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -0\r\n\r\n";
    rfc9112_6_3_length_with_point: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5.0\r\n\r\nhello";
    rfc9112_6_3_length_with_exponent: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5e0\r\n\r\nhello";
    rfc9112_6_3_length_in_hex: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x5\r\n\r\nhello";
    rfc9112_6_3_length_of_hex_digits: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: a\r\n\r\n0123456789";
    rfc9112_6_3_length_with_space_inside: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0 5\r\n\r\nhello";
    rfc9112_6_3_length_with_unit: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5b\r\n\r\nhello";
    rfc9112_6_3_length_with_underscore: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0_5\r\n\r\nhello";
    rfc9112_6_3_length_with_semicolon: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5;\r\n\r\nhello";
    rfc9112_6_3_length_in_quotes: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: \"5\"\r\n\r\nhello";
    rfc9112_6_3_length_with_vertical_tab: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: \x0b5\r\n\r\nhello";
    rfc9112_6_3_length_with_nbsp: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: \xa05\r\n\r\nhello";
    rfc9112_6_3_length_in_other_digits: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: \xd9\xa5\r\n\r\nhello";
    rfc9112_6_3_empty_length: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length:\r\n\r\n";
    rfc9112_6_3_length_of_letters: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: five\r\n\r\nhello";
    rfc9112_6_3_two_lengths: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!";
    rfc9112_6_3_two_equal_lengths: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello";
    rfc9112_6_3_two_lengths_far_apart: 400 "bad_request"
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\nHost: {host}\r\nX-A: b\r\ncontent-length: 5\r\n\r\nhello";
    rfc9112_6_3_list_of_lengths: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5, 6\r\n\r\nhello!";
    rfc9112_6_3_list_of_equal_lengths: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5, 5\r\n\r\nhello";
    rfc9112_6_3_list_with_empty_element: 400 "bad_request" b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5,\r\n\r\nhello";
    rfc9112_6_3_two_lengths_of_a_get: 400 "bad_request"
        b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n";
    rfc9112_6_3_length_of_2_to_the_64: 400 "bad_request|body_too_large"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 18446744073709551616\r\n\r\nhello";
    rfc9112_6_3_length_of_2_to_the_64_and_5: 400 "bad_request|body_too_large"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 18446744073709551621\r\n\r\nhello";
    rfc9112_6_3_length_of_forty_digits: 400 "bad_request|body_too_large"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000000000000000000000000000000000000\r\n\r\nhello";
}

cases! { Two;
    fn rfc9112_6_2_a_body_arrives_whole(at) {
        let answer = at.ask("POST /p HTTP/1.1\r\nHost: {host}\r\nContent-Length: 11\r\n\r\nhello world");
        assert_eq!(answer.status(), 200);
        let request = at.arrived();
        assert_eq!((request.framing, request.text().as_str()), (Framing::Length(11), "hello world"));
    }
    fn rfc9112_6_2_a_length_of_zero(at) {
        assert_eq!(at.ask("POST /p HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().field("content-length"), Some("0"));
    }
    fn rfc9110_8_6_no_length_is_no_body(at) {
        assert_eq!(at.ask("POST /p HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 200);
        assert!(at.arrived().body.is_empty());
    }
    fn rfc9112_6_3_a_body_of_a_get_is_not_taken_for_a_request(at) {
        let body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let length = body.len();
        let answer = at.ask(format!("GET /g HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().text(), body);
    }
    fn rfc9112_6_3_a_body_of_a_delete(at) {
        assert_eq!(at.ask("DELETE /g HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi").status(), 200);
        assert_eq!(at.arrived().text(), "hi");
    }
    fn rfc9112_6_3_a_body_of_a_head(at) {
        assert_eq!(at.ask("HEAD /g HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi").status(), 200);
        assert_eq!(at.arrived().text(), "hi");
    }
    fn rfc9112_6_3_leading_zeros_are_refused_or_mean_the_same_number(at) {
        let answer = at.ask("POST /p HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0005\r\n\r\nhello");
        match answer.status() {
            400 => assert!(at.act().requests().is_empty()),
            _ => assert_eq!(at.arrived().framing, Framing::Length(5)),
        }
    }
    fn rfc9112_6_3_white_space_around_a_length(at) {
        assert_eq!(at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: \t5 \r\n\r\nhello").status(), 200);
        assert_eq!(at.arrived().text(), "hello");
    }
    fn rfc9112_6_3_a_body_that_comes_byte_by_byte(at) {
        let mut client = at.client();
        client.drip("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().status(), 200);
        assert_eq!(at.arrived().text(), "hello");
    }
    fn rfc9112_6_3_a_body_apart_from_its_head(at) {
        let mut client = at.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\n");
        at.act().wait("the head", |seen| seen.first().filter(|s| !s.bytes.is_empty()).map(|_| ()));
        assert_eq!(client.send("hello").response().status(), 200);
        assert_eq!(at.arrived().text(), "hello");
    }
    fn rfc9112_6_3_a_body_of_every_byte_value(at) {
        let body: Vec<u8> = (0..=255).collect();
        let head = b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 256\r\n\r\n".to_vec();
        assert_eq!(at.ask([head, body.clone()].concat()).status(), 200);
        assert_eq!(at.arrived().body, body);
    }
    fn rfc9112_8_a_body_that_breaks_off_is_never_whole_at_the_origin(at) {
        let mut client = at.client();
        client.send("POST /cut HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nhello").finish();
        client.rest();
        drop(client);
        at.act().wait("the end of the connection", |seen| seen.iter().all(|s| s.closed || s.ended).then_some(()));
        assert!(at.act().requests().is_empty(), "half a body was made a whole one");
    }
    fn rfc9112_6_3_a_length_in_any_case(at) {
        assert_eq!(at.ask("POST / HTTP/1.1\r\nHost: {host}\r\ncOnTeNt-LeNgTh: 5\r\n\r\nhello").status(), 200);
        assert_eq!(at.arrived().text(), "hello");
    }
}
