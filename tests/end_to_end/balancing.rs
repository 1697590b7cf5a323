//! Every strategy through the real binary: where requests go, and what ties them to a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::harness::balancer::Driver;
use crate::harness::message::Message;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::mortal::MortalNode;
use crate::rig::{Rig, get, on, wait_for};

const STRATEGIES: [&str; 10] = [
    "round_robin",
    "least_connections",
    "random",
    "two_choices",
    "peak_ewma",
    "ip_hash",
    "consistent_hash",
    "compute",
    "first",
    "prequal",
];

/// Nodes that answer with their number.
fn numbered(count: usize) -> Vec<Origin> {
    (0..count).map(|number| Origin::start(answering(ok(&number.to_string())))).collect()
}

/// A balancer before these nodes, with these keys of the backend.
fn balancing(driver: Driver, nodes: &[Origin], keys: &str) -> Rig {
    let servers: Vec<_> =
        nodes.iter().map(|node| format!("{{ url: \"http://{}\" }}", node.address())).collect();
    let servers = servers.join(", ");
    let config = format!(
        "{}{LISTENER}trusted_proxies: [127.0.0.0/8]\nroutes: [{{ path: /*, backend: node }}]\n\
         backends: {{ node: {{ {keys}, servers: [{servers}] }} }}\n",
        common(driver)
    );
    Rig::with(&config)
}

/// How often each node answered `count` requests, the n-th of which is `request(n)`.
///
/// A client has its answer a moment before the balancer counts it as over, and one request in flight is all that a node
/// gets of its bounded load while hardly any are: so it waits until the client before has left.
fn answers(rig: &Rig, count: usize, request: impl Fn(usize) -> String) -> BTreeMap<String, usize> {
    rig.wait_until_quiet();
    let mut client = rig.client();
    let mut counts = BTreeMap::new();
    for number in 0..count {
        let answer = client.send(request(number)).response();
        assert_eq!(answer.status(), 200, "{answer:?}");
        *counts.entry(answer.text()).or_default() += 1;
    }
    counts
}

fn from(client: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-Forwarded-For: 192.0.2.{client}\r\n\r\n")
}

/// The cookie that an answer gives, as a client sends it back.
fn cookie(answer: &Message) -> Option<String> {
    let cookie = answer.field("set-cookie")?;
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    cookie.split(';').next().map(str::to_owned)
}

fn with_cookie(cookie: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nCookie: a=b; {cookie}\r\n\r\n")
}

site_cases! { on;
    fn every_strategy_serves_and_spreads_clients(driver) {
        for strategy in STRATEGIES {
            let nodes = numbered(3);
            let rig = balancing(driver, &nodes, &format!("strategy: {strategy}"));
            let counts = answers(&rig, 120, from);
            let expected = if strategy == "first" { 1 } else { 3 };
            assert_eq!(counts.len(), expected, "{strategy}: {counts:?}");
            rig.wait_until_quiet();
            let nodes = rig.json("/api/v1/nodes");
            assert!(nodes.as_array().unwrap().iter().all(|node| node["in_flight"] == 0), "{strategy}: {nodes}");
            assert_eq!(rig.json("/api/v1/backends")[0]["strategy"], strategy);
        }
    }
    fn a_dead_node_costs_no_strategy_a_request(driver) {
        for strategy in STRATEGIES {
            let (survivor, victim) = (Origin::start(answering(ok("survivor"))), MortalNode::start("victim"));
            let address = victim.address();
            victim.kill();
            let config = format!(
                "{}{LISTENER}routes: [{{ path: /*, strategy: {strategy}, servers: [{{ url: \"http://{address}\" }}, \
                 {{ url: \"http://{}\" }}] }}]\n",
                common(driver),
                survivor.address()
            );
            let counts = answers(&Rig::with(&config), 40, from);
            assert_eq!(counts.len(), 1, "{strategy}: {counts:?}");
        }
    }
    fn a_client_keeps_its_node_by_its_address(driver) {
        for strategy in ["ip_hash", "consistent_hash"] {
            let nodes = numbered(4);
            let rig = balancing(driver, &nodes, &format!("strategy: {strategy}"));
            let mut homes = BTreeSet::new();
            // So many that none of four nodes, whose ports decide who is whose, is nobody's home by chance.
            for client in 0..80 {
                let counts = answers(&rig, 3, |_| from(client));
                assert_eq!(counts.len(), 1, "{strategy}: client {client} went to {counts:?}");
                homes.extend(counts.into_keys());
            }
            assert_eq!(homes.len(), 4, "{strategy}");
        }
    }
    fn each_hash_key_ties_what_it_names(driver) {
        let path = |n: usize| format!("GET /{n}?{n} HTTP/1.1\r\nHost: {{host}}\r\n\r\n");
        let header = |n: usize| format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-User: {n}\r\n\r\n");
        let cookie = |n: usize| format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nCookie: a=1; id={n}\r\n\r\n");
        let keys: [(&str, &dyn Fn(usize) -> String); 3] =
            [("path", &path), ("header:X-User", &header), ("cookie:id", &cookie)];
        for (key, request) in keys {
            let nodes = numbered(4);
            let rig = balancing(driver, &nodes, &format!("strategy: consistent_hash, hash_key: '{key}'"));
            assert!((0..15).all(|n| answers(&rig, 4, |_| request(n)).len() == 1), "{key}");
            assert_eq!(answers(&rig, 60, request).len(), 4, "{key}");
            // What has no such thing goes anywhere.
            if key != "path" {
                assert_eq!(answers(&rig, 60, |_| get("/")).len(), 4, "{key}");
            }
        }
    }
    fn a_cookie_holds_a_client_on_its_node_over_any_strategy(driver) {
        for strategy in ["round_robin", "random", "least_connections", "ip_hash"] {
            let nodes = numbered(3);
            let rig = balancing(driver, &nodes, &format!("strategy: {strategy}, sticky: {{ cookie: lb }}"));
            let first = rig.get("/");
            let cookie = cookie(&first).expect("a new client gets a cookie");
            assert!(cookie.starts_with("lb="), "{cookie}");
            for _ in 0..10 {
                let answer = rig.client().send(with_cookie(&cookie)).response();
                assert_eq!(answer.text(), first.text(), "{strategy}");
                assert_eq!(answer.field("set-cookie"), None, "{strategy}: the client has it already");
            }
        }
    }
    fn a_cookie_that_nobody_signed_is_replaced(driver) {
        let nodes = numbered(2);
        let rig = balancing(driver, &nodes, "sticky: { cookie: lb }");
        let good = cookie(&rig.get("/")).unwrap();
        let flipped = if good.ends_with('0') { "1" } else { "0" };
        let forged = format!("{}{flipped}", &good[..good.len() - 1]);
        for bad in ["lb=", "lb=1", &forged, "lb=\u{e9}"] {
            let answer = rig.client().send(with_cookie(bad)).response();
            assert_eq!(answer.status(), 200, "{bad}");
            assert!(cookie(&answer).is_some(), "{bad}");
        }
    }
    fn a_client_whose_node_is_gone_gets_another_and_its_cookie(driver) {
        let (survivor, victim) = (Origin::start(answering(ok("survivor"))), MortalNode::start("victim"));
        let config = format!(
            "{}{LISTENER}routes: [{{ path: /*, sticky: {{ cookie: lb }}, servers: [{{ url: \"http://{}\" }}, \
             {{ url: \"http://{}\" }}] }}]\n",
            common(driver),
            victim.address(),
            survivor.address()
        );
        let rig = Rig::with(&config);
        let tied = wait_for("the victim", || {
            let answer = rig.get("/");
            (answer.text() == "victim").then(|| cookie(&answer).unwrap())
        });
        victim.kill();
        let moved = wait_for("the survivor", || {
            let answer = rig.client().send(with_cookie(&tied)).response();
            (answer.text() == "survivor").then(|| cookie(&answer).expect("the cookie of its new node"))
        });
        assert_ne!(tied, moved);
        let answer = rig.client().send(with_cookie(&moved)).response();
        assert_eq!((&*answer.text(), answer.field("set-cookie")), ("survivor", None));
    }
    fn a_written_secret_makes_the_same_cookies_in_two_balancers(driver) {
        let nodes = numbered(3);
        let keys = "sticky: { cookie: lb, secret: 'a secret of many bytes' }";
        let (one, other) = (balancing(driver, &nodes, keys), balancing(driver, &nodes, keys));
        let first = one.get("/");
        let tied = with_cookie(&cookie(&first).unwrap());
        for _ in 0..6 {
            let answer = other.client().send(&tied).response();
            assert_eq!((answer.text(), answer.field("set-cookie")), (first.text(), None));
        }
        assert!(!one.json("/api/v1/config").to_string().contains("many bytes"), "the secret is told");
    }
    fn the_node_that_says_it_is_busy_gets_less(driver) {
        let busy = [Arc::new(AtomicUsize::new(90)), Arc::new(AtomicUsize::new(5))];
        let origins = [0, 1].map(|number| {
            let busy = busy[number].clone();
            Origin::start(Arc::new(move |c| {
                while let Some(request) = c.request() {
                    match request.target() {
                        "/busy" => c.send(ok(&format!("{}%", busy.load(SeqCst)))),
                        _ => c.send(ok(&number.to_string())),
                    };
                }
            }))
        });
        let keys = "strategy: compute, health: { interval: 50ms, agent: /busy }";
        let rig = balancing(driver, &origins, keys);
        let cpu = |number: usize| {
            let address = origins[number].address().to_string();
            let nodes = rig.json("/api/v1/nodes");
            let node = nodes.as_array().unwrap().iter().find(|node| node["address"] == *address).unwrap().clone();
            node["cpu_percent"].as_f64()
        };
        for (calm, percents) in [("1", [90, 5]), ("0", [10, 80])] {
            (0..2).for_each(|number| busy[number].store(percents[number], SeqCst));
            wait_for("both readings", || {
                (0..2).all(|number| cpu(number) == Some(percents[number] as f64)).then_some(())
            });
            let counts = answers(&rig, 60, |_| get("/"));
            assert_eq!(counts, BTreeMap::from([(calm.to_owned(), 60)]), "{percents:?}");
        }
    }
    fn a_slow_node_gets_less_where_latency_counts(driver) {
        for strategy in ["peak_ewma", "prequal", "compute"] {
            let slow = Origin::start(std::sync::Arc::new(|c| {
                while c.request().is_some() {
                    // The node is slow: this is what is under test, and nothing waits for it.
                    std::thread::sleep(Duration::from_millis(30));
                    c.send(ok("slow"));
                }
            }));
            let fast = Origin::start(answering(ok("fast")));
            let rig = balancing(driver, &[slow, fast], &format!("strategy: {strategy}"));
            let counts = answers(&rig, 100, |_| get("/"));
            assert!(counts.get("slow").is_none_or(|&count| count <= 10), "{strategy}: {counts:?}");
        }
    }
}
