//! The contract's actions: rewrites, redirects, fixed answers, field edits; and what may be at the other end.

use std::sync::OnceLock;

use crate::harness::balancer::Driver;
use crate::harness::site::{Echo, Site, echo, site_cases};

const NAMES: &[&str] = &["plain", "strip", "add", "both", "host", "edit", "answer", "own", "bare"];

const ROUTES: &str = r#"
workers: 1
routes:
  - { path: /plain/*, backend: plain }
  - { path: /strip/*, backend: strip, rewrite: { strip_prefix: /strip } }
  - { path: /add/*, backend: add, rewrite: { add_prefix: /v1 } }
  - { path: /both/*, backend: both, rewrite: { strip_prefix: /both, add_prefix: /v1 } }
  - { path: /host/*, backend: host, rewrite: { host: api.internal } }
  - path: /edit/*
    backend: edit
    request_headers:
      set: { x-set: "new", x-only: "here" }
      add: { x-add: "second" }
      remove: [x-remove, x-gone]
  - path: /answer/*
    backend: answer
    response_headers:
      set: { server: ours, x-set: "new" }
      add: { x-add: "second", x-origin: "again" }
      remove: [x-origin]
  - path: /own/*
    backend: own
    request_headers:
      set: { x-forwarded-for: "198.51.100.7", x-forwarded-proto: https, x-forwarded-host: pub.test, x-request-id: r1, via: "1.1 edge" }
    response_headers: { set: { via: "1.1 edge", date: "today" } }
  - path: /bare/*
    backend: bare
    request_headers: { remove: [x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-request-id, via] }
    response_headers: { remove: [via, date] }
  - path: /said
    respond: { status: 200, body: "said" }
    response_headers: { set: { server: edge, content-type: text/html }, remove: [date] }
  - { path: /old/*, redirect: { to: "https://example.com{path}", status: 308 } }
  - { path: /query/*, redirect: { to: "https://{host}{path}{query}", status: 302 } }
  - { path: /fixed, respond: { status: 200, body: "fixed text" } }
  - { path: /teapot, respond: { status: 418, body: "" }, response_headers: { set: { x-tea: "green" } } }
  - { path: /limited, methods: [GET, HEAD], respond: { status: 200, body: "ok" } }
"#;

fn site(driver: Driver) -> &'static Site {
    static SITES: [OnceLock<Site>; 2] = [const { OnceLock::new() }; 2];
    SITES[driver as usize].get_or_init(|| Site::start(driver, NAMES, ROUTES))
}

#[track_caller]
fn target(at: &Site, path: &str) -> String {
    at.echo("any.test", path).target().to_owned()
}

#[track_caller]
fn edited(at: &Site, lines: &str) -> Echo {
    echo(&at.ask(format!("GET /edit/x HTTP/1.1\r\nHost: any.test\r\n{lines}\r\n")))
}

#[track_caller]
fn location(at: &Site, request: &str, status: u16) -> String {
    let answer = at.ask(request);
    assert_eq!(answer.status(), status, "{answer:?}");
    answer.field("location").unwrap().to_owned()
}

site_cases! { site;
    fn rewrite_nothing(at) { assert_eq!(target(at, "/plain/x?y"), "/plain/x?y"); }
    fn rewrite_strip_a_prefix(at) { assert_eq!(target(at, "/strip/x/y?z=1"), "/x/y?z=1"); }
    fn rewrite_strip_the_whole_path(at) {
        assert_eq!(target(at, "/strip"), "/");
        assert_eq!(target(at, "/strip/"), "/");
        assert_eq!(target(at, "/strip?a"), "/?a");
    }
    fn rewrite_strip_keeps_the_rest_as_it_came(at) { assert_eq!(target(at, "/strip/%41/b%20c"), "/%41/b%20c"); }
    fn rewrite_strip_an_encoded_prefix(at) { assert_eq!(target(at, "/%73trip/x"), "/x"); }
    fn rewrite_strip_behind_dot_segments(at) {
        let target = target(at, "/plain/../strip/x");
        assert!(target == "/x" || target == "/plain/../x", "{target}");
    }
    fn rewrite_strip_never_makes_an_authority(at) {
        // A node that reads `//evil.test/x` as a scheme-relative URL would leave the site.
        let target = target(at, "/strip//evil.test/x");
        assert!(target.starts_with('/'), "{target}");
    }
    fn rewrite_add_a_prefix(at) { assert_eq!(target(at, "/add/x?y"), "/v1/add/x?y"); }
    fn rewrite_strip_then_add(at) {
        assert_eq!(target(at, "/both/x?y"), "/v1/x?y");
        assert!(["/v1", "/v1/"].contains(&target(at, "/both").as_str()));
    }
    fn rewrite_host(at) {
        let seen = at.echo("any.test", "/host/x");
        assert_eq!((seen.all("host"), seen.all("x-forwarded-host")), (vec!["api.internal"], vec!["any.test"]));
    }
    fn edit_set_adds_what_is_not_there(at) { assert_eq!(edited(at, "").all("x-only"), ["here"]); }
    fn edit_set_replaces_all_lines(at) {
        assert_eq!(edited(at, "X-Set: a\r\nx-set: b\r\n").all("x-set"), ["new"]);
    }
    fn edit_add_joins(at) { assert_eq!(edited(at, "X-Add: first\r\n").all("x-add").join(","), "first,second"); }
    fn edit_remove_removes_all_lines(at) {
        let seen = edited(at, "X-Remove: a\r\nX-REMOVE: b\r\nX-Gone: c\r\nX-Stays: d\r\n");
        assert!(seen.all("x-remove").is_empty() && seen.all("x-gone").is_empty());
        assert_eq!(seen.all("x-stays"), ["d"]);
    }
    fn edit_cannot_be_named_away_by_connection(at) {
        assert_eq!(edited(at, "Connection: x-only, x-set\r\n").all("x-only"), ["here"]);
    }
    fn edit_of_responses(at) {
        let answer = at.ask("GET /answer/x HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert_eq!(answer.field("server"), Some("ours"));
        assert_eq!((answer.field("x-set"), answer.field("x-add")), (Some("new"), Some("second")));
        assert_eq!(answer.all("x-origin"), ["again"]);
    }
    fn edit_set_replaces_what_the_balancer_writes(at) {
        let answer = at.ask("GET /own/x HTTP/1.1\r\nHost: any.test\r\nX-Request-Id: theirs\r\n\r\n");
        let seen = echo(&answer);
        for (name, value) in [
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "pub.test"),
            ("x-request-id", "r1"),
            ("via", "1.1 edge"),
        ] {
            assert_eq!(seen.all(name), [value], "{name}");
        }
        assert_eq!((answer.all("via"), answer.all("date")), (vec!["1.1 edge"], vec!["today"]));
    }
    fn edit_remove_removes_what_the_balancer_writes(at) {
        let answer = at.ask("GET /bare/x HTTP/1.1\r\nHost: any.test\r\n\r\n");
        let seen = echo(&answer);
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"] {
            assert!(seen.all(name).is_empty(), "{name}: {:?}", seen.all(name));
        }
        assert!(answer.all("via").is_empty() && answer.all("date").is_empty(), "{answer:?}");
    }
    fn edit_of_the_balancers_own_answers(at) {
        let answer = at.ask("GET /said HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert_eq!((answer.all("server"), answer.all("content-type")), (vec!["edge"], vec!["text/html"]));
        assert!(answer.all("date").is_empty() && answer.text() == "said", "{answer:?}");
    }
    fn rewrite_strip_keeps_slashes_and_dots_in_the_rest(at) {
        for (sent, arrives) in [("/strip/a//b", "/a//b"), ("/strip/a/./b", "/a/./b"), ("/strip/a%2fb//%41", "/a%2fb//%41")] {
            assert_eq!(target(at, sent), arrives);
        }
    }
    fn redirect_to_a_host_that_nobody_named(at) {
        let answer = at.ask("GET /query/a HTTP/1.0\r\n\r\n");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (400, Some("bad_host")), "{answer:?}");
    }
    fn redirect_to_another_place(at) {
        let place = location(at, "GET /old/a/b HTTP/1.1\r\nHost: any.test\r\n\r\n", 308);
        assert_eq!(place, "https://example.com/old/a/b");
    }
    fn redirect_with_host_and_query(at) {
        let place = location(at, "GET /query/a?b=c&d HTTP/1.1\r\nHost: any.test\r\n\r\n", 302);
        assert_eq!(place, "https://any.test/query/a?b=c&d");
    }
    fn redirect_without_query(at) {
        let place = location(at, "GET /query/a HTTP/1.1\r\nHost: any.test:8080\r\n\r\n", 302);
        assert!(["https://any.test/query/a", "https://any.test:8080/query/a"].contains(&place.as_str()), "{place}");
    }
    fn redirect_cannot_be_split(at) {
        let answer = at.ask("GET /old/%0d%0aset-cookie:%20a=b HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
        match answer.status() {
            400 => assert_eq!(answer.field("x-plimsoll-reason"), Some("ambiguous_path")),
            _ => assert_eq!(answer.field("location"), Some("https://example.com/old/%0d%0aset-cookie:%20a=b")),
        }
    }
    fn redirect_of_a_post_reads_its_body(at) {
        let mut client = at.client();
        client.send("POST /old/x HTTP/1.1\r\nHost: any.test\r\nContent-Length: 5\r\n\r\nhello");
        let answer = client.response();
        assert_eq!(answer.status(), 308);
        if !answer.lists("connection", "close") {
            assert_eq!(client.send("GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n").response().text(), "fixed text");
        }
    }
    fn respond_with_a_text(at) {
        let answer = at.ask("GET /fixed HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "fixed text"));
        assert!(answer.field("content-type").unwrap().starts_with("text/plain"));
        assert_eq!(answer.field("server"), Some("plimsoll"));
    }
    fn respond_to_head(at) {
        let mut client = at.client();
        client.send("HEAD /fixed HTTP/1.1\r\nHost: any.test\r\n\r\n");
        let answer = client.response_to("HEAD");
        assert_eq!((answer.status(), answer.field("content-length")), (200, Some("10")));
        assert_eq!(client.send("GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n").response().text(), "fixed text");
    }
    fn respond_with_fields(at) {
        let answer = at.ask("GET /teapot HTTP/1.1\r\nHost: any.test\r\n\r\n");
        assert_eq!((answer.status(), answer.field("x-tea"), answer.body.len()), (418, Some("green"), 0));
    }
    fn respond_is_exact(at) { assert_eq!(at.fails("any.test", "/fixed/x"), (404, "no_route".into())); }
    fn respond_many_times_on_one_connection(at) {
        let mut client = at.client();
        client.send("GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
        for _ in 0..100 {
            assert_eq!(client.response().text(), "fixed text");
        }
    }
    fn rfc9110_15_5_6_the_method_is_not_allowed(at) {
        let mut client = at.client();
        let answer = client.send("DELETE /limited HTTP/1.1\r\nHost: any.test\r\n\r\n").response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (405, Some("method_not_allowed")));
        assert!(answer.lists("allow", "GET") && answer.lists("allow", "HEAD"), "{answer:?}");
        assert!(!answer.lists("connection", "close"));
        assert_eq!(client.send("GET /limited HTTP/1.1\r\nHost: a\r\n\r\n").response().text(), "ok");
    }
    fn rfc9110_10_2_1_allow_lists_no_other_method(at) {
        let answer = at.ask("PUT /limited HTTP/1.1\r\nHost: any.test\r\nContent-Length: 0\r\n\r\n");
        assert!(!answer.lists("allow", "PUT"), "{answer:?}");
    }
}
