//! Limits of routes: requests in time, and requests in flight; exact with several workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::harness::balancer::Driver;
use crate::harness::gate::Gate;
use crate::harness::message::Message;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::rig::{Rig, get, on, wait_for};
use crate::traffic::Traffic;

/// Fifty at once, then one an hour: what passes in a test is the burst.
const FIFTY: &str = "requests: 1, per: 1h, burst: 49";

fn rig(driver: Driver, origin: &Origin, route: &str, settings: &str) -> Rig {
    let (common, node) = (common(driver), origin.address());
    Rig::with(&format!(
        "{common}{LISTENER}{settings}workers: 2\nroutes: [{{ path: /*, backend: node, {route} }}, {{ path: /free/*, backend: node }}]\n\
         backends: {{ node: {{ servers: [{{ url: \"http://{node}\" }}] }} }}\n"
    ))
}

fn limited(driver: Driver, key: &str, settings: &str) -> (Rig, Origin) {
    let origin = Origin::start(answering(ok("hi")));
    (rig(driver, &origin, &format!("rate_limit: {{ {FIFTY}, key: \"{key}\" }}"), settings), origin)
}

fn passes(answer: &Message) -> bool {
    if answer.status() == 200 {
        return true;
    }
    assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (429, Some("rate_limited")));
    // Until the next one an hour passes.
    let seconds: u32 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "{seconds}");
    false
}

/// How many of a hundred such requests on one connection pass.
fn passed(rig: &Rig, field: impl Fn(usize) -> String) -> usize {
    let mut client = rig.client();
    (0..100)
        .filter(|&n| {
            let request = format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n\r\n", field(n));
            passes(&client.send(request).response())
        })
        .count()
}

site_cases! { on;
    fn as_many_as_the_limit_says_and_not_one_more(driver) {
        let (rig, origin) = limited(driver, "client_ip", "");
        let traffic = Traffic::start(rig.balancer.address(), 8);
        traffic.wait_for_more(400);
        let outcomes = traffic.stop();
        let count = outcomes.iter().filter(|outcome| outcome.status == 200).count();
        assert_eq!(count, 50);
        assert_eq!(origin.act().requests().len(), 50);
        assert!(outcomes.iter().all(|o| o.status == 200 || (o.status, &*o.reason) == (429, "rate_limited")));
        let refused = (outcomes.len() - 50) as f64;
        assert_eq!(rig.metric("plimsoll_rate_limited_total", &[]), refused);
        // Other routes are not concerned.
        assert_eq!(rig.get("/free/x").status(), 200);
        rig.wait_until_quiet();
    }
    fn each_value_of_a_field_has_a_limit_and_those_without_share_one(driver) {
        let (rig, _origin) = limited(driver, "header:x-key", "");
        assert_eq!(passed(&rig, |_| "X-Key: one".into()), 50);
        assert_eq!(passed(&rig, |_| "x-key: two".into()), 50);
        assert_eq!(passed(&rig, |_| "x-other: one".into()), 50);
        assert_eq!(passed(&rig, |n| format!("x-key: {n}")), 100);
    }
    fn a_route_has_one_limit_for_all(driver) {
        let (rig, _origin) = limited(driver, "route", "");
        assert_eq!(passed(&rig, |n| format!("x-key: {n}")), 50);
    }
    fn what_a_client_says_of_itself_is_not_believed(driver) {
        let (rig, _origin) = limited(driver, "client_ip", "");
        assert_eq!(passed(&rig, |n| format!("X-Forwarded-For: 10.0.0.{n}")), 50);
    }
    fn what_a_trusted_proxy_says_of_its_client_is(driver) {
        let (rig, _origin) = limited(driver, "client_ip", "trusted_proxies: [127.0.0.0/8]\n");
        assert_eq!(passed(&rig, |n| format!("X-Forwarded-For: 6.6.6.{n}, 10.0.0.1, 127.0.0.9")), 50);
        assert_eq!(passed(&rig, |n| format!("X-Forwarded-For: 10.1.0.{n}")), 100);
        // All addresses of one IPv6 network are one client.
        assert_eq!(passed(&rig, |n| format!("X-Forwarded-For: 2001:db8::{n}")), 50);
    }
    fn a_flood_of_keys_keeps_memory_where_it_is(driver) {
        let (rig, _origin) = limited(driver, "header:x-key", "");
        let mut client = rig.client();
        for n in 0..3000 {
            client.send(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-Key: {n}\r\n\r\n"));
            assert_eq!(client.response().status(), 200);
        }
        assert_eq!(passed(&rig, |_| "X-Key: fresh".into()), 50);
    }
    fn so_many_in_flight_and_no_more(driver) {
        let gate = Gate::default();
        let wait = gate.clone();
        let arrived = Arc::new(AtomicUsize::new(0));
        let count = arrived.clone();
        let origin = Origin::start(Arc::new(move |c| {
            while c.request().is_some() {
                count.fetch_add(1, SeqCst);
                wait.pass();
                c.send(ok("hi"));
            }
        }));
        let rig = rig(driver, &origin, "max_in_flight: 3", "");
        let mut clients: Vec<_> = (0..3).map(|_| rig.client()).collect();
        clients.iter_mut().for_each(|client| { client.send(get("/")); });
        wait_for("three in flight", || (arrived.load(SeqCst) == 3).then_some(()));
        let refused = rig.get("/");
        assert_eq!((refused.status(), refused.field("x-plimsoll-reason")), (503, Some("route_full")));
        assert!(refused.field("retry-after").is_some());
        // One leaves: its place is another's.
        clients.pop().unwrap().reset();
        wait_for("its end", || (rig.total("in_flight") == 2).then_some(()));
        let mut next = rig.client();
        next.send(get("/"));
        wait_for("the next", || (arrived.load(SeqCst) == 4).then_some(()));
        assert_eq!(rig.get("/").status(), 503);
        gate.open();
        clients.push(next);
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status(), 200));
        drop(clients);
        rig.wait_until_quiet();
        assert_eq!(rig.get("/").status(), 200);
    }
}
