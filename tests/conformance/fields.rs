//! RFC 9112, 5 and RFC 9110, 5: field lines.

use crate::harness::stage::{cases, refusals};

refusals! { Two;
    rfc9112_5_1_space_before_colon: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A : b\r\n\r\n";
    rfc9112_5_1_tab_before_colon: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A\t: b\r\n\r\n";
    rfc9112_5_1_space_before_colon_of_host: 400 "bad_request|bad_host" b"GET / HTTP/1.1\r\nHost : {host}\r\n\r\n";
    rfc9112_5_1_space_before_colon_of_length: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length : 5\r\n\r\nhello";
    rfc9112_5_1_space_before_colon_of_coding: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n";
    rfc9112_5_no_colon: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A\r\n\r\n";
    rfc9112_5_no_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\n: b\r\n\r\n";
    rfc9110_5_1_space_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX A: b\r\n\r\n";
    rfc9110_5_1_nul_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX\0A: b\r\n\r\n";
    rfc9110_5_1_control_byte_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX\x1fA: b\r\n\r\n";
    rfc9110_5_1_high_byte_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX\x80A: b\r\n\r\n";
    rfc9110_5_1_slash_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX/A: b\r\n\r\n";
    rfc9110_5_1_quote_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\n\"X\": b\r\n\r\n";
    rfc9110_5_1_bracket_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX(A): b\r\n\r\n";
    rfc9110_5_1_at_sign_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX@A: b\r\n\r\n";
    rfc9110_5_1_equals_sign_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX=A: b\r\n\r\n";
    rfc9110_5_1_brace_in_name: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX{A}: b\r\n\r\n";
    rfc9112_5_2_fold_with_space: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n c\r\n\r\n";
    rfc9112_5_2_fold_with_tab: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n\tc\r\n\r\n";
    rfc9112_5_2_fold_of_nothing: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n \r\n\r\n";
    rfc9112_5_2_fold_that_looks_like_a_field: 400 "bad_request"
        b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n";
    rfc9112_5_2_folded_coding: 400 "bad_request"
        b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n";
    rfc9110_5_5_nul_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\0c\r\n\r\n";
    rfc9110_5_5_cr_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\rc\r\n\r\n";
    rfc9110_5_5_cr_at_end_of_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\r\n\r\n";
    rfc9110_5_5_lf_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\nX-C: d\r\n\r\n";
    rfc9110_5_5_bell_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\x07c\r\n\r\n";
    rfc9110_5_5_vertical_tab_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\x0bc\r\n\r\n";
    rfc9110_5_5_escape_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: \x1b[31m\r\n\r\n";
    rfc9110_5_5_delete_in_value: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\x7fc\r\n\r\n";
    rfc9112_2_2_lf_inside_the_empty_line: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\n\nX: y\r\n\r\n";
    rfc9112_2_2_cr_where_the_empty_line_was_due: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\n\rX: y\r\n\r\n";
}

/// Sends one more field line and returns the request that arrived.
fn arrives(at: &crate::harness::stage::Stage, lines: &[u8]) -> crate::harness::message::Message {
    let answer = at.ask([b"GET / HTTP/1.1\r\nHost: {host}\r\n", lines, b"\r\n\r\n"].concat());
    assert_eq!(answer.status(), 200, "{answer:?}");
    at.arrived()
}

cases! { Two;
    fn rfc9110_5_1_every_token_character_in_a_name(at) {
        let name = "X!#$%&'*+-.^_`|~09";
        assert_eq!(arrives(at, format!("{name}: yes").as_bytes()).field(name), Some("yes"));
    }
    fn rfc9110_5_3_lines_of_one_name_keep_their_order(at) {
        let request = arrives(at, b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-A: 1");
        assert_eq!(request.all("x-a").join(","), "1,3,1");
    }
    fn rfc9110_5_5_white_space_around_a_value_is_not_part_of_it(at) {
        assert_eq!(arrives(at, b"X-A: \t b c\t ").field("x-a"), Some("b c"));
    }
    fn rfc9110_5_5_no_white_space_before_a_value(at) {
        assert_eq!(arrives(at, b"X-A:b").field("x-a"), Some("b"));
    }
    fn rfc9110_5_5_an_empty_value(at) {
        assert_eq!(arrives(at, b"X-A:").field("x-a"), Some(""));
    }
    fn rfc9110_5_5_a_value_of_white_space(at) {
        assert_eq!(arrives(at, b"X-A: \t ").field("x-a"), Some(""));
    }
    fn rfc9110_5_5_tab_and_spaces_within_a_value(at) {
        assert_eq!(arrives(at, b"X-A: b\tc  d").field("x-a"), Some("b\tc  d"));
    }
    fn rfc9110_5_5_colons_within_a_value(at) {
        assert_eq!(arrives(at, b"X-A: b: c::d").field("x-a"), Some("b: c::d"));
    }
    fn rfc9110_5_5_bytes_outside_of_ascii_arrive_unchanged(at) {
        assert_eq!(arrives(at, b"X-A: caf\xc3\xa9 \xff").field("x-a"), Some("caf\u{c3}\u{a9} \u{ff}"));
    }
    fn rfc9110_5_4_a_long_value(at) {
        let value = "v".repeat(20_000);
        assert_eq!(arrives(at, format!("X-A: {value}").as_bytes()).field("x-a"), Some(value.as_str()));
    }
    fn rfc9110_5_4_a_long_name(at) {
        let name = "n".repeat(2_000);
        assert_eq!(arrives(at, format!("{name}: v").as_bytes()).field(&name), Some("v"));
    }
    fn rfc9110_5_6_2_an_underscore_does_not_make_a_length(at) {
        // `Content_Length` is some field; treated as framing it would swallow the request behind it.
        let request = arrives(at, b"Content_Length: 5\r\nTransfer_Encoding: chunked");
        assert_eq!(request.framing, crate::harness::message::Framing::None);
    }
    fn rfc9110_5_1_common_fields_arrive_unchanged(at) {
        let lines = b"Accept: */*\r\nAccept-Encoding: gzip, br\r\nAuthorization: Basic eDp5\r\nCookie: a=b; c=d\r\n\
            User-Agent: t/1\r\nRange: bytes=0-1\r\nIf-None-Match: \"x\"\r\nCache-Control: no-cache";
        let request = arrives(at, lines);
        for line in std::str::from_utf8(lines).unwrap().split("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            assert_eq!(request.field(name), Some(value));
        }
    }
    fn rfc9110_5_3_cookies_in_several_lines_arrive(at) {
        let request = arrives(at, b"Cookie: a=b\r\nCookie: c=d");
        assert_eq!(request.all("cookie").join("; "), "a=b; c=d");
    }
}
