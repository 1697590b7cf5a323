//! The admin API's numbers are exact: what was sent is what is counted.

use crate::harness::gate::Gate;
use crate::harness::origin::{Origin, OriginConnection, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::common;
use crate::rig::{Rig, backend, get, on};
use crate::traffic::{Traffic, assert_all_ok};

/// Answers with the status that the path says.
fn by_path(c: &mut OriginConnection) {
    while let Some(request) = c.request() {
        let status = request.target().trim_start_matches('/').split('/').next().unwrap_or("").to_owned();
        let status = if status.is_empty() { "200" } else { &status };
        c.send(ok("hello").replacen("200", status, 1));
    }
}

fn rig(driver: crate::harness::balancer::Driver) -> (Rig, Origin) {
    let origin = Origin::start(std::sync::Arc::new(by_path));
    let rig = Rig::start(driver, &[&origin], "workers: 2\n");
    (rig, origin)
}

site_cases! { on;
    fn every_request_is_counted_once(driver) {
        let (rig, origin) = rig(driver);
        let traffic = Traffic::start(rig.balancer.address(), 8);
        traffic.wait_for_more(500);
        let outcomes = traffic.stop();
        assert_all_ok(&outcomes);
        let sent = outcomes.len() as u64;
        assert_eq!(origin.act().requests().len() as u64, sent);
        assert_eq!(rig.total("requests_total"), sent);
        let labels = ["listener=\"web\"", "backend=\"node\""];
        assert_eq!(rig.metric("plimsoll_requests_total", &labels), sent as f64);
        assert_eq!(rig.metric("plimsoll_requests_total", &["code=\"200\""]), sent as f64);
        assert_eq!(rig.metric("plimsoll_request_duration_seconds_count", &labels), sent as f64);
        assert_eq!(rig.metric("plimsoll_request_duration_seconds_bucket", &["le=\"+Inf\""]), sent as f64);
        let nodes = rig.json("/api/v1/nodes");
        assert_eq!(nodes[0]["requests_total"], sent);
        assert_eq!((&nodes[0]["errors_total"], &nodes[0]["in_flight"]), (&0.into(), &0.into()));
        assert_eq!(rig.json("/api/v1/routes")[0]["requests_total"], sent);
        let listener = rig.json("/api/v1/listeners");
        assert_eq!((&listener[0]["requests_total"], &listener[0]["connections_total"]), (&sent.into(), &8.into()));
        rig.wait_until_quiet();
    }
    fn statuses_are_told_apart(driver) {
        let (rig, _origin) = rig(driver);
        let mut client = rig.client();
        for (status, count) in [(200, 5), (404, 3), (301, 2), (500, 4), (503, 1)] {
            for _ in 0..count {
                assert_eq!(client.send(get(&format!("/{status}"))).response().status(), status);
            }
        }
        // Refused before any route: counted, too.
        assert_eq!(client.send("GET / HTTP/1.1\r\n\r\n").response().status(), 400);
        for (code, count) in [("200", 5.0), ("404", 3.0), ("301", 2.0), ("500", 4.0), ("503", 1.0), ("400", 1.0)] {
            assert_eq!(rig.metric("plimsoll_requests_total", &[&format!("code=\"{code}\"")]), count, "{code}");
        }
        let totals = &rig.json("/api/v1/status")["totals"];
        assert_eq!((&totals["requests_total"], &totals["errors_total"]), (&16.into(), &5.into()), "{totals}");
        let responses = &totals["responses"];
        assert_eq!((&responses["2xx"], &responses["3xx"], &responses["4xx"], &responses["5xx"]), (&5.into(), &2.into(), &4.into(), &5.into()));
        assert_eq!(rig.json("/api/v1/nodes")[0]["errors_total"], 5);
    }
    fn gauges_are_of_this_moment(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = Origin::start(std::sync::Arc::new(move |c| while c.request().is_some() {
            wait.pass();
            c.send(ok("hi"));
        }));
        let rig = Rig::start(driver, &[&origin], "workers: 2\n");
        let mut clients: Vec<_> = (0..7).map(|_| rig.client()).collect();
        clients.iter_mut().for_each(|client| { client.send(get("/")); });
        origin.act().wait("seven requests", |seen| (seen.iter().map(|s| s.requests.len()).sum::<usize>() == 7).then_some(()));
        assert_eq!((rig.total("in_flight"), rig.total("connections"), rig.total("requests_total")), (7, 7, 0));
        assert_eq!(rig.metric("plimsoll_in_flight", &["backend=\"node\""]), 7.0);
        assert_eq!(rig.metric("plimsoll_connections", &["listener=\"web\""]), 7.0);
        gate.open();
        clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "hi"));
        drop(clients);
        rig.wait_until_quiet();
        assert_eq!(rig.total("requests_total"), 7);
    }
    fn listeners_and_routes_have_numbers_of_their_own(driver) {
        let origin = Origin::start(std::sync::Arc::new(by_path));
        let config = format!(
            "{}listeners: {{ one: {{ bind: \"127.0.0.1:0\" }}, two: {{ bind: \"127.0.0.1:0\" }} }}\n{}",
            common(driver),
            backend(&[origin.address()])
        );
        let rig = Rig::with(&config);
        for (listener, count) in [("one", 3), ("two", 5)] {
            let mut client = crate::harness::client::Client::connect(rig.balancer.listener(listener), "a.test");
            for _ in 0..count {
                assert_eq!(client.send(get("/")).response().status(), 200);
            }
        }
        assert_eq!(rig.metric("plimsoll_requests_total", &["listener=\"one\""]), 3.0);
        assert_eq!(rig.metric("plimsoll_requests_total", &["listener=\"two\""]), 5.0);
        assert_eq!(rig.total("requests_total"), 8);
    }
    fn retries_and_bytes_are_counted(driver) {
        let origin = Origin::start(std::sync::Arc::new(|c| {
            // The first connection dies on its second request.
            let lives = if c.number() == 0 { 1 } else { usize::MAX };
            for _ in 0..lives {
                if c.request().is_none() { return; }
                c.send(ok(&"x".repeat(1000)));
            }
            c.head();
        }));
        let rig = Rig::start(driver, &[&origin], "workers: 1\n");
        for _ in 0..3 {
            assert_eq!(rig.get("/").status(), 200);
        }
        assert_eq!((rig.total("retries_total"), rig.total("requests_total")), (1, 3));
        let out = rig.total("bytes_out_total");
        assert!((3000..5000).contains(&out), "{out} bytes of three responses of 1,000");
    }
}
