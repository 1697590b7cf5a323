//! TERM: what is in flight finishes, what is idle closes, nobody new comes in, and the process ends with 0.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::client::Client;
use crate::harness::gate::Gate;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::rig::{Rig, get, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// Well below any grace that a test gives, and above what a busy machine needs to end a process.
const SOON: Duration = Duration::from_secs(5);

/// An origin that answers once the gate is open; `/quick` at once.
fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(std::sync::Arc::new(move |c| {
        while let Some(request) = c.request() {
            if request.target() != "/quick" {
                gate.pass();
            }
            c.send(ok("done"));
        }
    }))
}

/// A client whose request has reached the origin.
fn in_flight(rig: &Rig, origin: &Origin) -> Client {
    let mut client = rig.client();
    client.send(get("/slow"));
    origin.act().wait("the request", |seen| {
        seen.iter().flat_map(|s| &s.requests).any(|r| r.target() == "/slow").then_some(())
    });
    client
}

#[track_caller]
fn wait_until_refusing(rig: &Rig) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(rig.balancer.address()).is_ok() {
        assert!(Instant::now() < deadline, "it still accepts\n{}", rig.balancer.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
}

site_cases! { on;
    fn what_is_in_flight_finishes(driver) {
        let gate = Gate::default();
        let origin = gated(&gate);
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        let mut client = in_flight(&rig, &origin);
        rig.balancer.signal("TERM");
        wait_until_refusing(&rig);
        assert!(rig.balancer.is_alive(), "it ended with a request in flight");
        gate.open();
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (200, "done".into()));
        assert!(answer.lists("connection", "close"), "a client of a draining balancer is sent elsewhere: {answer:?}");
        client.closed();
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
    fn int_drains_too(driver) {
        let gate = Gate::default();
        let origin = gated(&gate);
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        let mut client = in_flight(&rig, &origin);
        rig.balancer.signal("INT");
        wait_until_refusing(&rig);
        gate.open();
        assert_eq!(client.response().text(), "done");
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
    fn an_upload_in_flight_finishes(driver) {
        let origin = Origin::start(answering(ok("got it")));
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        let mut client = rig.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nhello");
        origin.act().wait("half a body", |seen| seen.iter().any(|s| s.bytes.ends_with(b"hello")).then_some(()));
        rig.balancer.signal("TERM");
        wait_until_refusing(&rig);
        client.send("world");
        assert_eq!(client.response().text(), "got it");
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
    fn what_is_idle_closes_without_a_word(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        let mut silent = rig.client();
        let mut kept: Vec<_> = (0..20).map(|_| rig.client()).collect();
        for client in &mut kept {
            assert_eq!(client.send(get("/")).response().status(), 200);
        }
        rig.balancer.signal("TERM");
        kept.iter_mut().for_each(Client::closed);
        silent.closed();
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
    fn what_is_parked_closes_and_a_parked_head_is_finished(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "grace: 60s\ntimeouts: { client_head: 60s }\n");
        let mut idle = rig.client();
        let mut begun = rig.client();
        assert_eq!(idle.send(get("/")).response().status(), 200);
        begun.send("GET /begun HTTP/1.1\r\nHo");
        // Beyond the hot window, a connection without traffic is parked: nothing outside shows when.
        std::thread::sleep(Duration::from_millis(1300));
        rig.balancer.signal("TERM");
        idle.closed();
        wait_until_refusing(&rig);
        begun.send("st: {host}\r\n\r\n");
        assert_eq!(begun.response().text(), "hi");
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
    fn nobody_is_cut_under_load(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "grace: 60s\nworkers: 2\n");
        // Each sends its next request only after `Connection: close` did not forbid it: none may be lost.
        let mut clients: Vec<_> = (0..16).map(|_| rig.client()).collect();
        for _ in 0..20 {
            for client in &mut clients {
                assert_eq!(client.send(get("/")).response().status(), 200);
            }
        }
        clients.iter_mut().for_each(|client| { client.send(get("/")); });
        rig.balancer.signal("TERM");
        for client in &mut clients {
            // A request that was read before the signal is answered; one that was still in the socket is, too.
            assert_eq!(client.response().text(), "hi");
            client.closed();
        }
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
    fn a_second_signal_cuts(driver) {
        let gate = Gate::default();
        let origin = gated(&gate);
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        let mut client = in_flight(&rig, &origin);
        rig.balancer.signal("TERM");
        wait_until_refusing(&rig);
        let begin = Instant::now();
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(SOON), 0);
        assert!(begin.elapsed() < SOON);
        assert!(client.rest().is_empty(), "a request that was cut has no answer");
        gate.open();
    }
    fn the_end_of_the_grace_cuts(driver) {
        let gate = Gate::default();
        let origin = gated(&gate);
        let rig = Rig::start(driver, &[&origin], "grace: 500ms\n");
        let mut client = in_flight(&rig, &origin);
        let begin = Instant::now();
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(SOON), 0);
        assert!(begin.elapsed() >= Duration::from_millis(450), "cut after {:?}", begin.elapsed());
        assert!(client.rest().is_empty(), "a request that was cut has no answer");
        assert!(rig.balancer.stderr().contains("grace"), "{}", rig.balancer.stderr());
        gate.open();
    }
    fn readyz_says_no_while_it_drains(driver) {
        let gate = Gate::default();
        let origin = gated(&gate);
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        assert_eq!(rig.admin("/readyz").status(), 200);
        let mut client = in_flight(&rig, &origin);
        rig.balancer.signal("TERM");
        wait_for("not ready", || (rig.admin("/readyz").status() == 503).then_some(()));
        assert_eq!(rig.admin("/healthz").status(), 200);
        assert_eq!(rig.json("/api/v1/status")["phase"], "draining");
        gate.open();
        assert_eq!(client.response().status(), 200);
        assert_eq!(rig.balancer.exit_code(PATIENCE), 0);
    }
    fn traffic_before_a_drain_is_whole(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "grace: 60s\n");
        let traffic = Traffic::start(rig.balancer.address(), 8);
        traffic.wait_for_more(200);
        assert_all_ok(&traffic.stop());
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(SOON), 0);
    }
}
