//! Retries: what they save, what they never do, and how many there are when nothing helps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::balancer::Driver;
use crate::harness::gate::Gate;
use crate::harness::origin::{Origin, Script, answering, ok};
use crate::harness::site::site_cases;
use crate::mortal::MortalNode;
use crate::rig::{Rig, get, limited, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

const FAILED: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nmine";

fn rig(driver: Driver, nodes: &[SocketAddr], retry: &str, settings: &str) -> Rig {
    Rig::with(&limited(driver, nodes, "weight: 1", &format!("retry: {retry}"), settings))
}

fn addresses(origins: &[&Origin]) -> Vec<SocketAddr> {
    origins.iter().map(|origin| origin.address()).collect()
}

/// Reads a request and its body, then does nothing but close.
fn silent() -> Script {
    Arc::new(|c| {
        c.request();
    })
}

site_cases! { on;
    fn a_node_that_is_killed_under_load_costs_no_client_anything(driver) {
        let (survivor, victim) = (Origin::start(answering(ok("survivor"))), MortalNode::start("victim"));
        let rig = rig(driver, &[survivor.address(), victim.address()], "{}", "workers: 2\n");
        let traffic = Traffic::start(rig.balancer.address(), 8);
        traffic.wait_for_more(300);
        victim.kill();
        traffic.wait_for_more(600);
        let outcomes = traffic.stop();
        assert_all_ok(&outcomes);
        assert!(outcomes.iter().any(|outcome| outcome.body == "victim"), "the victim had no part in it");
        assert!(rig.total("retries_total") > 0);
        rig.wait_until_quiet();
    }
    fn with_every_node_failing_attempts_stay_within_the_budget(driver) {
        let origins: Vec<_> = (0..3).map(|_| Origin::start(answering(FAILED))).collect();
        let nodes = addresses(&origins.iter().collect::<Vec<_>>());
        let rig = rig(driver, &nodes, "{ attempts: 5 }", "workers: 2\n");
        let traffic = Traffic::start(rig.balancer.address(), 4);
        traffic.wait_for_more(600);
        let outcomes = traffic.stop();
        assert!(outcomes.iter().all(|outcome| outcome.status == 503 && outcome.body == "mine"), "the node's own answer");
        let requests = outcomes.len();
        let attempts: usize = origins.iter().map(|origin| origin.act().requests().len()).sum();
        assert!(attempts > requests, "nothing was tried again");
        // A share of the requests of both workers together, and three in each window.
        let windows = 3 * 2;
        assert!(attempts <= requests * 12 / 10 + windows, "{attempts} attempts at {requests} requests");
        assert_eq!(rig.total("retries_total"), (attempts - requests) as u64);
    }
    fn with_every_node_dead_there_is_no_storm_of_connections(driver) {
        let nodes: Vec<_> = (0..4).map(|_| MortalNode::start("dead")).collect();
        let addresses: Vec<_> = nodes.iter().map(MortalNode::address).collect();
        nodes.into_iter().for_each(MortalNode::kill);
        let rig = rig(driver, &addresses, "{}", "workers: 1\n");
        let mut client = rig.client();
        for _ in 0..200 {
            let answer = client.send(get("/")).response();
            assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("connect_failed")));
        }
        let retries = rig.total("retries_total");
        assert!(retries <= 200 / 5 + 2 * 3, "{retries}");
        rig.wait_until_quiet_but_for(client);
    }
    fn a_failure_is_asked_of_another_node(driver) {
        let (bad, good) = (Origin::start(answering(FAILED)), Origin::start(answering(ok("good"))));
        let rig = rig(driver, &addresses(&[&bad, &good]), "{ budget: 100% }", "workers: 1\n");
        let mut client = rig.client();
        for _ in 0..40 {
            assert_eq!(client.send(get("/")).response().text(), "good");
        }
        let asked = bad.act().requests().len();
        assert!(asked >= 15, "{asked}");
        // Its connection is as good as before, and was used again.
        assert_eq!(bad.act().seen().len(), 1);
        assert_eq!(rig.total("retries_total"), asked as u64);
        assert_eq!(rig.json("/api/v1/nodes")[0]["errors_total"], asked);
        rig.wait_until_quiet_but_for(client);
    }
    fn a_node_that_closes_every_connection_at_its_second_request_is_not_asked_twice_each_time(driver) {
        let once = Origin::start(Arc::new(|c| {
            c.request();
            c.send(ok("once"));
            c.request();
        }));
        let rig = rig(driver, &[once.address()], "{}", "workers: 1\n");
        let mut client = rig.client();
        for _ in 0..200 {
            assert_eq!(client.send(get("/")).response().text(), "once");
        }
        let asked = once.act().requests().len();
        assert!((201..=220).contains(&asked), "{asked} attempts at 200 requests");
        rig.wait_until_quiet_but_for(client);
    }
    fn without_another_node_the_answer_is_the_nodes_own(driver) {
        let bad = Origin::start(answering(FAILED));
        let rig = rig(driver, &[bad.address()], "{}", "workers: 1\n");
        let answer = rig.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (503, "mine"));
        assert_eq!(bad.act().requests().len(), 1);
    }
    fn a_status_that_is_not_named_is_passed_on(driver) {
        let failed = FAILED.replace("503 Service Unavailable", "500 Internal Server Error");
        let origins = [Origin::start(answering(&failed)), Origin::start(answering(&failed))];
        let rig = rig(driver, &addresses(&[&origins[0], &origins[1]]), "{}", "workers: 1\n");
        assert_eq!(rig.get("/").status(), 500);
        assert_eq!(origins.iter().map(|origin| origin.act().requests().len()).sum::<usize>(), 1);
    }
    fn what_may_do_harm_twice_is_sent_once(driver) {
        let origins = [Origin::start(silent()), Origin::start(silent())];
        let rig = rig(driver, &addresses(&[&origins[0], &origins[1]]), "{ attempts: 5 }", "workers: 1\n");
        let post = "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi";
        let answer = rig.client().send(post).response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("node_closed")));
        let sent = || origins.iter().map(|origin| origin.act().requests().len()).sum::<usize>();
        assert_eq!(sent(), 1);
        // A GET goes to each of them.
        assert_eq!(rig.get("/").status(), 502);
        assert_eq!(sent(), 3);
    }
    fn a_body_that_is_at_hand_is_sent_again_whole(driver) {
        let (bad, good) = (Origin::start(silent()), Origin::start(crate::harness::origin::answering(ok("good"))));
        let rig = rig(driver, &addresses(&[&bad, &good]), "{}", "workers: 1\n");
        let put = "PUT /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nwhole";
        for _ in 0..2 {
            assert_eq!(rig.client().send(put).response().text(), "good");
        }
        let (one, other) = (bad.act().requests(), good.act().requests());
        assert_eq!((one.len(), other.len()), (1, 2));
        assert!(one.iter().chain(&other).all(|request| request.text() == "whole"));
    }
    fn a_node_that_hangs_costs_one_timeout(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let hangs = Origin::start(Arc::new(move |c| {
            c.request();
            wait.pass();
        }));
        let good = Origin::start(answering(ok("good")));
        let settings = "workers: 1\ntimeouts: { response_head: 300ms }\n";
        let rig = rig(driver, &addresses(&[&hangs, &good]), "{}", settings);
        let times: Vec<_> = (0..2).map(|_| {
            let began = Instant::now();
            assert_eq!(rig.get("/").text(), "good");
            began.elapsed()
        }).collect();
        let longest = times.into_iter().max().unwrap();
        assert!((Duration::from_millis(250)..Duration::from_secs(3)).contains(&longest), "{longest:?}");
        gate.open();
    }
    fn an_exchange_that_has_begun_is_not_begun_again(driver) {
        // An interim response has gone to the client; then the node breaks off.
        let origins: Vec<_> = (0..2).map(|_| Origin::start(Arc::new(|c| {
            c.request();
            c.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }))).collect();
        let rig = rig(driver, &addresses(&[&origins[0], &origins[1]]), "{}", "workers: 1\n");
        assert_eq!(rig.get("/").status(), 502);
        assert_eq!(origins.iter().map(|origin| origin.act().requests().len()).sum::<usize>(), 1);
    }
    fn the_client_that_leaves_ends_it(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let hangs = Origin::start(Arc::new(move |c| {
            c.request();
            wait.pass();
        }));
        let rig = rig(driver, &[hangs.address()], "{}", "workers: 1\n");
        let mut client = rig.client();
        client.send(get("/"));
        wait_for("the request", || (hangs.act().requests().len() == 1).then_some(()));
        client.reset();
        rig.wait_until_quiet();
        assert_eq!(rig.total("retries_total"), 0);
        gate.open();
    }
}
