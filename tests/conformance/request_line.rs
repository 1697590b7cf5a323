//! RFC 9112, 2 and 3: how a request begins.

use crate::harness::stage::{cases, refusals};

refusals! { Two;
    rfc9112_2_2_bare_lf_after_request_line: 400 "bad_request" b"GET / HTTP/1.1\nHost: {host}\r\n\r\n";
    rfc9112_2_2_bare_lf_after_a_field: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\nX-A: b\r\n\r\n";
    rfc9112_2_2_bare_lf_as_end_of_head: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\n\n";
    rfc9112_2_2_only_bare_lf: 400 "bad_request" b"GET / HTTP/1.1\nHost: {host}\n\n";
    rfc9112_2_2_bare_cr_in_request_line: 400 "bad_request" b"GET /\r HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_2_bare_cr_after_version: 400 "bad_request" b"GET / HTTP/1.1\rHost: {host}\r\n\r\n";
    rfc9112_2_2_double_cr_after_version: 400 "bad_request" b"GET / HTTP/1.1\r\r\nHost: {host}\r\n\r\n";
    rfc9112_2_2_bare_cr_before_method: 400 "bad_request" b"\rGET / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_2_space_before_first_field: 400 "bad_request" b"GET / HTTP/1.1\r\n Host: {host}\r\n\r\n";
    rfc9112_2_2_tab_before_first_field: 400 "bad_request" b"GET / HTTP/1.1\r\n\tX: y\r\nHost: {host}\r\n\r\n";
    rfc9112_2_2_a_blank_of_spaces_after_request_line: 400 "bad_request" b"GET / HTTP/1.1\r\n  \r\nHost: {host}\r\n\r\n";
    rfc9112_3_space_before_method: 400 "bad_request" b" GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_two_spaces_after_method: 400 "bad_request" b"GET  / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_two_spaces_before_version: 400 "bad_request" b"GET /  HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_tab_after_method: 400 "bad_request" b"GET\t/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_tab_before_version: 400 "bad_request" b"GET /\tHTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_vertical_tab_after_method: 400 "bad_request" b"GET\x0b/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_form_feed_before_version: 400 "bad_request" b"GET /\x0cHTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_space_after_version: 400 "bad_request" b"GET / HTTP/1.1 \r\nHost: {host}\r\n\r\n";
    rfc9112_3_word_after_version: 400 "bad_request" b"GET / HTTP/1.1 junk\r\nHost: {host}\r\n\r\n";
    rfc9112_3_second_version: 400 "bad_request" b"GET / HTTP/1.1 HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_only_a_method: 400 "bad_request" b"GET\r\nHost: {host}\r\n\r\n";
    rfc9112_3_simple_request_of_http_0_9: 400 "bad_request" b"GET /\r\nHost: {host}\r\n\r\n";
    rfc9112_3_no_target: 400 "bad_request" b"GET HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_empty_target: 400 "bad_request" b"GET  HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_empty_method: 400 "bad_request" b" / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_quote_in_method: 400 "bad_request" b"GE\"T / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_colon_in_method: 400 "bad_request" b"GET: / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_slash_in_method: 400 "bad_request" b"G/T / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_bracket_in_method: 400 "bad_request" b"GET( / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_nul_in_method: 400 "bad_request" b"GE\0T / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_high_byte_in_method: 400 "bad_request" b"GE\xffT / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_1_byte_order_mark: 400 "bad_request" b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_lower_case_name: 400 "bad_request" b"GET / http/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_misspelt_name: 400 "bad_request" b"GET / HTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_letter_after_minor: 400 "bad_request" b"GET / HTTP/1.1x\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_two_digit_major: 400 "bad_request|bad_version" b"GET / HTTP/01.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_two_digit_minor: 400 "bad_request|bad_version" b"GET / HTTP/1.10\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_no_minor: 400 "bad_request|bad_version" b"GET / HTTP/1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_empty_minor: 400 "bad_request|bad_version" b"GET / HTTP/1.\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_comma_in_version: 400 "bad_request" b"GET / HTTP/1,1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_space_in_version: 400 "bad_request" b"GET / HTTP/ 1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_sign_in_version: 400 "bad_request" b"GET / HTTP/+1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_version_2: 505 "bad_version" b"GET / HTTP/2.0\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_version_3: 505 "bad_version" b"GET / HTTP/3.0\r\nHost: {host}\r\n\r\n";
    rfc9112_2_3_version_0_9: 505 "bad_version" b"GET / HTTP/0.9\r\nHost: {host}\r\n\r\n";
}

cases! { Two;
    fn rfc9113_3_4_preface_of_http_2_is_not_forwarded(at) {
        at.refuses_with_any("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]);
    }
    fn rfc9110_2_5_a_higher_minor_version_is_served_as_1_1_or_refused(at) {
        let mut client = at.client();
        let answer = client.send("GET / HTTP/1.2\r\nHost: {host}\r\n\r\n").response();
        assert!([200, 400, 505].contains(&answer.status()), "{answer:?}");
    }
    fn rfc9112_2_2_one_empty_line_before_the_request_is_forgiven(at) {
        assert_eq!(at.client().send("\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().status(), 200);
        assert_eq!(at.arrived().start, "GET / HTTP/1.1");
    }
    fn rfc9112_2_2_an_empty_line_after_a_body_is_forgiven(at) {
        let mut client = at.client();
        client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.response().status(), 200);
        assert_eq!(client.send("\r\nGET /b HTTP/1.1\r\nHost: {host}\r\n\r\n").response().status(), 200);
        let starts: Vec<_> = at.act().requests().into_iter().map(|r| r.start).collect();
        assert_eq!(starts, ["POST /a HTTP/1.1", "GET /b HTTP/1.1"]);
    }
    fn rfc9112_2_2_a_flood_of_empty_lines_is_refused(at) {
        let mut flood = b"\r\n".repeat(1000);
        flood.extend(b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        at.refuses(flood, 400, "bad_request");
    }
    fn rfc9112_2_1_a_head_that_comes_byte_by_byte(at) {
        let answer = at.client().drip("GET /slow?a=b HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n\r\n").response();
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().start, "GET /slow?a=b HTTP/1.1");
    }
    fn rfc9110_9_1_an_unknown_method_is_forwarded(at) {
        assert_eq!(at.ask("PROPFIND /dav HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().start, "PROPFIND /dav HTTP/1.1");
    }
    fn rfc9110_9_1_a_method_of_every_token_character_is_forwarded(at) {
        let method = "!#$%&'*+-.^_`|~09azAZ";
        assert_eq!(at.ask(format!("{method} / HTTP/1.1\r\nHost: {{host}}\r\n\r\n")).status(), 200);
        assert_eq!(at.arrived().method(), method);
    }
    fn rfc9110_9_1_a_method_is_case_sensitive(at) {
        assert_eq!(at.ask("get / HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().method(), "get");
    }
    fn rfc9110_9_3_8_trace_with_a_plain_head_is_forwarded_or_refused(at) {
        let answer = at.ask("TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!([200, 405, 501].contains(&answer.status()), "{answer:?}");
    }
    fn rfc9112_3_a_client_that_leaves_within_the_request_line_leaves_nothing_behind(at) {
        at.client().send("GET / HT");
        assert_eq!(at.get("/next").status(), 200);
        assert_eq!(at.arrived().target(), "/next");
    }
}
