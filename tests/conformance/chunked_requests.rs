//! RFC 9112, 7.1: chunked bodies of requests.

use crate::harness::message::Framing;
use crate::harness::stage::{Stage, cases};

const HEAD: &str = "POST /c HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Sends a chunked body and returns the request that arrived.
#[track_caller]
fn arrives(at: &Stage, chunks: &str) -> crate::harness::message::Message {
    let answer = at.ask(format!("{HEAD}{chunks}"));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let request = at.arrived();
    assert_eq!(request.framing, Framing::Chunked);
    request
}

/// Sends a broken chunked body: it is refused, and the origin never has a whole request.
#[track_caller]
fn breaks(at: &Stage, chunks: impl AsRef<[u8]>) {
    at.refuses([HEAD.as_bytes(), chunks.as_ref()].concat(), 400, "bad_body|bad_request");
}

cases! { Two;
    fn rfc9112_7_1_one_chunk(at) { assert_eq!(arrives(at, "5\r\nhello\r\n0\r\n\r\n").text(), "hello"); }
    fn rfc9112_7_1_several_chunks(at) {
        assert_eq!(arrives(at, "1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n").text(), "hello");
    }
    fn rfc9112_7_1_hex_of_both_cases(at) {
        let chunks = format!("A\r\n{}\r\nb\r\n{}\r\n0\r\n\r\n", "x".repeat(10), "y".repeat(11));
        assert_eq!(arrives(at, &chunks).text(), "x".repeat(10) + &"y".repeat(11));
    }
    fn rfc9112_7_1_leading_zeros_of_a_size(at) {
        assert_eq!(arrives(at, "0005\r\nhello\r\n0\r\n\r\n").text(), "hello");
    }
    fn rfc9112_7_1_a_last_chunk_of_several_zeros(at) {
        assert_eq!(arrives(at, "5\r\nhello\r\n000\r\n\r\n").text(), "hello");
    }
    fn rfc9112_7_1_data_that_looks_like_the_end(at) {
        assert_eq!(arrives(at, "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n").text(), "\r\n0\r\n\r\n");
    }
    fn rfc9112_7_1_1_extensions_do_not_arrive(at) {
        let request = arrives(at, "5;a=b;c\r\nhello\r\n0;last\r\n\r\n");
        assert_eq!(request.text(), "hello");
        assert!(!at.act().seen().iter().any(|s| s.bytes.windows(4).any(|w| w == b"a=b;" || w == b"last")));
    }
    fn rfc9112_7_1_1_quoted_extensions_do_not_arrive(at) {
        assert_eq!(arrives(at, "5;a=\"b; c\"\r\nhello\r\n0\r\n\r\n").text(), "hello");
    }
    fn rfc9112_7_1_a_chunked_body_that_comes_byte_by_byte(at) {
        let mut client = at.client();
        client.drip(format!("{HEAD}5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-T: v\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
        assert_eq!(at.arrived().text(), "hello!");
    }
    fn rfc9112_7_1_many_tiny_chunks(at) {
        let chunks = "1\r\nx\r\n".repeat(5000) + "0\r\n\r\n";
        assert_eq!(arrives(at, &chunks).body.len(), 5000);
    }
    fn rfc9112_7_1_a_chunk_of_a_mebibyte(at) {
        let body = "0123456789abcdef".repeat(65536);
        assert_eq!(arrives(at, &format!("100000\r\n{body}\r\n0\r\n\r\n")).text(), body);
    }
    fn rfc9112_7_1_chunks_reach_the_origin_before_the_last_one(at) {
        let mut client = at.client();
        client.send(format!("{HEAD}5\r\nhello\r\n"));
        at.act().wait("the first chunk", |seen| {
            seen.iter().any(|s| s.bytes.windows(5).any(|w| w == b"hello")).then_some(())
        });
        assert_eq!(client.send("0\r\n\r\n").response().status(), 200);
    }
    fn rfc9112_7_1_the_next_request_follows_a_chunked_body(at) {
        let mut client = at.client();
        client.send(format!("{HEAD}5\r\nhello\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        assert_eq!((client.response().status(), client.response().status()), (200, 200));
        assert_eq!(at.act().requests()[1].target(), "/next");
    }

    fn rfc9112_7_1_size_with_plus(at) { breaks(at, "+5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_with_minus(at) { breaks(at, "-5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_with_prefix(at) { breaks(at, "0x5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_with_upper_prefix(at) { breaks(at, "0X5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_with_underscore(at) { breaks(at, "0_5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_with_point(at) { breaks(at, "5.0\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_empty_size(at) { breaks(at, "\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_extension_without_size(at) { breaks(at, ";a=b\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_space_before_size(at) { breaks(at, " 5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_tab_before_size(at) { breaks(at, "\t5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_space_after_size(at) { breaks(at, "5 \r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_space_within_size(at) { breaks(at, "0 5\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_no_hex_digit(at) { breaks(at, "g\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_hex_digit_then_letter(at) { breaks(at, "5g\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_nul_in_size(at) { breaks(at, "5\0\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_high_byte_in_size(at) { breaks(at, b"5\xa0\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_of_2_to_the_64(at) { breaks(at, "10000000000000000\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_of_2_to_the_64_and_5(at) { breaks(at, "10000000000000005\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_size_of_2_to_the_32_is_no_5(at) {
        let mut client = at.client();
        client.try_send(format!("{HEAD}100000005\r\nhello\r\n0\r\n\r\n")).finish();
        client.rest();
        assert!(at.act().requests().is_empty(), "a size was cut to 32 bits");
    }
    fn rfc9112_7_1_size_of_twenty_digits(at) { breaks(at, "fffffffffffffffff005\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_a_size_that_never_ends(at) { breaks(at, "0".repeat(100_000)); }
    fn rfc9112_7_1_lf_after_size(at) { breaks(at, "5\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_cr_after_size(at) { breaks(at, "5\rhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_cr_cr_lf_after_size(at) { breaks(at, "5\r\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_lf_after_data(at) { breaks(at, "5\r\nhello\n0\r\n\r\n"); }
    fn rfc9112_7_1_cr_after_data(at) { breaks(at, "5\r\nhello\r0\r\n\r\n"); }
    fn rfc9112_7_1_nothing_after_data(at) { breaks(at, "5\r\nhello0\r\n\r\n"); }
    fn rfc9112_7_1_more_data_than_size(at) { breaks(at, "5\r\nhello!\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_less_data_than_size(at) { breaks(at, "5\r\nhell\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_two_bytes_of_junk_after_data(at) { breaks(at, "5\r\nhelloXX0\r\n\r\n"); }
    fn rfc9112_7_1_1_lf_in_extension(at) { breaks(at, "5;a\nb\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_1_cr_in_extension(at) { breaks(at, "5;a\rb\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_1_nul_in_extension(at) { breaks(at, "5;a\0b\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_1_lf_in_quoted_extension(at) { breaks(at, "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"); }
    fn rfc9112_7_1_1_an_extension_that_never_ends(at) { breaks(at, format!("5;{}", "a".repeat(100_000))); }
    fn rfc9112_7_1_lf_after_last_chunk(at) { breaks(at, "5\r\nhello\r\n0\n\r\n"); }
    fn rfc9112_7_1_lf_as_last_line(at) { breaks(at, "5\r\nhello\r\n0\r\n\n"); }
    fn rfc9112_7_1_2_trailer_without_colon(at) { breaks(at, "5\r\nhello\r\n0\r\nX-T\r\n\r\n"); }
    fn rfc9112_7_1_2_trailer_with_space_before_colon(at) { breaks(at, "5\r\nhello\r\n0\r\nX-T : v\r\n\r\n"); }
    fn rfc9112_7_1_2_trailer_with_bare_lf(at) { breaks(at, "5\r\nhello\r\n0\r\nX-T: v\n\r\n"); }
    fn rfc9112_7_1_2_trailer_with_nul(at) { breaks(at, "5\r\nhello\r\n0\r\nX-T: a\0b\r\n\r\n"); }
    fn rfc9112_7_1_2_folded_trailer(at) { breaks(at, "5\r\nhello\r\n0\r\nX-T: a\r\n b\r\n\r\n"); }
    fn rfc9112_7_1_2_trailers_that_never_end(at) {
        let trailers = format!("X-T: {}\r\n", "v".repeat(1000)).repeat(100);
        let mut client = at.client();
        client.try_send(format!("{HEAD}5\r\nhello\r\n0\r\n{trailers}"));
        assert!([400, 413, 431].contains(&client.response().status()));
        client.closed();
        assert!(at.act().requests().is_empty());
    }

    fn rfc9110_6_5_trailers_arrive_as_trailers_or_not_at_all(at) {
        let request = arrives(at, "5\r\nhello\r\n0\r\nX-Checksum: abc\r\nX-Other: d\r\n\r\n");
        assert!(request.all("x-checksum").is_empty(), "a trailer was merged into the head");
        assert!(["", "abc"].contains(&request.trailer("x-checksum").join(",").as_str()));
    }
    fn rfc9110_6_5_1_trailers_that_frame_or_route_do_not_arrive(at) {
        let request = arrives(
            at,
            "5\r\nhello\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\n\
             Authorization: Basic eDp5\r\nConnection: close\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: a=b\r\n\r\n",
        );
        for name in ["content-length", "transfer-encoding", "host", "authorization", "connection"] {
            assert!(request.trailer(name).is_empty(), "{name} as a trailer: {request:?}");
        }
        assert_eq!(request.field("host"), Some(at.host.as_str()));
        assert!(request.all("authorization").is_empty());
    }
    fn rfc9110_6_5_trailers_do_not_count_as_the_balancers_own_fields(at) {
        let request = arrives(at, "1\r\nx\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\nX-Request-Id: mine\r\nVia: x\r\n\r\n");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    }
    fn rfc9112_8_a_chunked_body_that_breaks_off_is_never_whole_at_the_origin(at) {
        let mut client = at.client();
        client.send(format!("{HEAD}5\r\nhello\r\n")).finish();
        client.rest();
        drop(client);
        at.act().wait("the end", |seen| seen.iter().all(|s| s.closed || s.ended).then_some(()));
        assert!(at.act().requests().is_empty());
    }
    fn rfc9112_8_a_chunked_body_without_its_last_line_is_never_whole_at_the_origin(at) {
        let mut client = at.client();
        client.send(format!("{HEAD}5\r\nhello\r\n0\r\n")).finish();
        client.rest();
        at.act().wait("the end", |seen| seen.iter().all(|s| s.closed || s.ended).then_some(()));
        assert!(at.act().requests().is_empty());
    }
}
