//! RFC 9112, 3.2 and RFC 9110, 7.2: Host is there, once, and valid.

use crate::harness::stage::{cases, refusals};

refusals! { Two;
    rfc9112_3_2_no_host: 400 "bad_host" b"GET / HTTP/1.1\r\n\r\n";
    rfc9112_3_2_no_host_among_other_fields: 400 "bad_host" b"GET / HTTP/1.1\r\nX-Host: {host}\r\nAccept: */*\r\n\r\n";
    rfc9112_3_2_two_equal_hosts: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_two_hosts: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: other.test\r\n\r\n";
    rfc9112_3_2_two_hosts_of_different_case: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}\r\nhOST: other.test\r\n\r\n";
    rfc9112_3_2_two_hosts_far_apart: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}\r\nA: b\r\nC: d\r\nHost: \r\n\r\n";
    rfc9112_3_2_two_hosts_of_http_1_0: 400 "bad_host" b"GET / HTTP/1.0\r\nHost: {host}\r\nHost: {host}\r\n\r\n";
    rfc9112_3_2_list_of_hosts: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}, other.test\r\n\r\n";
    rfc9112_3_2_space_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host} x\r\n\r\n";
    rfc9112_3_2_tab_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}\tx\r\n\r\n";
    rfc9112_3_2_slash_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}/\r\n\r\n";
    rfc9112_3_2_backslash_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}\\x\r\n\r\n";
    rfc9112_3_2_query_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}?a\r\n\r\n";
    rfc9112_3_2_fragment_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}#a\r\n\r\n";
    rfc9112_3_2_userinfo_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: me@{host}\r\n\r\n";
    rfc9112_3_2_url_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: http://{host}\r\n\r\n";
    rfc9112_3_2_quote_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: \"{host}\"\r\n\r\n";
    rfc9112_3_2_angle_in_host: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: <{host}>\r\n\r\n";
    rfc9112_3_2_high_byte_in_host: 400 "bad_host|bad_request" b"GET / HTTP/1.1\r\nHost: {host}\xff\r\n\r\n";
    rfc9112_3_2_nul_in_host: 400 "bad_host|bad_request" b"GET / HTTP/1.1\r\nHost: {host}\0\r\n\r\n";
    rfc9112_3_2_port_of_letters: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}:http\r\n\r\n";
    rfc9112_3_2_port_with_sign: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}:+80\r\n\r\n";
    rfc9112_3_2_port_out_of_range: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}:65536\r\n\r\n";
    rfc9112_3_2_two_ports: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: {host}:80:80\r\n\r\n";
    rfc9112_3_2_port_alone: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n";
    rfc9112_3_2_open_bracket: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n";
    rfc9112_3_2_text_after_bracket: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n";
    rfc9112_3_2_name_in_brackets: 400 "bad_host" b"GET / HTTP/1.1\r\nHost: [{host}]\r\n\r\n";
    rfc9112_3_2_folded_host: 400 "bad_request" b"GET / HTTP/1.1\r\nHost: {host}\r\n .evil.test\r\n\r\n";
}

/// Sends a request whose route does not depend on the host, and returns the Host that arrived.
fn arrives(at: &crate::harness::stage::Stage, host: &str) -> String {
    let answer = at.ask(format!("GET {}/x HTTP/1.1\r\nHost: {host}\r\n\r\n", at.path()));
    assert_eq!(answer.status(), 200, "{answer:?}");
    at.arrived().field("host").unwrap().to_owned()
}

cases! { Two;
    fn rfc9110_7_2_host_arrives_as_sent(at) {
        assert_eq!(arrives(at, "www.example.com"), "www.example.com");
    }
    fn rfc9110_7_2_port_arrives(at) {
        assert_eq!(arrives(at, "www.example.com:8080"), "www.example.com:8080");
    }
    fn rfc9110_7_2_upper_case_is_the_same_host(at) {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", at.host.to_uppercase());
        assert_eq!(at.ask(request).status(), 200);
        assert!(at.arrived().field("host").unwrap().eq_ignore_ascii_case(&at.host));
    }
    fn rfc9110_7_2_a_port_does_not_change_the_route(at) {
        assert_eq!(at.ask("GET / HTTP/1.1\r\nHost: {host}:1234\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().field("host"), Some(at.fill("{host}:1234").as_str()));
    }
    fn rfc9110_7_2_ipv4_address(at) {
        assert_eq!(arrives(at, "192.0.2.1:80"), "192.0.2.1:80");
    }
    fn rfc9110_7_2_ipv6_address(at) {
        assert_eq!(arrives(at, "[2001:db8::1]:80"), "[2001:db8::1]:80");
    }
    fn rfc9110_7_2_trailing_dot_is_the_same_host(at) {
        assert_eq!(at.ask("GET / HTTP/1.1\r\nHost: {host}.\r\n\r\n").status(), 200);
    }
    fn rfc9110_7_2_white_space_around_host_is_not_part_of_it(at) {
        assert_eq!(at.ask("GET / HTTP/1.1\r\nHost: \t {host} \t\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().field("host"), Some(at.host.as_str()));
    }
    fn rfc9110_7_2_underscore_in_host(at) {
        assert_eq!(arrives(at, "my_service"), "my_service");
    }
    fn rfc9110_7_2_an_empty_host_is_refused_or_stays_empty(at) {
        let answer = at.ask(format!("GET {}/x HTTP/1.1\r\nHost:\r\n\r\n", at.path()));
        match answer.status() {
            400 => assert_eq!(answer.field("x-plimsoll-reason"), Some("bad_host")),
            _ => assert_eq!(at.arrived().field("host"), Some("")),
        }
    }
    fn rfc9110_7_2_host_is_the_first_field_or_not(at) {
        assert_eq!(at.ask("GET / HTTP/1.1\r\nA: b\r\nC: d\r\nhost: {host}\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().field("host"), Some(at.host.as_str()));
    }
}
