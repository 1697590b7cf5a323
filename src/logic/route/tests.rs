use proptest::prelude::*;

use super::*;
use crate::logic::message::Field;

const WEB: ListenerIndex = ListenerIndex(0);

fn route(name: &str, host: &str, path: &str) -> Route {
    Route {
        name: name.into(),
        matcher: Matcher {
            host: match host {
                "" => HostPattern::Any,
                _ if host.starts_with("*.") => HostPattern::Suffix(host[1..].into()),
                _ => HostPattern::Exact(host.into()),
            },
            path: PathPattern::parse(path).unwrap(),
            ..Matcher::default()
        },
        action: Action::Respond { status: 200, body: Bytes::new() },
        request_edits: Edits::default().into(),
        response_edits: Edits::default().into(),
        timeouts: Timeouts::default(),
        rate_limit: None,
        in_flight_max: None,
        limits: MessageLimits::default(),
    }
}

fn with_methods(name: &str, path: &str, methods: &[&str]) -> Route {
    let mut route = route(name, "", path);
    route.matcher.methods = methods.iter().map(|&method| method.into()).collect();
    route
}

fn request<'a>(method: &'a str, host: &'a str, target: &'a str) -> RequestHead<'a> {
    RequestHead {
        method: method.as_bytes(),
        authority: host.as_bytes(),
        target: target.as_bytes(),
        fields: &[],
    }
}

/// The name of the route found, or how it was not.
fn found(table: &RouteTable, head: &RequestHead<'_>) -> String {
    match table.find(head, WEB) {
        Found::Route(route) => table.get(route).name.to_string(),
        Found::WrongMethod(route) => format!("405 {}", table.allow(route)),
        Found::Nothing => "404".into(),
        Found::AmbiguousPath => "400".into(),
    }
}

fn check(table: &RouteTable, host: &str, target: &str, expected: &str) {
    assert_eq!(found(table, &request("GET", host, target)), expected, "{host} {target}");
}

#[test]
fn the_most_specific_host_with_a_matching_path_wins() {
    let table = RouteTable::new(vec![
        route("any", "", "/*"),
        route("wild", "*.example.com", "/*"),
        route("exact", "a.example.com", "/x/*"),
    ]);
    check(&table, "a.example.com", "/x/1", "exact");
    check(&table, "A.Example.COM:8080", "/x", "exact");
    check(&table, "a.example.com.", "/x", "exact");
    check(&table, "a.example.com", "/y", "wild");
    check(&table, "b.example.com:80", "/x", "wild");
    check(&table, "b.a.example.com", "/x", "any");
    check(&table, ".example.com", "/x", "any");
    check(&table, "example.com", "/x", "any");
    check(&table, "", "/", "any");
    check(&table, &"a".repeat(300), "/", "any");
}

#[test]
fn the_longest_path_wins_and_exact_goes_before_prefix() {
    let table = RouteTable::new(vec![
        route("root", "", "/*"),
        route("api", "", "/api/*"),
        route("api itself", "", "/api"),
        route("api users", "", "/api/users/*"),
    ]);
    check(&table, "", "/api", "api itself");
    check(&table, "", "/api/", "api");
    check(&table, "", "/api/x?q=/api/users", "api");
    check(&table, "", "/apix", "root");
    check(&table, "", "/api/users", "api users");
    check(&table, "", "/api/usersx", "api");
    check(&table, "", "/", "root");
    check(&table, "", "/?/api", "root");
    check(&table, "", "?x", "root");
}

#[test]
fn more_conditions_win_then_the_order_of_the_file() {
    let mut canary = route("canary", "", "/*");
    canary.matcher.fields = vec![("x-canary".into(), "1".into())];
    let table = RouteTable::new(vec![route("first", "", "/*"), route("second", "", "/*"), canary]);
    check(&table, "", "/", "first");
    let fields = [Field { name: b"X-Canary", value: b"0" }, Field { name: b"x-canary", value: b"1" }];
    assert_eq!(found(&table, &RequestHead { fields: &fields, ..request("GET", "", "/") }), "canary");
    assert_eq!(found(&table, &RequestHead { fields: &fields[..1], ..request("GET", "", "/") }), "first");
}

#[test]
fn a_wrong_method_is_told_from_a_wrong_path() {
    let table = RouteTable::new(vec![
        with_methods("read", "/a/*", &["GET", "HEAD"]),
        with_methods("write", "/a/*", &["POST", "GET"]),
        with_methods("other", "/b", &["GET"]),
    ]);
    assert_eq!(found(&table, &request("GET", "", "/a")), "read");
    assert_eq!(found(&table, &request("POST", "", "/a")), "write");
    assert_eq!(found(&table, &request("PUT", "", "/a")), "405 GET, HEAD, POST");
    assert_eq!(found(&table, &request("get", "", "/b")), "405 GET");
    assert_eq!(found(&table, &request("GET", "", "/c")), "404");
}

#[test]
fn a_less_specific_route_takes_the_method_that_a_more_specific_one_does_not() {
    let table = RouteTable::new(vec![with_methods("read", "/a/*", &["GET"]), route("root", "", "/*")]);
    assert_eq!(found(&table, &request("POST", "", "/a")), "root");
}

#[test]
fn a_route_may_belong_to_one_listener() {
    let mut inside = route("inside", "", "/*");
    inside.matcher.listeners = Some(vec![ListenerIndex(1)]);
    let table = RouteTable::new(vec![inside]);
    assert_eq!(table.find(&request("GET", "", "/"), WEB), Found::Nothing);
    assert_eq!(table.find(&request("GET", "", "/"), ListenerIndex(1)), Found::Route(RouteIndex(0)));
}

#[test]
fn the_asterisk_form_goes_to_the_whole_server_alone() {
    let table = RouteTable::new(vec![route("api", "", "/api/*")]);
    assert_eq!(found(&table, &request("OPTIONS", "", "*")), "404");
    let table = RouteTable::new(vec![route("api", "", "/api/*"), route("root", "", "/*")]);
    assert_eq!(found(&table, &request("OPTIONS", "", "*")), "root");
}

#[test]
fn no_spelling_slips_past_a_route() {
    let table = RouteTable::new(vec![
        route("root", "", "/*"),
        route("admin", "", "/admin/*"),
        route("static", "", "/static/*"),
        route("files", "", "/files/café/*"),
    ]);
    for target in [
        "/%61dmin/x",
        "/admin%2e/../admin/x",
        "/static/../admin/x",
        "/static/%2E%2e/admin",
        "//admin",
        "/./admin/",
        "/x/..//admin/x",
    ] {
        check(&table, "", target, "admin");
    }
    for target in [
        "/static/..%2fadmin",
        "/static%2f..%2fadmin",
        "/admin%2fx",
        "/%2fadmin",
        "/../admin",
        "/a%00",
        "/static/..;/admin",
        "/static\\..\\admin",
        "/%zz",
        "/a#b",
        "x",
    ] {
        check(&table, "", target, "400");
    }
    check(&table, "", "/static/a%2fb", "static");
    check(&table, "", "/x%2Fy", "root");
    check(&table, "", "/%252e%252e/admin", "root");
    check(&table, "", "/files/caf%C3%A9/1", "files");
    check(&table, "", &format!("/static/{}/../../admin", "x".repeat(9000)), "admin");
}

#[test]
fn patterns_are_read_in_any_spelling() {
    let parse = PathPattern::parse;
    assert_eq!(parse("/*"), Ok(PathPattern::Prefix("/".into())));
    assert_eq!(parse("/api/*"), Ok(PathPattern::Prefix("/api/".into())));
    assert_eq!(parse("/%61pi/../b"), Ok(PathPattern::Exact("/b".into())));
    for bad in ["", "*", "api", "/api*", "/a*b", "/a/*/b", "/a?b", "/a#b", "/..", "/%00"] {
        assert_eq!(parse(bad), Err(Ambiguous), "{bad}");
    }
}

/// The definition, word by word: what the index must agree with.
fn by_definition(table: &RouteTable, head: &RequestHead<'_>) -> Found {
    let mut wrong = Found::Nothing;
    for (place, route) in table.iter() {
        let host = String::from_utf8_lossy(head.host()).to_ascii_lowercase();
        let host_matches = match &route.matcher.host {
            HostPattern::Any => true,
            HostPattern::Exact(one) => host == **one,
            HostPattern::Suffix(suffix) => {
                host.strip_suffix(&**suffix).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
        };
        let path = std::str::from_utf8(head.path()).unwrap();
        let path_matches = match &route.matcher.path {
            PathPattern::Exact(one) => path == &**one,
            PathPattern::Prefix(prefix) => path.starts_with(&**prefix) || format!("{path}/") == **prefix,
        };
        if host_matches && path_matches {
            match route.matcher.conditions(head, WEB) {
                Seen::Match => return Found::Route(place),
                Seen::WrongMethod if wrong == Found::Nothing => wrong = Found::WrongMethod(place),
                _ => {}
            }
        }
    }
    wrong
}

fn any_host() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("a.x"), Just("b.x"), Just("x"), Just("a.b.x")]
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("ab")], 0..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn any_route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![any_host(), Just("*.x"), Just("*.b.x")];
    (host, any_path(), any::<bool>(), any::<bool>()).prop_map(|(host, path, prefix, limited)| {
        let star = if !prefix {
            ""
        } else if path == "/" {
            "*"
        } else {
            "/*"
        };
        let mut route = route("", host, &format!("{path}{star}"));
        route.matcher.methods = if limited { vec!["GET".into()] } else { vec![] };
        route
    })
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_definition(
        routes in prop::collection::vec(any_route(), 0..24),
        (host, path, get) in (any_host(), any_path(), any::<bool>()),
    ) {
        let table = RouteTable::new(routes);
        let head = request(if get { "GET" } else { "POST" }, host, &path);
        prop_assert_eq!(table.find(&head, WEB), by_definition(&table, &head));
    }

    #[test]
    fn an_escaped_path_takes_the_same_route_or_none(
        routes in prop::collection::vec(any_route(), 0..24),
        path in any_path(),
        at in 0usize..8,
    ) {
        let table = RouteTable::new(routes);
        let at = at % path.len();
        let spelled = format!("{}%{:02x}{}", &path[..at], path.as_bytes()[at], &path[at + 1..]);
        let found = table.find(&request("GET", "a.x", &spelled), WEB);
        let plain = table.find(&request("GET", "a.x", &path), WEB);
        prop_assert!(found == plain || found == Found::AmbiguousPath, "{} {:?} {:?}", spelled, found, plain);
    }
}

#[test]
fn four_thousand_routes_are_found_one_by_one() {
    let routes = (0..4096).map(|n| route(&n.to_string(), "", &format!("/service-{n}/*"))).collect();
    let table = RouteTable::new(routes);
    for n in (0..4096).step_by(7) {
        check(&table, "", &format!("/service-{n}/x"), &n.to_string());
    }
    let slashes = "/a".repeat(20_000);
    check(&table, "", &slashes, "404");
}
