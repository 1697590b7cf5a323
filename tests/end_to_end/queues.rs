//! Nodes that take so many requests and no more, and the queue before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::harness::balancer::Driver;
use crate::harness::client::Client;
use crate::harness::gate::Gate;
use crate::harness::message::Message;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::mortal::MortalNode;
use crate::rig::{Rig, get, limited, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// Takes its time for each request, and remembers how many there were at once at most.
pub(crate) fn busy(service: Duration, most: Arc<AtomicUsize>) -> Origin {
    let now = AtomicUsize::new(0);
    Origin::start(Arc::new(move |c| {
        while c.request().is_some() {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::sleep(service);
            now.fetch_sub(1, SeqCst);
            c.send(ok("served"));
        }
    }))
}

/// Waits at the gate before it answers `/gate`; everything else at once.
fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(Arc::new(move |c| {
        while let Some(request) = c.request() {
            if request.target() == "/gate" {
                gate.pass();
            }
            c.send(ok(request.target()));
        }
    }))
}

const FAILED: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nmine";

/// One node with one place, taken by a request that waits at the gate.
struct Jam {
    rig: Rig,
    origin: Origin,
    gate: Gate,
    first: Client,
}

impl Jam {
    fn new(driver: Driver, queue: &str, workers: usize) -> Self {
        let gate = Gate::default();
        let origin = gated(&gate);
        let keys = format!("queue: {queue}");
        let settings = format!("workers: {workers}\n");
        let rig = Rig::with(&limited(driver, &[origin.address()], "max_connections: 1", &keys, &settings));
        let mut first = rig.client();
        first.send(get("/gate"));
        wait_for("the request that jams", || (origin.act().requests().len() == 1).then_some(()));
        Self { rig, origin, gate, first }
    }

    /// One more request that waits.
    fn wait(&self, path: &str) -> Client {
        let before = self.queued();
        let mut client = self.rig.client();
        client.send(get(path));
        self.wait_for_queued(before + 1.0);
        client
    }

    fn queued(&self) -> f64 {
        self.rig.metric("plimsoll_queued", &["backend=\"node\""])
    }

    fn wait_for_queued(&self, count: f64) {
        wait_for("so many requests in the queue", || (self.queued() == count).then_some(()));
    }

    /// Nothing is left of anybody, and the place is free.
    fn end(self, clients: Vec<Client>) {
        let Self { rig, first, gate, .. } = self;
        gate.open();
        drop((first, clients));
        rig.wait_until_quiet();
        assert_eq!(rig.get("/after").text(), "/after");
        assert_eq!(rig.metric("plimsoll_queued", &[]), 0.0);
        assert_eq!(rig.total("panics_total"), 0);
    }
}

fn reason(answer: &Message) -> (u16, &str) {
    (answer.status(), answer.field("x-plimsoll-reason").unwrap_or(""))
}

site_cases! { on;
    fn no_node_gets_more_than_its_limit_and_everybody_is_served(driver) {
        let most = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let origins = most.each_ref().map(|most| busy(Duration::from_millis(3), most.clone()));
        let nodes = origins.each_ref().map(Origin::address);
        let rig = Rig::with(&limited(driver, &nodes, "max_connections: 3", "queue: {}", "workers: 2\n"));
        let traffic = Traffic::start(rig.balancer.address(), 24);
        traffic.wait_for_more(1500);
        assert_all_ok(&traffic.stop());
        for most in most {
            assert_eq!(most.load(SeqCst), 3);
        }
        assert!(rig.metric("plimsoll_queue_seconds_count", &["backend=\"node\""]) > 100.0);
        rig.wait_until_quiet();
        assert_eq!(rig.metric("plimsoll_queued", &[]), 0.0);
        assert!(rig.json("/api/v1/nodes").as_array().unwrap().iter().all(|node| node["in_flight"] == 0));
    }
    fn who_came_first_is_served_first(driver) {
        let jam = Jam::new(driver, "{}", 1);
        let mut clients: Vec<_> = (0..6).map(|n| jam.wait(&format!("/{n}"))).collect();
        jam.gate.open();
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("/{n}"));
        }
        // One place, one connection: the order in which the node saw them is the order of the queue.
        let seen: Vec<_> = jam.origin.act().requests().iter().map(|r| r.target().to_owned()).collect();
        assert_eq!(seen, ["/gate", "/0", "/1", "/2", "/3", "/4", "/5"]);
        jam.end(clients);
    }
    fn a_client_that_leaves_the_queue_gives_its_place_in_it_back(driver) {
        let jam = Jam::new(driver, "{ max: 2 }", 2);
        let leaves = jam.wait("/leaves");
        let mut stays = jam.wait("/stays");
        let began = Instant::now();
        let refused = jam.rig.get("/refused");
        assert_eq!(reason(&refused), (503, "queue_full"));
        assert!(refused.field("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        leaves.reset();
        jam.wait_for_queued(1.0);
        let mut late = jam.wait("/late");
        jam.gate.open();
        assert_eq!((stays.response().text(), late.response().text()), ("/stays".into(), "/late".into()));
        assert!(jam.origin.act().requests().iter().all(|request| request.target() != "/leaves"));
        jam.end(vec![stays, late]);
    }
    fn a_client_that_leaves_its_node_gives_the_place_to_the_next(driver) {
        let mut jam = Jam::new(driver, "{}", 2);
        let mut next = jam.wait("/next");
        std::mem::replace(&mut jam.first, jam.rig.client()).reset();
        assert_eq!(next.response().text(), "/next");
        jam.end(vec![next]);
    }
    fn a_wait_that_is_too_long_is_an_answer(driver) {
        let jam = Jam::new(driver, "{ timeout: 300ms }", 1);
        let began = Instant::now();
        let mut client = jam.rig.client();
        let answer = client.send(get("/late")).response();
        assert_eq!(reason(&answer), (503, "queue_timeout"));
        assert!(answer.field("retry-after").is_some());
        let took = began.elapsed();
        assert!((Duration::from_millis(250)..Duration::from_secs(3)).contains(&took), "{took:?}");
        // Its connection goes on.
        jam.gate.open();
        assert_eq!(client.send(get("/again")).response().text(), "/again");
        jam.end(vec![client]);
    }
    fn no_queue_refuses_at_once(driver) {
        let jam = Jam::new(driver, "{ max: 0 }", 1);
        assert_eq!(reason(&jam.rig.get("/")), (503, "queue_full"));
        jam.end(Vec::new());
    }
    fn a_tunnel_holds_its_place_until_it_ends(driver) {
        let origin = Origin::start(Arc::new(|c| {
            while let Some(request) = c.request() {
                if request.field("upgrade").is_none() {
                    c.send(ok("plain"));
                    continue;
                }
                c.tunnel();
                c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                c.rest();
                return;
            }
        }));
        let config = limited(driver, &[origin.address()], "max_connections: 1", "queue: {}", "workers: 2\n");
        let rig = Rig::with(&config);
        let mut tunnel = rig.client();
        tunnel.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        assert_eq!(tunnel.response().status(), 101);
        let mut waits = rig.client();
        waits.send(get("/"));
        wait_for("a request in the queue", || (rig.metric("plimsoll_queued", &[]) == 1.0).then_some(()));
        tunnel.reset();
        assert_eq!(waits.response().text(), "plain");
        rig.wait_until_quiet_but_for(waits);
    }
    fn a_dead_node_draws_in_nobody_who_waits(driver) {
        let (good, dead) = (busy(Duration::from_millis(5), Arc::default()), MortalNode::start("dead"));
        let nodes = [dead.address(), good.address()];
        dead.kill();
        let rig = Rig::with(&limited(driver, &nodes, "max_connections: 2", "queue: {}", "workers: 2\n"));
        let traffic = Traffic::start(rig.balancer.address(), 12);
        traffic.wait_for_more(600);
        assert_all_ok(&traffic.stop());
        // It is asked again from time to time, by one request.
        assert!(rig.json("/api/v1/nodes")[0]["errors_total"].as_u64() > Some(1));
        rig.wait_until_quiet();
    }
    fn a_retry_that_waits_goes_to_a_node_that_has_not_failed_it(driver) {
        let gate = Gate::default();
        let (good, bad) = (gated(&gate), Origin::start(answering(FAILED)));
        let keys = "queue: {}, retry: { budget: 100% }";
        let nodes = [good.address(), bad.address()];
        let rig = Rig::with(&limited(driver, &nodes, "max_connections: 1", keys, "workers: 1\n"));
        let mut jams = rig.client();
        jams.send(get("/gate"));
        wait_for("the request that jams", || (good.act().requests().len() == 1).then_some(()));
        let failed = bad.act().requests().len();
        let mut waits = rig.client();
        waits.send(get("/waits"));
        wait_for("the failure", || (bad.act().requests().len() > failed).then_some(()));
        // Its place is free all the time, and of no use.
        wait_for("a while in the queue", || {
            (rig.metric("plimsoll_queue_seconds_count", &["backend=\"node\""]) >= 4.0).then_some(())
        });
        gate.open();
        assert_eq!((waits.response().text(), bad.act().requests().len()), ("/waits".into(), failed + 1));
        drop(jams);
        rig.wait_until_quiet_but_for(waits);
    }
    fn who_waits_is_told_when_the_last_node_is_taken_out(driver) {
        let jam = Jam::new(driver, "{ timeout: 60s }", 2);
        let mut waits = jam.wait("/waits");
        let id = format!("/api/v1/nodes/node%2F{}", jam.origin.address().to_string().replace(':', "%3A"));
        jam.rig.order("PATCH", &id, r#"{"state":"drain"}"#);
        assert_eq!(reason(&waits.response()), (503, "no_healthy_node"));
        jam.rig.order("PATCH", &id, r#"{"state":"ready"}"#);
        jam.end(vec![waits]);
    }
    fn a_client_that_had_to_wait_gets_its_cookie(driver) {
        let jam = Jam::new(driver, "{}, sticky: { cookie: lb }", 1);
        let mut waits = jam.wait("/waits");
        jam.gate.open();
        assert!(waits.response().field("set-cookie").is_some_and(|cookie| cookie.starts_with("lb=")));
        jam.end(vec![waits]);
    }
    fn a_client_whose_node_is_full_goes_back_to_it(driver) {
        let gate = Gate::default();
        let origins = [gated(&gate), gated(&gate)];
        let nodes = origins.each_ref().map(Origin::address);
        let rig = Rig::with(&limited(driver, &nodes, "max_connections: 1", "sticky: { cookie: lb }", "workers: 1\n"));
        let first = rig.get("/first");
        let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let of = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {cookie}\r\n\r\n");
        let asked = |origin: &Origin| origin.act().requests().len();
        let own = usize::from(asked(&origins[0]) == 0);
        let mut jams = rig.client();
        jams.send(of("/gate"));
        wait_for("the request that jams", || (asked(&origins[own]) == 2).then_some(()));
        let elsewhere = rig.client().send(of("/elsewhere")).response();
        assert_eq!((elsewhere.status(), elsewhere.field("set-cookie")), (200, None));
        assert_eq!((asked(&origins[own]), asked(&origins[1 - own])), (2, 1));
        gate.open();
        assert_eq!(jams.response().status(), 200);
        assert_eq!(rig.client().send(of("/back")).response().status(), 200);
        assert_eq!((asked(&origins[own]), asked(&origins[1 - own])), (3, 1));
        rig.wait_until_quiet_but_for(jams);
    }
    fn a_storm_of_all_ends_leaves_every_place_free(driver) {
        let most = Arc::new(AtomicUsize::new(0));
        let origin = busy(Duration::from_millis(2), most.clone());
        let keys = "queue: { max: 20, timeout: 300ms }";
        let rig = Rig::with(&limited(driver, &[origin.address()], "max_connections: 2", keys, "workers: 2\n"));
        std::thread::scope(|scope| {
            for thread in 0..12 {
                let rig = &rig;
                scope.spawn(move || {
                    for n in 0..60 {
                        let mut client = rig.client();
                        client.send(get("/"));
                        match (n + thread) % 4 {
                            0 => client.reset(),
                            1 => drop(client),
                            2 => client.finish(),
                            _ => {
                                client.response();
                            }
                        }
                    }
                });
            }
        });
        rig.wait_until_quiet();
        assert!(most.load(SeqCst) <= 2 + 2, "a node may not have noticed yet that its client is gone");
        assert_eq!(rig.metric("plimsoll_queued", &[]), 0.0);
        assert_eq!(rig.get("/").text(), "served");
        assert_eq!(rig.total("panics_total"), 0);
    }
}
