//! Requests on two nodes at once: what that saves, what is never sent twice, and what is left when it is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::harness::balancer::Driver;
use crate::harness::client::Client;
use crate::harness::gate::Gate;
use crate::harness::message::Message;
use crate::harness::origin::{Origin, Script, answering, ok};
use crate::harness::site::site_cases;
use crate::rig::{Rig, get, limited, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok, p99};

/// How long a node stands still now and then.
const STALL: Duration = Duration::from_secs(1);

fn rig(driver: Driver, origins: &[&Origin], keys: &str) -> Rig {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
    Rig::with(&limited(driver, &addresses, "weight: 1", keys, "workers: 1\n"))
}

/// A node that stands still at every fortieth request: too few to move the 95th percentile.
fn stalling() -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(Arc::new(move |c| {
        while c.request().is_some() {
            // It is what is under test, and nothing waits for it.
            if asked.fetch_add(1, SeqCst) % 40 == 39 {
                std::thread::sleep(STALL);
            }
            c.send(ok("stalling"));
        }
    }))
}

/// Answers at once; a request for anything below `/x` by `special`.
fn apart(special: impl Fn(&mut crate::harness::origin::OriginConnection) + Send + Sync + 'static) -> Script {
    Arc::new(move |c| {
        while let Some(request) = c.request() {
            if request.target().starts_with("/x") { special(c) } else { _ = c.send(ok("quick")) }
        }
    })
}

/// How many requests for something below `/x` a node has got.
fn asked(origin: &Origin) -> usize {
    origin.act().requests().iter().filter(|request| request.target().starts_with("/x")).count()
}

/// Lets a balancer find out how long its nodes take, and gives what it counted meanwhile: on a busy machine some of these
/// requests are hedged themselves.
fn measure(rig: &Rig) -> Counts {
    let mut client = rig.client();
    for _ in 0..200 {
        assert_eq!(client.send(get("/")).response().status(), 200);
    }
    drop(client);
    rig.wait_until_quiet();
    Counts::of(rig)
}

/// Requests that were sent to a second node.
#[derive(Clone, Copy)]
struct Counts {
    hedges: u64,
    won: u64,
}

impl Counts {
    fn of(rig: &Rig) -> Self {
        Self { hedges: rig.total("hedges_total"), won: rig.total("hedges_won_total") }
    }

    /// (Hedges, those that won) since then.
    fn since(self, rig: &Rig) -> (u64, u64) {
        let now = Self::of(rig);
        (now.hedges - self.hedges, now.won - self.won)
    }
}

/// A request on a connection and a thread of its own.
fn ask(address: SocketAddr, request: &str) -> JoinHandle<Message> {
    let request = request.to_owned();
    std::thread::spawn(move || Client::connect(address, "hedge.test").send(request).response())
}

fn node(rig: &Rig, origin: &Origin) -> Value {
    let address = origin.address().to_string();
    let nodes = rig.json("/api/v1/nodes");
    nodes.as_array().unwrap().iter().find(|node| node["address"] == *address).unwrap().clone()
}

site_cases! { on;
    fn nodes_that_stand_still_now_and_then_cost_their_clients_little(driver) {
        let run = |keys: &str| {
            let origins = [stalling(), stalling(), stalling()];
            let rig = rig(driver, &origins.iter().collect::<Vec<_>>(), keys);
            measure(&rig);
            let traffic = Traffic::start(rig.balancer.address(), 4);
            traffic.wait_for_more(1200);
            let outcomes = traffic.stop();
            assert_all_ok(&outcomes);
            // Losers are let go of: nothing is counted twice, or for ever.
            rig.wait_until_quiet();
            let sent: usize = origins.iter().map(|origin| origin.act().requests().len()).sum();
            let requests = outcomes.len() + 200;
            assert_eq!(rig.total("requests_total"), requests as u64);
            let hedges = rig.total("hedges_total");
            // A second request that is let go while it is on its way may never be read.
            assert!((requests..=requests + hedges as usize).contains(&sent), "{sent} of {requests} and {hedges}");
            assert!(hedges <= 3 + requests as u64 / 5, "{hedges} of {requests}");
            assert_eq!(rig.metric("plimsoll_hedges_won_total", &[]), rig.total("hedges_won_total") as f64);
            (p99(&outcomes), hedges, rig.total("hedges_won_total"))
        };
        let (without, none, _) = run("strategy: round_robin");
        let (with, hedges, won) = run("strategy: round_robin, hedge: {}");
        assert!(without >= STALL && none == 0, "{without:?}, {none}");
        assert!(with < STALL / 2, "p99 {with:?}, without {without:?}");
        assert!(won >= 10 && won <= hedges, "{won} of {hedges}");
    }
    fn what_may_do_harm_twice_is_on_one_node(driver) {
        let gate = Gate::default();
        let hangs = || {
            let gate = gate.clone();
            Origin::start(apart(move |c| { gate.pass(); c.send(ok("late")); }))
        };
        let origins = [hangs(), hangs()];
        let rig = rig(driver, &[&origins[0], &origins[1]], "hedge: { after: p90 }");
        let before = measure(&rig);
        let all = || asked(&origins[0]) + asked(&origins[1]);
        let mut waiting = Vec::new();
        for (number, request) in [
            "POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n",
            "PUT /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi",
            "PATCH /x HTTP/1.1\r\nHost: {host}\r\n\r\n",
        ].into_iter().enumerate() {
            waiting.push(ask(rig.balancer.address(), request));
            wait_for("the request", || (all() == number + 1).then_some(()));
        }
        // They have waited for longer than one that is hedged at last.
        waiting.push(ask(rig.balancer.address(), &get("/x")));
        wait_for("the hedge", || (rig.total("in_flight") == 5).then_some(()));
        wait_for("its arrival", || (all() == 5).then_some(()));
        gate.open();
        assert!(waiting.into_iter().all(|answer| answer.join().unwrap().text() == "late"));
        rig.wait_until_quiet();
        assert_eq!(before.since(&rig).0, 1);
        assert_eq!(all(), 5);
    }
    fn a_second_node_that_fails_wins_nothing(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let first = Origin::start(apart(move |c| { wait.pass(); c.send(ok("first")); }));
        let second = Origin::start(apart(|c| { c.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"); }));
        let rig = rig(driver, &[&first, &second], "strategy: first, hedge: {}");
        let before = measure(&rig);
        let answer = ask(rig.balancer.address(), &get("/x"));
        wait_for("the second node's failure", || (node(&rig, &second)["errors_total"] == 1).then_some(()));
        assert_eq!(node(&rig, &second)["in_flight"], 0);
        gate.open();
        let answer = answer.join().unwrap();
        assert_eq!((answer.status(), &*answer.text()), (200, "first"));
        rig.wait_until_quiet();
        assert_eq!(before.since(&rig), (1, 0));
        assert_eq!((node(&rig, &first)["errors_total"].as_u64(), asked(&second)), (Some(0), 1));
    }
    fn a_first_node_that_fails_leaves_it_to_the_second(driver) {
        let (both, gone) = (Gate::default(), Gate::default());
        let (wait, closes) = (both.clone(), gone.clone());
        let first = Origin::start(apart(move |c| { wait.pass(); c.finish(); }));
        let second = Origin::start(apart(move |c| { closes.pass(); c.send(ok("second")); }));
        let rig = rig(driver, &[&first, &second], "strategy: first, hedge: {}");
        let before = measure(&rig);
        let answer = ask(rig.balancer.address(), &get("/x"));
        wait_for("the second node's part", || (asked(&second) == 1).then_some(()));
        both.open();
        // The balancer has seen it: what follows is the second's alone.
        first.act().wait("the end of it", |seen| seen.iter().any(|seen| seen.requests.iter().any(|r| r.target() == "/x")).then_some(()));
        gone.open();
        assert_eq!(answer.join().unwrap().text(), "second");
        rig.wait_until_quiet();
        assert_eq!((before.since(&rig).1, rig.total("retries_total")), (1, 0));
    }
    fn the_loser_is_let_go_at_once(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let first = Origin::start(apart(move |_| wait.pass()));
        let second = Origin::start(apart(|c| { c.send(ok("second")); }));
        let rig = rig(driver, &[&first, &second], "strategy: first, hedge: {}");
        let before = measure(&rig);
        let mut client = rig.client();
        assert_eq!(client.send(get("/x")).response().text(), "second");
        // The first still sits there; nobody waits for it.
        wait_for("nothing in flight", || (rig.total("in_flight") == 0).then_some(()));
        assert_eq!(client.send(get("/x")).response().text(), "second", "the connection goes on");
        drop(client);
        rig.wait_until_quiet();
        assert_eq!((before.since(&rig).1, node(&rig, &first)["errors_total"].as_u64()), (2, Some(0)));
        gate.open();
    }
    fn a_client_that_leaves_ends_both(driver) {
        let gate = Gate::default();
        let hangs = || {
            let gate = gate.clone();
            Origin::start(apart(move |_| gate.pass()))
        };
        let origins = [hangs(), hangs()];
        let rig = rig(driver, &[&origins[0], &origins[1]], "hedge: {}");
        let before = measure(&rig);
        let mut client = rig.client();
        client.send(get("/x"));
        wait_for("both", || (rig.total("in_flight") == 2).then_some(()));
        client.reset();
        rig.wait_until_quiet();
        assert_eq!(before.since(&rig), (1, 0));
        gate.open();
    }
    fn one_that_is_taken_down_leaves_it_to_the_other(driver) {
        for (down, answers) in [(0, "second"), (1, "first")] {
            let gate = Gate::default();
            let hangs = |name: &'static str| {
                let gate = gate.clone();
                Origin::start(apart(move |c| { gate.pass(); c.send(ok(name)); }))
            };
            let origins = [hangs("first"), hangs("second")];
            let rig = rig(driver, &[&origins[0], &origins[1]], "strategy: first, hedge: {}, panic_threshold: 0%");
            measure(&rig);
            let answer = ask(rig.balancer.address(), &get("/x"));
            wait_for("both", || (asked(&origins[0]) + asked(&origins[1]) == 2).then_some(()));
            let id = node(&rig, &origins[down])["id"].as_str().unwrap().replace('/', "%2F");
            rig.order("PATCH", &format!("/api/v1/nodes/{id}"), r#"{"state":"down"}"#);
            wait_for("its end there", || (node(&rig, &origins[down])["in_flight"] == 0).then_some(()));
            gate.open();
            assert_eq!(answer.join().unwrap().text(), answers);
            rig.wait_until_quiet();
            assert_eq!(rig.total("retries_total"), 0);
        }
    }
    fn with_a_node_out_there_is_none(driver) {
        let bad = Origin::start(answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"));
        let origins = [stalling(), stalling()];
        let keys = "outlier: { consecutive_failures: 2, ejection: 60s }, hedge: {}";
        let rig = rig(driver, &[&origins[0], &origins[1], &bad], keys);
        wait_for("the ejection", || {
            let _ = rig.get("/");
            (node(&rig, &bad)["state"] == "ejected").then_some(())
        });
        let traffic = Traffic::start(rig.balancer.address(), 4);
        traffic.wait_for_more(400);
        let outcomes = traffic.stop();
        assert_all_ok(&outcomes);
        assert!(outcomes.iter().any(|outcome| outcome.took >= STALL), "there was something to hedge");
        assert_eq!(rig.total("hedges_total"), 0);
    }
}
