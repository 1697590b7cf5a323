//! What a file becomes.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use plimsoll::config::settings::{
    BackendSettings, BindAddress, DriverChoice, FleetSettings, LogTarget, Pull, Reach, ServerHost,
};
use plimsoll::config::{self, Settings};
use plimsoll::logic::access::LogFormat;
use plimsoll::logic::balance::Strategy;
use plimsoll::logic::balance::key::HashKey;
use plimsoll::logic::concurrency::AdaptiveSettings;
use plimsoll::logic::limits::{MessageLimits, Timeouts};
use plimsoll::logic::message::RequestHead;
use plimsoll::logic::queue::QueueSettings;
use plimsoll::logic::rate_limit::{Rate, RateKey, RateLimit};
use plimsoll::logic::retry::{RetryOn, RetryPolicy};
use plimsoll::logic::route::{Action, Found, ListenerIndex, Route};
use plimsoll::logic::scale::ScaleSettings;

fn parse(text: &str) -> Settings {
    config::parse(text, "test.yaml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The route of a request.
fn route<'s>(settings: &'s Settings, method: &str, host: &str, target: &str) -> Option<&'s Route> {
    let head = RequestHead {
        method: method.as_bytes(),
        authority: host.as_bytes(),
        target: target.as_bytes(),
        fields: &[],
    };
    match settings.routes.find(&head, ListenerIndex(0)) {
        Found::Route(index) => Some(settings.routes.get(index)),
        _ => None,
    }
}

/// The name of the backend that a request goes to.
fn backend<'s>(settings: &'s Settings, target: &str) -> &'s str {
    match &route(settings, "GET", "a.b", target).unwrap().action {
        Action::Forward { backend, .. } => &settings.backends[usize::from(backend.0)].name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    let settings = parse("routes: [{ respond: {} }]");
    assert_eq!(
        (settings.workers, settings.driver, settings.grace),
        (None, DriverChoice::Auto, Duration::from_secs(30))
    );
    assert_eq!(settings.limits, MessageLimits::default());
    assert_eq!(settings.timeouts, Timeouts::default());
    assert_eq!(settings.listeners.len(), 1);
    assert_eq!(&*settings.listeners[0].name, "web");
    assert_eq!(settings.listeners[0].binds, [BindAddress::Tcp("0.0.0.0:8080".parse().unwrap())]);
    let log = settings.access_log.unwrap();
    assert_eq!((log.target, log.format, log.sample), (LogTarget::Stdout, LogFormat::Json, 1.0));
    let admin = settings.admin.unwrap();
    assert_eq!((admin.bind, admin.writable), ("127.0.0.1:9900".parse().unwrap(), true));
    assert!(settings.trusted_proxies.is_empty());
}

#[test]
fn health_is_off_unless_written_and_has_its_defaults_then() {
    let backend = |keys: &str| {
        let text = format!("routes: [{{ path: /*, servers: [{{ url: 'http://1.1.1.1' }}]{keys} }}]");
        parse(&text).backends.remove(0)
    };
    let plain = backend("");
    assert!(plain.health.is_none() && plain.outlier.is_none() && plain.slow_start.is_zero());
    assert_eq!(plain.panic_threshold, 5000);
    let written = backend(", health: {}, outlier: {}, slow_start: 3s, panic_threshold: 0%");
    let health = written.health.unwrap();
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(2), Duration::from_secs(1)));
    assert_eq!((health.patience.rise, health.patience.fall, health.path), (2, 3, None));
    assert_eq!(health.expect, [(200, 399)]);
    let outlier = written.outlier.unwrap();
    assert_eq!((outlier.consecutive_failures, outlier.failure_rate, outlier.max_ejected), (5, 5000, 5000));
    assert_eq!(outlier.ejection, Duration::from_secs(30));
    assert_eq!((written.slow_start, written.panic_threshold), (Duration::from_secs(3), 0));
    let problems = config::parse(
        "routes: [{ path: /*, servers: [{ url: 'http://1.1.1.1' }], health: { expect_body: ok } }]",
        "test.yaml",
        &|_| None,
    );
    assert!(problems.unwrap_err().to_string().contains("`expect_body` has no answer to look at"));
}

#[test]
fn a_udp_listener_has_a_backend_of_udp_servers_and_a_limit() {
    let file = |bind: &str, server: &str, health: &str| {
        format!(
            "listeners: {{ dns: {{ bind: '{bind}', protocol: udp, backend: dns }} }}\n\
             backends: {{ dns: {{ servers: [{{ url: '{server}' }}], health: {health} }} }}"
        )
    };
    let settings = parse(&file("127.0.0.1:53", "udp://10.0.0.1:53", "{ send: 'hex:00ff', expect_body: x }"));
    assert!(settings.unsupported.is_empty());
    let listener = &settings.listeners[0];
    assert_eq!((listener.protocol.name(), listener.open_max().map(usize::from)), ("udp", Some(16_384)));
    assert_eq!(settings.backends[0].health.as_ref().unwrap().send.as_deref(), Some(&[0, 255][..]));
    for (bind, server, health, complaint) in [
        ("127.0.0.1:53", "tcp://10.0.0.1:53", "{}", "takes no datagrams"),
        ("127.0.0.1:53", "unix:/run/dns", "{}", "takes no datagrams"),
        ("unix:/run/dns", "udp://10.0.0.1:53", "{}", "has no unix sockets"),
        ("127.0.0.1:53", "udp://10.0.0.1:53", "{ send: 'hex:123' }", "even number of hexadecimal digits"),
        ("127.0.0.1:53", "udp://10.0.0.1:53", "{ send: a, path: / }", "not by both"),
        ("127.0.0.1:53", "udp://10.0.0.1:53", "{ expect_body: a }", "no answer to look at"),
    ] {
        let problems = config::parse(&file(bind, server, health), "test.yaml", &|_| None).unwrap_err();
        assert!(problems.to_string().contains(complaint), "{problems}");
    }
}

#[test]
fn every_written_default_is_the_default() {
    let plain = parse("routes: [{ respond: {} }]");
    let written = parse(
        "workers: auto\ndriver: auto\ngrace: 30s\ntrusted_proxies: []\n\
         access_log: { path: stdout, format: json, sample: 1.0 }\n\
         limits: { head: 32KiB, headers: 100, uri: 8KiB, body: none }\n\
         timeouts: { client_head: 10s, client_idle: 60s, client_body: 30s, connect: 2s, response_head: 30s, body: 30s, tunnel_idle: 1h, udp_idle: 60s }\n\
         admin: { bind: 127.0.0.1:9900, writable: true, token_file: null }\n\
         listeners: { web: { bind: \":8080\", protocol: http, max_connections: 0, accept_proxy_protocol: false, tls_routes: [] } }\n\
         routes: [{ respond: { status: 200, body: \"\" }, max_in_flight: 0, timeouts: {} }]\n",
    );
    assert_eq!((written.limits, written.timeouts), (plain.limits, plain.timeouts));
    assert_eq!((written.workers, written.driver, written.grace), (plain.workers, plain.driver, plain.grace));
    assert_eq!((written.access_log, written.admin), (plain.access_log, plain.admin));
    assert_eq!(written.listeners, plain.listeners);
    assert_eq!(written.unsupported, plain.unsupported);
}

#[test]
fn the_first_short_form_routes_by_prefix() {
    let settings = parse(include_str!("../../config/examples/path-prefixes.yaml"));
    assert_eq!(backend(&settings, "/api/users"), "api_servers");
    assert_eq!(backend(&settings, "/static/a.css"), "static_servers");
    assert!(route(&settings, "GET", "", "/other").is_none());
    assert_eq!(settings.backends[0].strategy, Strategy::LeastConnections);
    assert_eq!(settings.backends[0].servers.len(), 2);
    assert_eq!(settings.backends[1].strategy, Strategy::RoundRobin);
}

#[test]
fn the_second_short_form_carries_its_backend() {
    let settings = parse(include_str!("../../config/examples/inline-backend.yaml"));
    assert_eq!(backend(&settings, "/api/users"), "/api/*");
    assert_eq!(settings.backends[0].servers[0].host, ServerHost::Name("aws.something.com".into(), 80));
    assert_eq!(settings.backends[0].strategy, Strategy::LeastConnections);
    let Some(FleetSettings::Docker(docker)) = settings.backends[0].fleet.as_deref() else {
        panic!("no fleet")
    };
    assert_eq!(
        (docker.image.as_str(), docker.reach, docker.pull),
        ("api-server", Reach::Loopback, Pull::Missing)
    );
    assert_eq!(settings.backends[0].scale, ScaleSettings::default());
}

#[test]
fn every_strategy_has_its_name_in_the_file() {
    for strategy in Strategy::ALL {
        let name = strategy.name();
        let settings =
            parse(&format!("routes: [{{ strategy: {name}, servers: [{{ url: http://10.0.0.1 }}] }}]"));
        assert_eq!(settings.backends[0].strategy, strategy);
        assert!(settings.refusal().is_none(), "{name}");
    }
}

#[test]
fn what_ties_a_client_to_a_node_is_read() {
    let with = |keys: &str| {
        let text = format!("routes: [{{ {keys}, servers: [{{ url: http://10.0.0.1 }}] }}]");
        let settings = parse(&text);
        assert!(settings.refusal().is_none() && settings.warnings.list.is_empty(), "{}", settings.warnings);
        settings.backends[0].affinity.clone()
    };
    assert_eq!(with("strategy: consistent_hash").hash_key, HashKey::ClientIp);
    let key = |key: &str| with(&format!("strategy: consistent_hash, hash_key: '{key}'")).hash_key;
    assert_eq!(key("path"), HashKey::Path);
    assert_eq!(key("header:X-User"), HashKey::Header("x-user".into()));
    assert_eq!(key("cookie:ID"), HashKey::Cookie("ID".into()));
    let sticky = with("sticky: { cookie: lb, secret: 0123456789abcdef }").sticky.unwrap();
    assert_eq!((&*sticky.cookie, sticky.secret.as_deref()), ("lb", Some("0123456789abcdef")));
    assert!(!format!("{sticky:?}").contains("0123456789"), "{sticky:?}");
    assert_eq!(with("sticky: { cookie: lb }").sticky.unwrap().secret, None);
}

#[test]
fn a_key_that_nothing_hashes_is_warned_of() {
    for (strategy, key) in [("ip_hash", "path"), ("random", "cookie:id")] {
        let text = format!(
            "routes: [{{ strategy: {strategy}, hash_key: '{key}', servers: [{{ url: http://10.0.0.1 }}] }}]"
        );
        let warnings = parse(&text).warnings.to_string();
        assert!(warnings.contains("write `strategy: consistent_hash`"), "{warnings}");
    }
}

#[test]
fn routes_have_names_of_their_own() {
    let settings = parse(
        "routes:\n\
         - { host: '*.example.com', path: /api/*, respond: {} }\n\
         - { path: /x, methods: [GET], respond: {} }\n\
         - { path: /x, methods: [PUT], respond: {} }\n\
         - { path: /x, methods: [PUT], headers: { a: b }, respond: {} }\n\
         - { path: /x, respond: {} }\n\
         - { path: /x, headers: { a: c }, respond: {} }\n",
    );
    let mut names: Vec<_> = settings.routes.iter().map(|(_, route)| &*route.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["*.example.com/api/*", "/x", "/x #2", "/x #3", "/x #4", "/x PUT"]);
}

#[test]
fn a_routes_timeouts_lie_over_the_files() {
    let settings = parse(
        "timeouts: { connect: 1s, body: 7s }\nroutes: [{ path: /a, respond: {}, timeouts: { body: 9s } }, { respond: {} }]",
    );
    let timeouts = route(&settings, "GET", "", "/a").unwrap().timeouts;
    assert_eq!((timeouts.connect, timeouts.body), (Duration::from_secs(1), Duration::from_secs(9)));
    assert_eq!(route(&settings, "GET", "", "/b").unwrap().timeouts.body, Duration::from_secs(7));
}

#[test]
fn limits_are_what_the_file_says_and_have_defaults_where_it_says_nothing() {
    let settings = parse(
        "routes:\n\
         - { path: /a, backend: one, max_in_flight: 7, rate_limit: { requests: 2, per: 1m, burst: 3, key: 'header:X-Key' } }\n\
         - { path: /b, backend: two, rate_limit: { requests: 5 } }\n\
         - { path: /c, backend: three }\n\
         backends:\n\
         \x20 one:\n\
         \x20   retry: { attempts: 4, on: [reset, 599], budget: 35% }\n\
         \x20   queue: { max: 9, timeout: 70ms }\n\
         \x20   adaptive_limit: { max: 20 }\n\
         \x20   servers: [{ url: http://10.0.0.1, max_connections: 12 }, { url: http://10.0.0.2 }]\n\
         \x20 two: { retry: {}, servers: [{ url: http://10.0.0.1, max_connections: 0 }] }\n\
         \x20 three: { servers: [{ url: http://10.0.0.1 }] }\n",
    );
    assert!(settings.warnings.list.is_empty() && settings.refusal().is_none());
    let [one, two, three] = &settings.backends[..] else { panic!() };
    let on = RetryOn::NOTHING.with_reset().with_status(599);
    assert_eq!(one.retry, RetryPolicy { attempts: 4, on, budget_permille: 350 });
    assert_eq!((two.retry, three.retry), (RetryPolicy::default(), RetryPolicy::OFF));
    assert_eq!(one.queue, QueueSettings { max: 9, timeout: Duration::from_millis(70) });
    assert_eq!((one.adaptive, two.adaptive), (Some(AdaptiveSettings { min: 1, max: 20 }), None));
    assert_eq!(two.queue, QueueSettings { max: 1000, timeout: Duration::from_secs(5) });
    let limits = |backend: &BackendSettings| {
        backend.servers.iter().map(|server| server.in_flight_max.map(NonZeroU32::get)).collect::<Vec<_>>()
    };
    assert_eq!((limits(one), limits(two)), (vec![Some(12), None], vec![None]));

    let of = |path| route(&settings, "GET", "", path).unwrap();
    let rate = Rate::new(2, Duration::from_secs(60), 3);
    assert_eq!(of("/a").rate_limit, Some(RateLimit { rate, key: RateKey::Header("x-key".into()) }));
    assert_eq!(of("/a").in_flight_max, NonZeroU32::new(7));
    let rate = Rate::new(5, Duration::from_secs(1), 0);
    assert_eq!(of("/b").rate_limit, Some(RateLimit { rate, key: RateKey::ClientIp }));
    assert_eq!((of("/c").rate_limit.as_ref(), of("/c").in_flight_max), (None, None));
}

#[test]
fn a_queue_that_nobody_can_wait_in_is_pointed_at() {
    let settings = parse("routes: [{ servers: [{ url: http://10.0.0.1 }], queue: { max: 5 } }]");
    assert!(
        settings.warnings.to_string().contains("nothing ever waits in this queue"),
        "{}",
        settings.warnings
    );
}

#[test]
fn keys_that_come_to_nothing_are_pointed_at() {
    let warned = |keys: &str| {
        let servers = "servers: [{ url: http://10.0.0.1 }, { url: http://10.0.0.2 }]";
        parse(&format!("routes: [{{ {servers}, {keys} }}]")).warnings.to_string()
    };
    assert!(warned("strategy: compute").contains("no node says how busy its CPU is"));
    assert_eq!(warned("strategy: compute, health: { agent: /cpu }"), "");
    assert!(warned("outlier: { max_ejected: 49% }").contains("`max_ejected` of 2 servers is less than one"));
    assert_eq!(warned("outlier: {}"), "");
}

#[test]
fn logs_and_admin_can_be_off() {
    let settings = parse("access_log: off\nadmin: off\nroutes: [{ respond: {} }]");
    assert!(settings.access_log.is_none() && settings.admin.is_none());
}

#[test]
fn an_alias_is_the_value_that_it_names() {
    let settings = parse(
        "routes: [{ path: /a, servers: &two [{ url: http://10.0.0.1 }, { url: http://10.0.0.2 }] }, { path: /b, servers: *two }]",
    );
    assert_eq!(settings.backends[1].servers, settings.backends[0].servers);
}

#[test]
fn a_value_of_the_environment_adds_no_key() {
    let text = "routes: [{ respond: { body: '${BODY}' } }]";
    let settings =
        config::parse(text, "test.yaml", &|_| Some("x' }, backend: evil # ${BODY}\n- y".into())).unwrap();
    let Action::Respond { body, .. } = &route(&settings, "GET", "", "/").unwrap().action else { panic!() };
    assert_eq!(&body[..], b"x' }, backend: evil # ${BODY}\n- y");
}

#[test]
fn a_command_line_is_enough() {
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let settings =
        config::quick(&words(&[":8080"]), &words(&["a:1,http://10.0.0.1:2", "unix:/run/x"])).unwrap();
    assert_eq!(settings.listeners[0].binds, [BindAddress::Tcp("0.0.0.0:8080".parse().unwrap())]);
    let hosts: Vec<_> = settings.backends[0].servers.iter().map(|server| server.host.clone()).collect();
    assert_eq!(
        hosts,
        [
            ServerHost::Name("a".into(), 1),
            ServerHost::Address("10.0.0.1:2".parse().unwrap()),
            ServerHost::Unix("/run/x".into())
        ]
    );
    assert_eq!(backend(&settings, "/anything"), "default");
}

#[test]
fn a_wrong_command_line_is_shown_with_a_caret() {
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let problems =
        config::quick(&words(&["8080"]), &words(&["a:1,b:x", "https://c"])).unwrap_err().to_string();
    assert!(problems.contains(" --> command line:1:10"), "{problems}");
    assert!(problems.contains("--listen 8080 --to a:1,b:x --to https://c"), "{problems}");
    assert!(
        problems.contains("did you mean `:8080`?") && problems.contains("`x` is not a port"),
        "{problems}"
    );
    assert!(config::quick(&[], &[]).is_err());
}

#[test]
fn the_admin_flag_is_held_to_the_files_rule() {
    let admin = config::quick_admin("[::1]:9901").unwrap().unwrap();
    assert_eq!(admin.bind, "[::1]:9901".parse().unwrap());
    assert_eq!(config::quick_admin("off").unwrap(), None);
    for open in [":9900", "0.0.0.0:9900", "unix:/run/x", "nonsense"] {
        assert!(config::quick_admin(open).is_err(), "{open}");
    }
}

#[test]
fn thousands_of_routes_are_read_in_no_time() {
    let mut text = "routes:\n".to_owned();
    for number in 0..4096 {
        text.push_str(&format!(
            "  - path: /service-{number}/*\n    servers: [{{ url: http://10.0.0.1:{} }}]\n",
            number + 1
        ));
    }
    let started = Instant::now();
    let settings = parse(&text);
    assert_eq!(settings.backends.len(), 4096);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(backend(&settings, "/service-4095/x"), "/service-4095/*");
}

#[test]
fn hostile_files_are_refused_in_no_time() {
    let started = Instant::now();
    let many = |line: &dyn Fn(usize) -> String| (0..200_000).map(line).collect::<String>();
    for text in [
        many(&|number| format!("key{number}: 1\n")),
        format!("backends:\n{}", many(&|number| format!("  b{number}: x\n"))),
        format!("routes:\n{}", many(&|_| "- x\n".into())),
        format!("routes:\n{}", many(&|_| "- {a: 1}\n".into())),
        format!("routes:\n- servers:\n{}", many(&|_| "  - {url: x}\n".into())),
        format!("trusted_proxies: [{}]", "x,".repeat(500_000)),
        "[".repeat(1_000_000),
        "{".repeat(1_000_000),
        "- ".repeat(1_000_000),
        "\"".repeat(1_000_001),
        "&a ".repeat(100_000),
    ] {
        let problems = config::parse(&text, "hostile.yaml", &|_| None).unwrap_err();
        assert!(problems.to_string().len() < 100_000);
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}
