//! RFC 9112, 3.2: the forms of a request target, and what becomes of them.

use crate::harness::stage::{cases, refusals};

refusals! { Two;
    rfc9112_3_2_1_relative_path: 400 "bad_request" b"GET foo HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_1_query_without_path: 400 "bad_request" b"GET ?a=b HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_1_nul_in_target: 400 "bad_request|ambiguous_path" b"GET /\0 HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_1_control_byte_in_target: 400 "bad_request" b"GET /a\x01b HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_1_delete_in_target: 400 "bad_request" b"GET /a\x7fb HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_1_space_in_target: 400 "bad_request" b"GET /a b HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_1_fragment: 400 "bad_request" b"GET /a#b HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_no_authority: 400 "bad_request|bad_host" b"GET http:///a HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_nothing_after_scheme: 400 "bad_request|bad_host" b"GET http:// HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_one_slash: 400 "bad_request|bad_host" b"GET http:/a HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_unknown_scheme: 400 "bad_request|bad_host" b"GET ftp://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_bad_port: 400 "bad_request|bad_host" b"GET http://{host}:x/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_bad_host_in_target: 400 "bad_request|bad_host" b"GET http://a<b/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_backslash_before_path: 400 "bad_request|bad_host|ambiguous_path"
        b"GET http://{host}\\a/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_2_no_host_beside_absolute_form: 400 "bad_host" b"GET http://{host}/ HTTP/1.1\r\n\r\n";
    rfc9112_3_2_2_two_hosts_beside_absolute_form: 400 "bad_host"
        b"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n";
    rfc9110_4_2_4_userinfo: 400 "bad_request|bad_host" b"GET http://me@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9110_4_2_4_password: 400 "bad_request|bad_host" b"GET http://me:pw@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_3_authority_form_with_get: 400 "bad_request" b"GET {host}:80 HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_4_asterisk_with_get: 400 "bad_request" b"GET * HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_4_asterisk_and_more: 400 "bad_request" b"OPTIONS *x HTTP/1.1\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_4_asterisk_with_query: 400 "bad_request" b"OPTIONS *?a HTTP/1.1\r\nHost: {host}\r\n\r\n";
}

/// Sends a target and returns what arrived in its place, with the Host beside it.
fn arrives(at: &crate::harness::stage::Stage, target: &str) -> (String, String) {
    let answer = at.ask(format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let request = at.arrived();
    (request.target().to_owned(), request.field("host").unwrap().to_owned())
}

/// Sends a target that may be refused, but if it is forwarded then unchanged.
fn arrives_unchanged_or_not_at_all(at: &crate::harness::stage::Stage, target: &[u8]) {
    let request = [b"GET ", target, b" HTTP/1.1\r\nHost: {host}\r\n\r\n"].concat();
    match at.ask(request).status() {
        400 => assert!(at.act().requests().is_empty()),
        200 => assert_eq!(at.arrived().target(), crate::harness::message::latin1(target)),
        status => panic!("{status} is neither a refusal nor an answer of the origin"),
    }
}

cases! { Two;
    fn rfc9112_3_2_1_path_and_query_arrive_unchanged(at) {
        assert_eq!(arrives(at, "/a/b;c=d/?q=1&r=%20+x").0, "/a/b;c=d/?q=1&r=%20+x");
    }
    fn rfc9112_3_2_1_percent_encoding_arrives_unchanged(at) {
        assert_eq!(arrives(at, "/%41%7e%c3%A9/x").0, "/%41%7e%c3%A9/x");
    }
    fn rfc9112_3_2_1_dot_segments_arrive_unchanged(at) {
        assert_eq!(arrives(at, "/a/./b/../c").0, "/a/./b/../c");
    }
    fn rfc9112_3_2_1_double_slashes_arrive_unchanged(at) {
        assert_eq!(arrives(at, "//a//b").0, "//a//b");
    }
    fn rfc9112_3_2_1_every_path_character_arrives_unchanged(at) {
        let path = "/-._~!$&'()*+,;=:@azAZ09?/?-._~!$&'()*+,;=:@";
        assert_eq!(arrives(at, path).0, path);
    }
    fn rfc9112_3_2_1_empty_query_arrives_unchanged(at) {
        assert_eq!(arrives(at, "/a?").0, "/a?");
    }
    fn rfc9112_3_2_1_url_in_query_arrives_unchanged(at) {
        assert_eq!(arrives(at, "/a?to=http://x/y").0, "/a?to=http://x/y");
    }
    fn rfc3986_2_bytes_outside_of_ascii(at) {
        arrives_unchanged_or_not_at_all(at, b"/caf\xc3\xa9");
    }
    fn rfc3986_2_unsafe_punctuation(at) {
        arrives_unchanged_or_not_at_all(at, b"/a\"<>^`{|}b");
    }
    fn rfc3986_2_1_incomplete_percent_encoding(at) {
        arrives_unchanged_or_not_at_all(at, b"/a%2");
    }
    fn rfc3986_2_1_percent_encoding_of_no_digits(at) {
        arrives_unchanged_or_not_at_all(at, b"/a%zz");
    }
    fn rfc9112_3_2_2_absolute_form_becomes_origin_form(at) {
        let host = at.host.clone();
        assert_eq!(arrives(at, "http://{host}/a/b?c=d"), ("/a/b?c=d".into(), host));
    }
    fn rfc9112_3_2_2_absolute_form_without_path(at) {
        assert_eq!(arrives(at, "http://{host}").0, "/");
    }
    fn rfc9112_3_2_2_absolute_form_with_query_alone(at) {
        assert_eq!(arrives(at, "http://{host}?a=b").0, "/?a=b");
    }
    fn rfc9112_3_2_2_scheme_without_regard_to_case(at) {
        assert_eq!(arrives(at, "HtTp://{host}/a").0, "/a");
    }
    fn rfc9112_3_2_2_port_of_absolute_form_arrives_in_host(at) {
        let host = at.host.clone();
        let answer = at.ask("GET http://{host}:8080/a HTTP/1.1\r\nHost: {host}:8080\r\n\r\n");
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().field("host"), Some(format!("{host}:8080").as_str()));
    }
    fn rfc9112_3_2_2_authority_of_the_target_wins_over_host(at) {
        let answer = at.ask("GET http://{host}/a HTTP/1.1\r\nHost: other.test\r\n\r\n");
        match answer.status() {
            400 => assert!(at.act().requests().is_empty()),
            _ => assert_eq!(at.arrived().field("host"), Some(at.host.as_str())),
        }
    }
    fn rfc9112_3_2_2_host_does_not_route_where_the_target_names_another(at) {
        let answer = at.ask("GET http://nobody.test/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!([400, 404].contains(&answer.status()), "{answer:?}");
        assert!(at.act().requests().is_empty(), "Host was believed");
    }
    fn rfc9112_3_2_2_absolute_form_of_http_1_0_needs_no_host(at) {
        let answer = at.client().send("GET http://{host}/a HTTP/1.0\r\n\r\n").response();
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().field("host"), Some(at.host.as_str()));
    }
}
