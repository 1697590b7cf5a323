//! The contract's routing: host, then longest path, then more conditions, then file order; on the normalised path.

use std::sync::OnceLock;

use crate::harness::balancer::Driver;
use crate::harness::client::Client;
use crate::harness::site::{Site, echo, site_cases};

const NAMES: &[&str] = &[
    "root",
    "api",
    "api_v1",
    "users",
    "exact_host",
    "wild_host",
    "www_host",
    "get_post",
    "delete",
    "only_get",
    "canary",
    "stable",
    "two_fields",
    "side",
    "both",
    "private",
    "public",
    "first",
    "slash",
];

const ROUTES: &str = r#"
workers: 2
routes:
  - { path: /*, backend: root }
  - { path: /api/*, backend: api }
  - { path: /api/v1/*, backend: api_v1 }
  - { path: /api/v1/users, backend: users }
  - { host: exact.test, path: /*, backend: exact_host }
  - { host: "*.wild.test", path: /*, backend: wild_host }
  - { host: www.wild.test, path: /*, backend: www_host }
  - { path: /m/*, methods: [GET, POST], backend: get_post }
  - { path: /m/*, methods: [DELETE], backend: delete }
  - { path: /only-get, methods: [GET], backend: only_get }
  - { path: /f/*, backend: stable }
  - { path: /f/*, headers: { x-canary: "1" }, backend: canary }
  - { path: /f/*, headers: { x-canary: "1", x-more: "2" }, backend: two_fields }
  - { path: /side/*, listeners: [side], backend: side }
  - { path: /both/*, listeners: [web, side], backend: both }
  - { path: /private/*, backend: private }
  - { path: /public/*, backend: public }
  - { path: /twice/*, methods: [GET], backend: first }
  - { path: /twice/*, methods: [GET, PUT], backend: root }
  - { path: /slash/, backend: slash }
"#;

fn site(driver: Driver) -> &'static Site {
    static SITES: [OnceLock<Site>; 2] = [const { OnceLock::new() }; 2];
    SITES[driver as usize].get_or_init(|| {
        let listeners = "listeners: { web: { bind: \"127.0.0.1:0\" }, side: { bind: \"127.0.0.1:0\" } }\n";
        Site::start_with(driver, NAMES, listeners, ROUTES)
    })
}

/// Which origin a GET reaches, on a host that no route names.
#[track_caller]
fn path(at: &Site, path: &str) -> String {
    at.reaches("any.test", path)
}

/// A path that must be refused as ambiguous, or reach what its normalised form reaches.
#[track_caller]
fn is_private_or_ambiguous(at: &Site, path: &str) {
    let answer = at.ask(format!("GET {path} HTTP/1.1\r\nHost: any.test\r\n\r\n"));
    match answer.status() {
        400 => assert_eq!(answer.field("x-plimsoll-reason"), Some("ambiguous_path")),
        _ => assert_eq!(echo(&answer).origin, "private", "{path} slipped past its route"),
    }
}

#[track_caller]
fn is_ambiguous(at: &Site, path: &str) {
    assert_eq!(at.fails("any.test", path), (400, "ambiguous_path".into()), "{path}");
}

site_cases! { site;
    fn routing_a_prefix_matches_below_it(at) { assert_eq!(path(at, "/api/x/y"), "api"); }
    fn routing_a_prefix_matches_itself(at) {
        assert_eq!((path(at, "/api").as_str(), path(at, "/api/").as_str()), ("api", "api"));
    }
    fn routing_a_prefix_ends_at_a_segment(at) { assert_eq!(path(at, "/apix"), "root"); }
    fn routing_the_longest_prefix_wins(at) { assert_eq!(path(at, "/api/v1/x"), "api_v1"); }
    fn routing_an_exact_path_wins(at) { assert_eq!(path(at, "/api/v1/users"), "users"); }
    fn routing_an_exact_path_is_exact(at) { assert_eq!(path(at, "/api/v1/users/7"), "api_v1"); }
    fn routing_the_query_does_not_count(at) { assert_eq!(path(at, "/api/v1/users?x=/private/"), "users"); }
    fn routing_paths_are_case_sensitive(at) { assert_eq!(path(at, "/API/x"), "root"); }
    fn routing_what_nothing_else_takes(at) { assert_eq!(path(at, "/"), "root"); }
    fn routing_a_host_wins_over_a_path(at) { assert_eq!(at.reaches("exact.test", "/api/v1/users"), "exact_host"); }
    fn routing_hosts_compare_without_case(at) { assert_eq!(at.reaches("EXACT.Test", "/"), "exact_host"); }
    fn routing_hosts_compare_without_port(at) { assert_eq!(at.reaches("exact.test:8080", "/"), "exact_host"); }
    fn routing_hosts_compare_without_the_last_dot(at) { assert_eq!(at.reaches("exact.test.", "/"), "exact_host"); }
    fn routing_a_wildcard_takes_one_label(at) { assert_eq!(at.reaches("a.wild.test", "/"), "wild_host"); }
    fn routing_a_wildcard_does_not_take_two_labels(at) { assert_eq!(at.reaches("a.b.wild.test", "/"), "root"); }
    fn routing_a_wildcard_does_not_take_none(at) { assert_eq!(at.reaches("wild.test", "/"), "root"); }
    fn routing_a_wildcard_does_not_take_a_suffix(at) { assert_eq!(at.reaches("evilwild.test", "/"), "root"); }
    fn routing_an_exact_host_wins_over_a_wildcard(at) { assert_eq!(at.reaches("www.wild.test", "/"), "www_host"); }
    fn routing_the_authority_of_absolute_form_counts(at) {
        let answer = at.ask("GET http://exact.test/x HTTP/1.1\r\nHost: exact.test\r\n\r\n");
        assert_eq!(echo(&answer).origin, "exact_host");
    }
    fn routing_by_method(at) {
        assert_eq!(path(at, "/m/x"), "get_post");
        assert_eq!(echo(&at.ask("DELETE /m/x HTTP/1.1\r\nHost: a.test\r\n\r\n")).origin, "delete");
    }
    fn rfc9110_15_5_6_no_route_takes_the_method(at) {
        let answer = at.ask("PUT /only-get HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
        // A wider route without methods would take it by the letter of "most specific match wins"; the contract
        // says that `/*` takes what nothing more specific takes.
        if answer.status() == 200 {
            assert_eq!(echo(&answer).origin, "root");
        } else {
            assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (405, Some("method_not_allowed")));
            assert!(answer.lists("allow", "GET"), "{answer:?}");
        }
    }
    fn routing_methods_are_case_sensitive(at) {
        let answer = at.ask("delete /m/x HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert!(answer.status() == 405 || echo(&answer).origin == "root", "{answer:?}");
    }
    fn routing_by_field(at) {
        assert_eq!(path(at, "/f/x"), "stable");
        let answer = at.ask("GET /f/x HTTP/1.1\r\nHost: a.test\r\nX-Canary: 1\r\n\r\n");
        assert_eq!(echo(&answer).origin, "canary");
    }
    fn routing_by_field_needs_the_very_value(at) {
        for value in ["2", "11", "", "1, 1"] {
            let answer = at.ask(format!("GET /f/x HTTP/1.1\r\nHost: a.test\r\nX-Canary: {value}\r\n\r\n"));
            assert_eq!(echo(&answer).origin, "stable", "{value:?}");
        }
    }
    fn routing_more_conditions_win(at) {
        let answer = at.ask("GET /f/x HTTP/1.1\r\nHost: a.test\r\nX-More: 2\r\nX-Canary: 1\r\n\r\n");
        assert_eq!(echo(&answer).origin, "two_fields");
    }
    fn routing_by_listener(at) {
        let mut side = Client::connect(at.balancer.listener("side"), "a.test");
        let mut ask = |path: &str| {
            echo(&side.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).response()).origin
        };
        assert_eq!((ask("/side/x").as_str(), ask("/both/x").as_str()), ("side", "both"));
        assert_eq!((path(at, "/side/x").as_str(), path(at, "/both/x").as_str()), ("root", "both"));
    }
    fn routing_an_equal_match_goes_to_the_first_in_the_file(at) { assert_eq!(path(at, "/twice/x"), "first"); }
    fn routing_a_path_with_a_last_slash_is_another_path(at) {
        assert_eq!((path(at, "/slash/").as_str(), path(at, "/slash").as_str()), ("slash", "root"));
    }

    fn rfc3986_6_2_2_2_encoded_letters_are_letters(at) { assert_eq!(path(at, "/%70rivate/x"), "private"); }
    fn rfc3986_6_2_2_1_the_case_of_hex_digits_does_not_count(at) { assert_eq!(path(at, "/%70riv%61te/%7E"), "private"); }
    fn rfc3986_6_2_2_3_dot_segments_are_removed(at) {
        assert_eq!(path(at, "/public/../private/x"), "private");
        assert_eq!(path(at, "/./private/./x"), "private");
        assert_eq!(path(at, "/private/../public/x"), "public");
    }
    fn rfc3986_6_2_2_3_encoded_dot_segments_are_removed(at) {
        assert_eq!(path(at, "/public/%2e%2e/private/x"), "private");
        assert_eq!(path(at, "/public/.%2E/private/x"), "private");
    }
    fn rfc3986_6_2_2_3_dot_segments_at_the_end(at) {
        assert_eq!(path(at, "/public/x/.."), "public");
        assert_eq!(path(at, "/private/."), "private");
    }
    fn rfc3986_5_2_4_dots_that_are_no_segment_stay(at) { assert_eq!(path(at, "/private/...x/..y"), "private"); }
    fn routing_double_slashes_do_not_hide_a_path(at) {
        assert_eq!(path(at, "//private/x"), "private");
        assert_eq!(path(at, "///private//x"), "private");
    }
    fn routing_a_normalised_path_is_forwarded_as_it_came(at) {
        assert_eq!(at.echo("any.test", "/public/%2e%2e/%70rivate//x?a=%2e").target(), "/public/%2e%2e/%70rivate//x?a=%2e");
    }
    fn routing_above_the_root_is_ambiguous(at) {
        is_ambiguous(at, "/../private/x");
        is_ambiguous(at, "/public/../../private/x");
        is_ambiguous(at, "/%2e%2e/private/x");
    }
    fn routing_encoded_nul_is_ambiguous(at) { is_ambiguous(at, "/public/%00/x"); }
    fn routing_encoded_backslash_is_ambiguous(at) { is_ambiguous(at, "/public/..%5cprivate/x"); }
    fn routing_encoded_slash_after_dots_is_ambiguous(at) { is_ambiguous(at, "/public/..%2fprivate/x"); }
    fn routing_encoded_slash_before_dots_is_ambiguous(at) { is_ambiguous(at, "/public/x%2f..%2f..%2fprivate/x"); }
    fn routing_encoded_slash_does_not_hide_a_path(at) {
        is_private_or_ambiguous(at, "/private%2fx");
        is_private_or_ambiguous(at, "/%2fprivate/x");
        is_private_or_ambiguous(at, "/%2Fprivate%2Fx");
    }
    fn routing_literal_backslash_does_not_hide_a_path(at) {
        let answer = at.ask("GET /public\\..\\private/x HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert_eq!(answer.status(), 400, "{answer:?}");
    }
    fn routing_double_encoding_is_not_decoded_twice(at) {
        assert_eq!(path(at, "/public/%252e%252e/private/x"), "public");
        assert_eq!(path(at, "/%2570rivate/x"), "root");
    }
    fn routing_overlong_utf8_is_no_slash(at) {
        let answer = at.ask("GET /public/..%c0%afprivate/x HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert!(answer.status() == 400 || echo(&answer).origin == "public", "{answer:?}");
    }
    fn routing_an_ambiguous_path_keeps_the_connection(at) {
        let mut client = at.client();
        let answer = client.send("GET /public/%00 HTTP/1.1\r\nHost: any.test\r\n\r\n").response();
        assert_eq!(answer.status(), 400);
        if !answer.lists("connection", "close") {
            let next = client.send("GET /public/x HTTP/1.1\r\nHost: any.test\r\n\r\n").response();
            assert_eq!(echo(&next).origin, "public");
        }
    }
    fn routing_options_of_the_server_goes_to_the_widest_route(at) {
        let answer = at.ask("OPTIONS * HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert_eq!(echo(&answer).origin, "root");
    }
    fn routing_a_request_without_host_goes_to_routes_without_host(at) {
        let mut client = at.client();
        let answer = client.send("GET /api/x HTTP/1.0\r\n\r\n").response();
        assert_eq!(echo(&answer).origin, "api");
    }
}
