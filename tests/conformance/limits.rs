//! RFC 9112, 3; RFC 9110, 5.4 and 15.5; RFC 6585, 5: sizes, at their defaults and at configured values.

use crate::harness::stage::{cases, refusals};

const END: &str = " HTTP/1.1\r\nHost: {host}\r\n\r\n";

fn fields(count: usize) -> String {
    (0..count).map(|n| format!("X-{n}: v\r\n")).collect()
}

refusals! { Two;
    rfc9112_3_target_over_the_default: 414 "uri_too_long" format!("GET /{}{END}", "a".repeat(8 * 1024));
    rfc9112_3_target_far_over_the_default: 414 "uri_too_long" format!("GET /{}{END}", "a".repeat(20_000));
    rfc9110_15_5_15_query_over_the_default: 414 "uri_too_long" format!("GET /?{}{END}", "a".repeat(9_000));
    rfc6585_5_one_field_over_the_default: 431 "head_too_large"
        format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-A: {}\r\n\r\n", "v".repeat(33_000));
    rfc6585_5_many_bytes_of_fields: 431 "head_too_large"
        format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n", format!("X-A: {}\r\n", "v".repeat(1000)).repeat(40));
    rfc6585_5_too_many_fields: 431 "head_too_large"
        format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n", fields(100));
    rfc6585_5_far_too_many_fields: 431 "head_too_large"
        format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n", fields(2000));
    rfc6585_5_a_name_over_the_default: 431 "head_too_large"
        format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}: v\r\n\r\n", "n".repeat(40_000));
}

cases! { Two;
    fn rfc9112_3_a_target_at_the_default(at) {
        let target = format!("/{}", "a".repeat(8 * 1024 - 1));
        assert_eq!(at.get(&target).status(), 200);
        assert_eq!(at.arrived().target(), target);
    }
    fn rfc6585_5_as_many_fields_as_the_default(at) {
        let answer = at.ask(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n", fields(99)));
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().field("x-98"), Some("v"));
    }
    fn rfc6585_5_a_head_just_under_the_default(at) {
        let value = "v".repeat(32 * 1024 - 200);
        assert_eq!(at.ask(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-A: {value}\r\n\r\n")).status(), 200);
        assert_eq!(at.arrived().field("x-a"), Some(value.as_str()));
    }
    fn rfc9112_3_a_request_line_that_never_ends(at) {
        at.refuses_with_any("a".repeat(200_000), &[400, 414, 431, 501]);
    }
    fn rfc9112_3_a_target_that_never_ends(at) {
        at.refuses_with_any(format!("GET /{}", "a".repeat(200_000)), &[414, 431]);
    }
    fn rfc6585_5_a_field_that_never_ends(at) {
        at.refuses_with_any(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-A: {}", "v".repeat(200_000)), &[431]);
    }
    fn rfc6585_5_fields_that_never_end(at) {
        at.refuses_with_any(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}", fields(20_000)), &[431]);
    }
}

mod configured {
    use super::{END, fields};
    use crate::harness::stage::{cases, refusals};

    refusals! { Tight;
        rfc9112_3_target_over_the_limit: 414 "uri_too_long" format!("GET /{}{END}", "a".repeat(1024));
        rfc6585_5_fields_over_the_limit: 431 "head_too_large"
            format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n", fields(20));
        rfc6585_5_head_over_the_limit: 431 "head_too_large"
            format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-A: {}\r\n\r\n", "v".repeat(9000));
        rfc9110_15_5_14_length_over_the_limit: 413 "body_too_large"
            b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 65537\r\n\r\n";
        rfc9110_15_5_14_length_far_over_the_limit: 413 "body_too_large"
            b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9223372036854775807\r\n\r\n";
        rfc9110_15_5_14_expected_length_over_the_limit: 413 "body_too_large"
            b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n";
        rfc9110_15_5_14_chunks_over_the_limit: 413 "body_too_large"
            format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(17));
        rfc9110_15_5_14_one_chunk_over_the_limit: 413 "body_too_large"
            format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n{}",
                "x".repeat(65_537));
    }

    cases! { Tight;
        fn rfc9112_3_a_target_at_the_limit(at) {
            assert_eq!(at.get(&format!("/{}", "a".repeat(1023))).status(), 200);
        }
        fn rfc6585_5_as_many_fields_as_the_limit(at) {
            let answer = at.ask(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n", fields(19)));
            assert_eq!(answer.status(), 200);
        }
        fn rfc9110_15_5_14_a_body_at_the_limit(at) {
            let body = "x".repeat(65536);
            let answer = at.ask(format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: 65536\r\n\r\n{body}"));
            assert_eq!(answer.status(), 200);
            assert_eq!(at.arrived().text(), body);
        }
        fn rfc9110_15_5_14_chunks_at_the_limit(at) {
            let body = "x".repeat(65536);
            let answer = at.ask(format!(
                "POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{body}\r\n0\r\n\r\n"
            ));
            assert_eq!(answer.status(), 200);
            assert_eq!(at.arrived().body.len(), 65536);
        }
        fn rfc9110_15_5_14_the_refusal_reaches_a_client_that_goes_on_sending(at) {
            let mut client = at.client();
            client.send("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3000000\r\n\r\n");
            client.try_send("x".repeat(3_000_000));
            let answer = client.response();
            assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (413, Some("body_too_large")));
        }
        fn rfc9110_15_5_14_responses_have_no_such_limit(at) {
            at.answers(crate::harness::origin::ok(&"x".repeat(200_000)));
            assert_eq!(at.get("/").body.len(), 200_000);
        }
    }
}
